-- What tells that a server has too much to do.

-- name: commit
-- As long as the commit of a small write takes; nobody reads the message.
select pg_logical_emit_message(true, 'extract', '')

-- name: lags
select slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(confirmed_flush_lsn, restart_lsn))::bigint
from pg_replication_slots
where active and not starts_with(slot_name::text, %(except_for)s) and coalesce(confirmed_flush_lsn, restart_lsn) is not null
