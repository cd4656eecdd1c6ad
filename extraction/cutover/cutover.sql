-- What a switch asks of both sides besides the placement.

-- name: bound
-- Ends the transaction, and with it the pause, also when the coordinator no longer runs.
select set_config('lock_timeout', %(lock)s, true), set_config('synchronous_commit', 'on', true),
       case when current_setting('server_version_num')::int >= 170000
            then set_config('transaction_timeout', %(pause)s, true)
            else set_config('idle_in_transaction_session_timeout', %(pause)s, true)
                 || set_config('statement_timeout', %(pause)s, true) end

-- name: flush
-- Replication sends what is on disk: a heartbeat that waits for the next flush would be late. And sequences of the other
-- side that were moved in memory alone were back at 1 after its crash.
select set_config('synchronous_commit', 'on', false)

-- name: holders
-- Open transactions that have written to the module's tables: each holds the lock of the fence.
select coalesce('pid ' || l.pid, 'prepared transaction ' || p.gid) as who,
       coalesce(a.usename, p.owner, '') as role, coalesce(a.application_name, '') as application,
       coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000, 0)::int as age_ms
from pg_catalog.pg_locks l
left join pg_catalog.pg_stat_activity a on a.pid = l.pid
left join pg_catalog.pg_prepared_xacts p on l.virtualtransaction = '-1/' || p.transaction
where l.locktype = 'advisory' and l.granted and l.objsubid = 2
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and l.classid = {lock_class} and l.objid = {placement}::regclass::oid
order by age_ms desc

-- name: blockers
-- Sessions with a lock for which the stream of this module waits here.
select b.pid, coalesce(b.usename, '') as role, coalesce(b.application_name, '') as application
from pg_catalog.pg_subscription_rel r
join pg_catalog.pg_stat_subscription s on s.subid = r.srsubid
cross join unnest(pg_catalog.pg_blocking_pids(s.pid)) blocking (pid)
join pg_catalog.pg_stat_activity b on b.pid = blocking.pid and b.backend_type = 'client backend'
where r.srrelid = {placement}::regclass

-- name: end_session
select pg_terminate_backend(%(pid)s)

-- name: is_running
select exists (select from pg_catalog.pg_stat_activity where pid = %(pid)s and application_name = %(application)s)

-- name: sequences
-- Every sequence of the schema, and those that tables of the schema own elsewhere.
select n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle
from pg_catalog.pg_sequence s
join pg_catalog.pg_class c on c.oid = s.seqrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s or exists (
  select from pg_catalog.pg_depend d
  join pg_catalog.pg_class t on t.oid = d.refobjid
  join pg_catalog.pg_namespace owner on owner.oid = t.relnamespace
  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
    and d.deptype in ('a', 'i') and owner.nspname = %(schema)s)
order by 1, 2

-- name: position
select {number}, last_value, is_called from {sequence}

-- name: advance
select setval(format('%%I.%%I', s.schema, s.name)::regclass, s.value, s.is_called)
from unnest(%(schemas)s::text[], %(names)s::text[], %(values)s::bigint[], %(called)s::bool[])
  s (schema, name, value, is_called)
