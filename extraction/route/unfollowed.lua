-- A refusal names its host in Location. Where Envoy did not follow it, the client is asked to come again.
function envoy_on_response(handle)
  local location = handle:headers():get("location")
  local host = location and location:lower():match("^[^/]*//([^/?#]*)")
  if host and host:match("%.internal%.?:?%d*$") then
    handle:headers():replace(":status", "503")
    handle:headers():remove("location")
    handle:headers():replace("content-type", "application/problem+json")
    handle:headers():replace("retry-after", "1")
    handle:body(true):setBytes('{"detail": "The shop is busy for a moment. Nothing was done; try again.", "code": "in_motion"}')
  end
end
