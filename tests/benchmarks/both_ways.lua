-- wrk: nine reads and a write of the module that moves, through the edge.
--   TOKEN=… wrk -t1 -c4 -d60s -s tests/benchmarks/both_ways.lua http://127.0.0.1:8000

local token = os.getenv("TOKEN")
local run = tostring(os.time())
local count = 0
local sku = nil

function request()
  count = count + 1
  if count % 10 ~= 0 or sku == nil then
    return wrk.format("GET", "/api/inventory/?limit=5")
  end
  return wrk.format("POST", "/api/inventory/" .. sku .. "/receive/", {
    ["Authorization"] = "Bearer " .. token,
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = "wrk-" .. run .. "-" .. count,
  }, '{"quantity": 1}')
end

function response(status, headers, body)
  if sku == nil and status == 200 then
    sku = string.match(body, '"sku":"([^"]+)"')
  end
end
