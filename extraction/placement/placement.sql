-- Where a module lives, kept in its own schema, and the fence around its tables.

-- name: install
-- Made by migrate as the role that owns the tables. `unit` differs between the databases of a migration; the placement
-- row does not, it travels. Who is not home cannot hand over; what arrives late changes nothing.
create or replace function {schema}.{unit}() returns text immutable parallel safe language sql as {unit_body};

create table if not exists {schema}.{placement} (
  id smallint primary key default 1 check (id = 1),
  home text not null,
  epoch bigint not null,
  moved_at timestamptz not null default now()
);
create table if not exists {schema}.{heartbeat} (unit text primary key, beat bigint not null);

create or replace function {schema}.{guard}() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $guard$
declare is_arrival boolean := current_setting('session_replication_role') = 'replica';
begin
  if tg_op = 'TRUNCATE' or tg_op = 'DELETE' then
    if is_arrival then return old; end if;
    raise exception 'the placement row of % is not to be deleted', {module} using errcode = 'MV003', schema = tg_table_schema;
  end if;
  if is_arrival and tg_op = 'UPDATE' then
    if new.epoch <= old.epoch then return null; end if;
    return new;
  end if;
  if is_arrival then
    -- The copy at the beginning of a replication finds the row that migrate made.
    update {schema}.{placement} set home = new.home, epoch = new.epoch, moved_at = new.moved_at where epoch < new.epoch;
    if exists (select from {schema}.{placement}) then return null; end if;
    return new;
  end if;
  if tg_op = 'INSERT' then
    if new.epoch = 0 then return new; end if;
    raise exception 'the placement row of % begins with epoch 0', {module} using errcode = 'MV003', schema = tg_table_schema;
  end if;
  if old.home is distinct from {schema}.{unit}() then
    raise exception '% lives in %, which alone can hand it over', {module}, old.home
      using errcode = 'MV003', schema = tg_table_schema;
  end if;
  if new.epoch <> old.epoch + 1 then
    raise exception 'the epoch of % goes from % to %, not to %', {module}, old.epoch, old.epoch + 1, new.epoch
      using errcode = 'MV003', schema = tg_table_schema;
  end if;
  return new;
end $guard$;
create or replace trigger guard before insert or update or delete on {schema}.{placement}
  for each row execute function {schema}.{guard}();
alter table {schema}.{placement} enable always trigger guard;
create or replace trigger guard_all before truncate on {schema}.{placement}
  for each statement execute function {schema}.{guard}();
alter table {schema}.{placement} enable always trigger guard_all;

-- name: seed
insert into {schema}.{placement} (home, epoch) values (%(home)s, 0) on conflict do nothing

-- name: read
select home, epoch from {schema}.{placement}

-- name: own_unit
select {schema}.{unit}()

-- name: tables
-- What moves with the module: every ordinary and partitioned table of its schema.
select c.relname
from pg_catalog.pg_class c
where c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = %(schema)s) and c.relkind in ('r', 'p')
  and c.relname <> all (%(without)s)
order by c.relname

-- name: fence_function
-- Runs with every statement that writes. It tries and never waits: who waits for the switch with a row locked would hold
-- up those that the switch waits for. Outside READ COMMITTED an old snapshot would show the old home; FOR SHARE turns
-- that into a serialization failure. Security definer, for a writer need not be able to update the placement.
create or replace function {schema}.{fence}() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $fence$
declare
  at text;
  since bigint;
begin
  if not pg_try_advisory_xact_lock_shared({lock_class}, {placement_name}::regclass::oid::int) then
    raise exception '% is in motion; try again in a few milliseconds', {module}
      using errcode = 'MV002', schema = tg_table_schema, table = tg_table_name,
            detail = json_build_object('module', {module}, 'unit', {schema}.{unit}())::text;
  end if;
  if current_setting('transaction_isolation') = 'read committed' then
    select home, epoch into at, since from {schema}.{placement};
  else
    select home, epoch into at, since from {schema}.{placement} for share;
  end if;
  if at is distinct from {schema}.{unit}() then
    raise exception '% lives in %, not in %', {module}, at, {schema}.{unit}()
      using errcode = 'MV001', schema = tg_table_schema, table = tg_table_name,
            detail = json_build_object('module', {module}, 'unit', {schema}.{unit}(), 'home', at, 'epoch', since)::text;
  end if;
  return null;
end $fence$

-- name: fence_table
create or replace trigger {fence} before insert or update or delete or truncate on {schema}.{table}
  for each statement execute function {schema}.{fence}()

-- name: fenced
-- Tables that carry the fence, enabled as it was made.
select c.relname
from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid
where c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = %(schema)s)
  and t.tgname = %(fence)s and t.tgenabled = 'O'
order by c.relname

-- name: unfence_table
drop trigger if exists {fence} on {schema}.{table}

-- name: drop_fence_function
drop function if exists {schema}.{fence}()

-- name: lock
-- Waits for the writers that are under way; from this moment on new ones are refused.
select pg_advisory_xact_lock({lock_class}, {placement_name}::regclass::oid::int)

-- name: hand_over
update {schema}.{placement} set home = %(to)s, epoch = epoch + 1, moved_at = clock_timestamp()
where home = {schema}.{unit}() and epoch = %(epoch)s

-- name: beat
insert into {schema}.{heartbeat} as h (unit, beat) values ({schema}.{unit}(), 1)
on conflict (unit) do update set beat = h.beat + 1
returning beat

-- name: beat_of
select coalesce(max(beat), 0) from {schema}.{heartbeat} where unit = %(unit)s
