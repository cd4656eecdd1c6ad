-- The record of migrations is added to, never changed. An empty table may be truncated: tests do, of every table.
create function extraction_append_only() returns trigger language plpgsql as $function$
begin
  if tg_op = 'TRUNCATE' then
    if not exists (select from extraction_record) then return null; end if;
  end if;
  raise exception 'the record of migrations is added to, never changed' using errcode = 'insufficient_privilege';
end $function$;
create trigger append_only before update or delete on extraction_record
  for each row execute function extraction_append_only();
create trigger append_only_all before truncate on extraction_record
  for each statement execute function extraction_append_only();
