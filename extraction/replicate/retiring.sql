-- The tables that a module has left behind, put where nobody looks for them. Queries with names run without parameters.

-- name: incoming
-- What others have on what moves: keys that would be checked against rows of the past; views, and functions with a parsed
-- body (BEGIN ATOMIC), that would show them, also by way of others. What depends on others comes first.
with recursive moving (oid) as materialized (
  select m.oid from ({members}) m (oid)
  union select c.oid from pg_catalog.pg_class c
  where not {is_shared} and c.relnamespace = to_regnamespace(quote_ident({schema_text}))),
showing (class, oid, used_class, used, depth) as (
  select found.class, found.oid, d.refclassid, d.refobjid, 1
  from pg_catalog.pg_depend d
  join moving m on d.refclassid = 'pg_class'::regclass and d.refobjid = m.oid
  left join pg_catalog.pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
  cross join lateral (
    select case when r.oid is null then d.classid else 'pg_class'::regclass end, coalesce(r.ev_class, d.objid)
  ) found (class, oid)
  where d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass)
    and not (found.class = 'pg_class'::regclass and found.oid in (select oid from moving))
  union
  select found.class, found.oid, d.refclassid, d.refobjid, s.depth + 1
  from showing s
  join pg_catalog.pg_depend d on d.refclassid = s.class and d.refobjid = s.oid
  left join pg_catalog.pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
  cross join lateral (
    select case when r.oid is null then d.classid else 'pg_class'::regclass end, coalesce(r.ev_class, d.objid)
  ) found (class, oid)
  where d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass) and s.depth < 100
    and (found.class, found.oid) <> (s.class, s.oid)
    and not (found.class = 'pg_class'::regclass and found.oid in (select oid from moving)))
select of, what, used, mend from (
  select format('%I.%I', n.nspname, c.relname) as of, format('foreign key %I', k.conname) as what,
         k.confrelid::regclass::text as used,
         format('ALTER TABLE %I.%I DROP CONSTRAINT %I', n.nspname, c.relname, k.conname) as mend, 0 as depth
  from pg_catalog.pg_constraint k
  join pg_catalog.pg_class c on c.oid = k.conrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where k.contype = 'f' and k.conparentid = 0 and k.confrelid in ({members}) and k.conrelid not in ({members})
  union all
  select format('%I.%I', n.nspname, c.relname), 'view',
         string_agg(distinct case s.used_class when 'pg_proc'::regclass then s.used::regprocedure::text
                                               else s.used::regclass::text end, ' and '),
         format('DROP %s %I.%I', case c.relkind when 'm' then 'MATERIALIZED VIEW' else 'VIEW' end, n.nspname, c.relname),
         max(s.depth)
  from showing s
  join pg_catalog.pg_class c on s.class = 'pg_class'::regclass and c.oid = s.oid and c.relkind in ('v', 'm')
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  group by n.nspname, c.relname, c.relkind
  union all
  select format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), 'function',
         string_agg(distinct case s.used_class when 'pg_proc'::regclass then s.used::regprocedure::text
                                               else s.used::regclass::text end, ' and '),
         format('DROP ROUTINE %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), max(s.depth)
  from showing s
  join pg_catalog.pg_proc p on s.class = 'pg_proc'::regclass and p.oid = s.oid
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  group by n.nspname, p.proname, p.oid) found
order by depth desc, 1, 2, 3

-- name: outgoing
-- Keys on what stays: the rows of the past would keep it from being deleted.
select c.relname, k.conname, pg_get_userbyid(c.relowner)::text,
       format('%I: %s', c.relname, pg_catalog.pg_get_constraintdef(k.oid))
from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.conrelid
where k.contype = 'f' and k.conparentid = 0 and k.conrelid in ({members}) and k.confrelid not in ({members})
order by 1, 2

-- name: moving
-- Tables, and in a schema of the module's own also what else bears a name there. What belongs to a table, its indexes,
-- constraints and sequences, goes with it; so does what belongs to an extension with that.
select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                      when 'f' then 'foreign table' when 'c' then 'type' else 'table' end as kind,
       c.relname as name, pg_get_userbyid(c.relowner)::text as owner
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relname <> all ({without}) and (
  c.oid in ({members})
  or not {is_shared} and n.nspname = {schema_text} and c.relkind in ('v', 'm', 'S', 'f', 'c')
     and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                     and d.refclassid in ('pg_class'::regclass, 'pg_extension'::regclass) and d.deptype in ('a', 'i', 'e')))
union all
select case t.typtype when 'd' then 'domain' else 'type' end, t.typname, pg_get_userbyid(t.typowner)::text
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where not {is_shared} and n.nspname = {schema_text} and t.typtype in ('d', 'e', 'r')
  and not exists (select from pg_catalog.pg_depend d
                  where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
order by 1, 2

-- name: make_archive
create schema if not exists {archive}

-- name: note_keys
-- Where they were, until everything is moved there: a key that is gone is told of, whoever goes on.
comment on schema {archive} is {keys}

-- name: noted_keys
select coalesce(obj_description(to_regnamespace({archive_name}), 'pg_namespace'), '[]')

-- name: let_in
grant usage, create on schema {archive} to {owner}

-- name: shut
revoke all on schema {archive} from {owner}

-- name: become
set local role {role}

-- name: leave_role
set local role none

-- name: drop_key
alter table {schema}.{table} drop constraint {constraint}

-- name: move
alter {kind} {schema}.{relation} set schema {archive}

-- name: note
comment on table {schema}.{placement} is {note}

-- name: placement_owner
select pg_get_userbyid(relowner)::text from pg_catalog.pg_class where oid = to_regclass({placement_name})

-- name: kept
select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                      when 'f' then 'foreign table' when 'c' then 'type' else 'table' end as kind,
       c.relname as name, pg_total_relation_size(c.oid)
from pg_catalog.pg_class c
where c.relnamespace = to_regnamespace({archive_name}) and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'c')
  and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                  and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and c.relkind = 'S')
union all
select case t.typtype when 'd' then 'domain' else 'type' end, t.typname, 0
from pg_catalog.pg_type t
where t.typnamespace = to_regnamespace({archive_name}) and t.typtype in ('d', 'e', 'r')
order by 1, 2

-- name: has_archive
select to_regnamespace({archive_name}) is not null

-- name: drop
drop {kind} {names}

-- name: drop_archive
drop schema if exists {archive}

-- name: early_readers
-- Sessions of this database whose transaction began before every process had to ask again where the module lives.
select a.pid, a.usename, coalesce(a.application_name, ''), extract(epoch from clock_timestamp() - a.xact_start)::float
from pg_catalog.pg_stat_activity a
where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
  and a.xact_start < (select moved_at + {known_for} * interval '1 second' from {schema}.{placement})
order by a.xact_start

-- name: known_since_s
select extract(epoch from clock_timestamp() - moved_at)::float from {schema}.{placement}
