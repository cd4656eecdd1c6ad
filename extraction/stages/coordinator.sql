-- One coordinator a module: a lock of the session, which ends with the process that holds it.

-- name: name_session
-- It is idle while a step lasts, and the lock ends with it.
select set_config('application_name', %(name)s, false), set_config('idle_session_timeout', '0', false)

-- name: take
select pg_try_advisory_lock(%(class)s, %(key)s)

-- name: holder
select a.application_name, a.backend_start
from pg_catalog.pg_locks l
join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and l.classid = %(class)s::oid and l.objid = %(key)s::oid
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())

-- name: still_held
select exists (
  select from pg_catalog.pg_locks
  where locktype = 'advisory' and granted and objsubid = 2 and classid = %(class)s::oid and objid = %(key)s::oid
    and pid = pg_backend_pid()
)
