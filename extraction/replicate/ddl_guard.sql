-- Event triggers that refuse to change what both sides of a migration have to have alike. They do not look at commands
-- but at their effect: what the tables were like before a command is compared with what they are like after it.

-- name: make_schema
-- Not in the module's own: dropped with that, the guard would have seen nothing.
create schema if not exists {own}

-- name: make_function
-- One function for both moments. What it saw before a command is kept in a setting of the session, for a command such as
-- DROP INDEX CONCURRENTLY outlasts its transaction; in one of its own, for modules may share a database. Who does not know
-- it from before, as where the trigger was made meanwhile, has nothing to compare. A unique index may be dropped, but a
-- new one would refuse what the other side accepts.
create or replace function {own}.check_tables() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $guard$
declare
  before text := current_setting({seen}, true);
  made text;
  added text;
begin
  if current_setting('extraction.ddl', true) = {id} then return; end if;
  with recursive
  members (oid) as materialized ({members}),
  columns as (
    select a.attrelid, a.atttypid, concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull,
                                             a.attgenerated) as made
    from pg_attribute a where a.attnum > 0 and not a.attisdropped),
  -- What values are made of, as far as somebody may change it.
  types (oid) as (
    select c.atttypid from columns c join members m on m.oid = c.attrelid where c.atttypid >= 16384
    union
    select part.oid from types t join pg_type y on y.oid = t.oid cross join lateral (
      values (y.typbasetype), (y.typelem)
      union all select c.atttypid from columns c where c.attrelid = y.typrelid
      union all select r.rngsubtype from pg_range r where r.rngtypid = y.oid
      union all select r.rngtypid from pg_range r where r.rngmultitypid = y.oid) part (oid)
    where part.oid >= 16384)
  select hashtextextended(coalesce(string_agg(t.made, e'\n' order by t.made), ''), 0)::text || ' ' || (
      select coalesce(string_agg(x.indexrelid::text, ',' order by x.indexrelid), '')
      from pg_index x join members m on m.oid = x.indrelid where x.indisunique)
  into made
  from (
    select concat_ws(' ', c.relname, c.relkind, c.relpersistence, c.relowner, c.relreplident, c.relrowsecurity,
      c.relforcerowsecurity,
      (select string_agg(i.inhparent::text, ' ' order by i.inhparent) from pg_inherits i where i.inhrelid = c.oid),
      (select string_agg(a.made, ',' order by a.made) from columns a where a.attrelid = c.oid),
      (select string_agg(k.def, ',' order by k.def)
       from (select replace(pg_get_constraintdef(n.oid), ' NOT VALID', '') from pg_constraint n
             where n.conrelid = c.oid and n.contype in ('p', 'u', 'x', 'c')) k (def)),
      (select string_agg(x.indexrelid::text || x.indisvalid, ' ' order by x.indexrelid)
       from pg_index x where x.indrelid = c.oid and (x.indisprimary or x.indisreplident)),
      (select string_agg(g.tgenabled, ' ') from pg_trigger g where g.tgrelid = c.oid and g.tgname = {fence_name}))
    from pg_class c join members m on m.oid = c.oid where c.relname <> all ({without})
    union all
    select concat_ws(' ', y.oid, y.typnotnull,
      (select string_agg(e.enumlabel, ' ' order by e.enumsortorder) from pg_enum e where e.enumtypid = y.oid),
      (select string_agg(a.made, ',' order by a.made) from columns a where a.attrelid = y.typrelid),
      (select string_agg(k.def, ',' order by k.def)
       from (select replace(pg_get_constraintdef(n.oid), ' NOT VALID', '') from pg_constraint n
             where n.contypid = y.oid) k (def)))
    from pg_type y join types t on t.oid = y.oid) t (made);
  if tg_event = 'ddl_command_start' then
    perform set_config({seen}, made, false);
  elsif before <> '' then
    perform set_config({seen}, '', false);
    select string_agg(x.oid::regclass::text, ', ') into added
    from unnest(string_to_array(split_part(made, ' ', 2), ',')::oid[]) x (oid)
    where x.oid <> all (string_to_array(split_part(before, ' ', 2), ',')::oid[]);
    if added is not null or split_part(made, ' ', 1) <> split_part(before, ' ', 1) then
      raise exception '% would change tables of %, which is on its way from % to %', tg_tag, {module}, {source}, {target}
        using errcode = 'MV004', schema = {schema_text}, hint = {hint}, detail = case when tg_tag = 'CREATE INDEX'
          then 'Made CONCURRENTLY, it is there all the same, and has to go: DROP INDEX CONCURRENTLY ' || added else '' end;
    end if;
  end if;
end $guard$

-- name: make_trigger
create event trigger {trigger} on {event}
when tag in ('ALTER DOMAIN', 'ALTER INDEX', 'ALTER SCHEMA', 'ALTER TABLE', 'ALTER TRIGGER', 'ALTER TYPE', 'CREATE INDEX',
             'CREATE SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'DROP DOMAIN', 'DROP EXTENSION', 'DROP FUNCTION', 'DROP INDEX',
             'DROP OWNED', 'DROP ROUTINE', 'DROP SCHEMA', 'DROP TABLE', 'DROP TRIGGER', 'DROP TYPE',
             'SELECT INTO')
execute function {own}.check_tables()

-- name: drop_trigger
drop event trigger {trigger}

-- name: drop_schema
drop schema if exists {own} cascade

-- name: triggers
select evtname, evtenabled in ('O', 'A') from pg_catalog.pg_event_trigger where evtname = any (%(triggers)s) order by 1
