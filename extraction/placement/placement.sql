-- Where a module lives, kept in its own schema, and the fence around its tables.

-- name: install
-- Made by migrate as the role that owns the tables. `unit` differs between the databases of a migration; the placement
-- row does not, it travels, but for `min_epoch`: what is older than that does not count in this database. Who is not home
-- cannot hand over; what arrives late changes nothing. Who is not home may only be told to wait for a later epoch, or take
-- the module back by an epoch that is the least from then on: both are what `recall` does, and no slip of the hand.
create or replace function {schema}.{unit}() returns text immutable parallel safe language sql as {unit_body};

create table if not exists {schema}.{placement} (
  id smallint primary key default 1 check (id = 1),
  home text not null,
  epoch bigint not null,
  moved_at timestamptz not null default now(),
  min_epoch bigint not null default 0
);
do $add$ begin
  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = {placement_name}::regclass and attname = 'min_epoch' and not attisdropped) then
    alter table {schema}.{placement} add column min_epoch bigint not null default 0;
  end if;
end $add$;
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
    if new.epoch <= old.epoch or new.epoch < old.min_epoch then return null; end if;
    new.min_epoch := old.min_epoch;
    return new;
  end if;
  if is_arrival then
    -- The copy at the beginning of a replication finds the row that migrate made.
    update {schema}.{placement} set home = new.home, epoch = new.epoch, moved_at = new.moved_at where epoch < new.epoch;
    if exists (select from {schema}.{placement}) then return null; end if;
    new.min_epoch := 0;
    return new;
  end if;
  if tg_op = 'INSERT' then
    if new.epoch = 0 and new.min_epoch = 0 then return new; end if;
    raise exception 'the placement row of % begins with epoch 0', {module} using errcode = 'MV003', schema = tg_table_schema;
  end if;
  if old.home is distinct from {schema}.{unit}() then
    if new.home = old.home and new.epoch = old.epoch and new.min_epoch > greatest(old.epoch, old.min_epoch)
       or new.home = {schema}.{unit}() and new.epoch > old.epoch and new.min_epoch = new.epoch then
      return new;
    end if;
    raise exception '% lives in %, which alone can hand it over', {module}, old.home
      using errcode = 'MV003', schema = tg_table_schema;
  end if;
  if new.epoch <> old.epoch + 1 or new.min_epoch <> old.min_epoch then
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

-- name: wait_for_epoch
-- On the side that has not heard of its turn; it never will.
update {schema}.{placement} set min_epoch = %(epoch)s where min_epoch < %(epoch)s

-- name: hold_row
-- An arrival waits until this transaction is over, and then meets what it has changed.
select home, epoch, min_epoch from {schema}.{placement} for update

-- name: read_all
select home, epoch, min_epoch from {schema}.{placement}

-- name: take_back
update {schema}.{placement} set home = {schema}.{unit}(), epoch = %(epoch)s, min_epoch = %(epoch)s, moved_at = clock_timestamp()
where home = %(home)s and epoch = %(known)s

-- name: own_unit
select {schema}.{unit}()

-- name: members
-- What moves with the module: every ordinary and partitioned table of its schema; where others live there too, those
-- that are named, with their partitions. Never django_migrations: published, it would mark migrations as applied where
-- no DDL ran.
select t.oid
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select c.oid union select p.relid from pg_catalog.pg_partition_tree(c.oid) p where c.relkind = 'p') t (oid)
where n.nspname = {schema_name} and c.relkind in ('r', 'p') and c.relname <> 'django_migrations'
  and (cardinality({only}::text[]) = 0 or c.relname = any ({only}::text[]))

-- name: tables
select c.relname
from pg_catalog.pg_class c
where c.oid in ({members}) and c.relname <> all (%(without)s)
order by c.relname

-- name: fence_function
-- Runs with every statement that writes. It tries and never waits: who waits for the switch with a row locked would hold
-- up those that the switch waits for. Outside READ COMMITTED an old snapshot would show the old home; FOR SHARE turns
-- that into a serialization failure. Security definer, for a writer need not be able to update the placement. A server of
-- which nobody knows whether it is the newest is started with extraction.closed = 'module, module'.
create or replace function {schema}.{fence}() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $fence$
declare
  at text;
  since bigint;
  least_epoch bigint;
begin
  if {module} = any (regexp_split_to_array(current_setting('extraction.closed', true), '\s*,\s*')) then
    raise exception '% is closed here: this server was started with extraction.closed', {module}
      using errcode = 'MV003', schema = tg_table_schema, table = tg_table_name,
            hint = 'Compare its epoch with that of the other side: manage.py extract status ' || {module};
  end if;
  if not pg_try_advisory_xact_lock_shared({lock_class}, {placement_name}::regclass::oid::int) then
    raise exception '% is in motion; try again in a few milliseconds', {module}
      using errcode = 'MV002', schema = tg_table_schema, table = tg_table_name,
            detail = json_build_object('module', {module}, 'unit', {schema}.{unit}())::text;
  end if;
  if current_setting('transaction_isolation') = 'read committed' then
    select home, epoch, min_epoch into at, since, least_epoch from {schema}.{placement};
  else
    select home, epoch, min_epoch into at, since, least_epoch from {schema}.{placement} for share;
  end if;
  if at = {schema}.{unit}() and since < least_epoch then
    raise exception '% was recalled: epoch % does not count here', {module}, since
      using errcode = 'MV003', schema = tg_table_schema, table = tg_table_name;
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

-- name: closed
-- Whether this server was started closed to the module, and whether all its tables have the fence that refuses then.
select %(module)s = any (regexp_split_to_array(coalesce(current_setting('extraction.closed', true), ''), '\s*,\s*')),
       not exists (
         select from pg_catalog.pg_class c
         where c.oid in ({members}) and c.relkind = 'r' and c.relname <> all (%(without)s)
           and not exists (select from pg_catalog.pg_trigger t
                           where t.tgrelid = c.oid and t.tgname = %(fence)s and t.tgenabled <> 'D'))

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

-- name: under_way
-- The publication of a migration of this module, which both sides have as long as it lasts.
select p.pubname, current_setting('extraction.ddl', true)
from pg_catalog.pg_publication p
join pg_catalog.pg_publication_rel r on r.prpubid = p.oid
where r.prrelid = to_regclass({placement_name}) and p.pubname ~ '_(out|back)$'
order by 1 limit 1
