-- What stands in the way of joining two databases. Only `version` is asked of every server.

-- name: version
select current_setting('server_version_num')::int / 10000

-- name: administrator
select rolname, rolsuper from pg_roles where rolname = current_user

-- name: server
select
  (select system_identifier from pg_control_system())::text,
  current_setting('wal_level'),
  current_setting('idle_replication_slot_timeout', true),
  (select current_setting('max_replication_slots')::int - count(*) from pg_replication_slots),
  (select current_setting('max_wal_senders')::int - count(*) from pg_stat_replication),
  (select current_setting('max_logical_replication_workers')::int - count(pid) from pg_stat_subscription),
  (select coalesce(current_setting('max_active_replication_origins', true), current_setting('max_replication_slots'))::int
          - count(*) from pg_replication_origin_status),
  current_setting('max_worker_processes')::int,
  current_setting('max_logical_replication_workers')::int

-- name: is_joined
select exists (select from pg_replication_slots where slot_name = %(slot)s)

-- name: is_ours
select exists (select from pg_roles where rolname = %(writer)s)

-- name: is_installed
select exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
               where n.nspname = %(schema)s and p.proname = %(unit)s)
   and exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = %(schema)s and c.relname = %(placement)s)

-- name: tables
select c.relname, c.relkind = 'r' as holds_rows,
       c.relreplident = 'f'
         or exists (select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indimmediate
                    and (c.relreplident = 'd' and i.indisprimary or c.relreplident = 'i' and i.indisreplident)) as has_key,
       (select coalesce(array_agg(a.attname::text order by a.attname), '{{}}') from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> ''
          and (c.relreplident = 'f'
               or exists (select from pg_index i where i.indrelid = c.oid and a.attnum = any (i.indkey)
                          and (c.relreplident = 'd' and i.indisprimary or c.relreplident = 'i' and i.indisreplident)))
       ) as computed_in_key,
       (select coalesce(array_agg(a.attname::text order by a.attname), '{{}}')
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        cross join (select array['json', 'xml', 'point', 'lseg', 'path', 'box', 'polygon', 'line', 'circle']::regtype[])
          without_equality (types)
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relreplident = 'f'
          and (t.oid = any (types) or t.typbasetype = any (types) or t.typcategory = 'A' and t.typelem = any (types))
       ) as incomparable,
       c.relpersistence = 'p' as is_logged,
       c.relforcerowsecurity,
       pg_get_userbyid(c.relowner),
       (select rolsuper from pg_roles where oid = c.relowner)
         or has_parameter_privilege(c.relowner, 'session_replication_role', 'SET') as owner_bypasses,
       (select coalesce(array_agg(t.tgname::text order by t.tgname), '{{}}') from pg_trigger t
        where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled in ('A', 'R')
          and not (c.relname = %(placement)s and t.tgname in ('guard', 'guard_all'))) as always,
       (select coalesce(array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) order by a.attname), '{{}}')
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('r', 'p') and c.relname <> all (%(never)s)
order by c.relname

-- name: foreign_keys
select f.conname, f.conrelid::regclass::text, f.confrelid::regclass::text
from pg_constraint f
join pg_class a on a.oid = f.conrelid
join pg_class b on b.oid = f.confrelid
join pg_namespace n on n.nspname = %(schema)s
where f.contype = 'f' and a.relnamespace <> b.relnamespace and n.oid in (a.relnamespace, b.relnamespace)
order by 1, 2

-- name: foreign_parents
select i.inhrelid::regclass::text, i.inhparent::regclass::text
from pg_inherits i
join pg_class a on a.oid = i.inhrelid
join pg_class b on b.oid = i.inhparent
join pg_namespace n on n.nspname = %(schema)s
where a.relkind in ('r', 'p') and a.relnamespace <> b.relnamespace and n.oid in (a.relnamespace, b.relnamespace)
order by 1

-- name: has_rows
select where exists (select from {table})

-- name: setting
select setting from pg_settings where name = %(setting)s
