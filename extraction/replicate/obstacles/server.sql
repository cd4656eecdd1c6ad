-- What a server has room for. Only `version` and `recovery` are asked of every server.

-- name: version
select current_setting('server_version_num')::int / 10000

-- name: recovery
select pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool, s.source, current_user::text,
       current_database()::text
from pg_settings s where s.name = 'default_transaction_read_only'

-- name: server
-- Origins are counted as they are named: the view of those in use is the superuser's.
select
  (select system_identifier from pg_control_system())::text,
  current_setting('wal_level'),
  current_setting('idle_replication_slot_timeout', true),
  (select current_setting('max_replication_slots')::int - count(*) from pg_replication_slots),
  (select current_setting('max_wal_senders')::int - count(*) from pg_stat_replication),
  (select current_setting('max_logical_replication_workers')::int - count(pid) from pg_stat_subscription),
  (select coalesce(current_setting('max_active_replication_origins', true), current_setting('max_replication_slots'))::int
          - count(*) from pg_replication_origin),
  current_setting('max_worker_processes')::int,
  current_setting('max_logical_replication_workers')::int,
  (select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size')

-- name: module_bytes
-- As of the last VACUUM or ANALYZE: asking for sizes would wait for whoever alters a table.
select coalesce(sum(c.relpages::bigint), 0)::bigint * current_setting('block_size')::int
from pg_class c where c.oid in ({members}) and c.relkind = 'r'

-- name: is_joined
select exists (select from pg_replication_slots where slot_name = %(slot)s)

-- name: setting
select setting from pg_settings where name = %(setting)s
