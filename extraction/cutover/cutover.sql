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

-- name: plan_once
-- What is asked in the pause was asked before it in the same session, and its plan is kept.
select set_config('plan_cache_mode', 'force_generic_plan', false)

-- name: durably
select set_config('synchronous_commit', 'on', true)

-- name: lock_timeout
select set_config('lock_timeout', %(timeout)s, true)

-- name: received
-- What this side knows of the other, also where nobody listens any more.
select coalesce(o.remote_lsn::text, ''), coalesce(w.latest_end_lsn::text, ''),
       pg_wal_lsn_diff(w.latest_end_lsn, o.remote_lsn)::bigint,
       extract(epoch from clock_timestamp() - w.last_msg_receipt_time)::float, p.moved_at
from {placement} p
left join pg_catalog.pg_subscription s on s.subname = %(subscription)s
  and s.subdbid = (select oid from pg_catalog.pg_database where datname = current_database())
left join pg_catalog.pg_show_replication_origin_status() o on o.external_id = 'pg_' || s.oid
left join pg_catalog.pg_stat_subscription w on w.subid = s.oid and w.relid is null and w.leader_pid is null

-- name: since
select moved_at from {placement}

-- name: old_writers
-- Transactions of the whole server that have written, the oldest first.
select coalesce('pid ' || w.pid, 'prepared transaction ' || w.gid), coalesce(w.role, ''), coalesce(w.application, ''),
       extract(epoch from clock_timestamp() - w.since)::float, w.database = current_database(),
       coalesce(format('SELECT pg_terminate_backend(%%s)', w.pid), format('ROLLBACK PREPARED %%L', w.gid))
from (
  select a.pid, null as gid, a.usename as role, a.application_name as application, a.xact_start as since,
         a.datname as database
  from pg_catalog.pg_stat_activity a
  where a.backend_xid is not null and a.pid <> pg_backend_pid() and a.xact_start is not null
  union all select null, p.gid, p.owner, '', p.prepared, p.database from pg_catalog.pg_prepared_xacts p) w
where clock_timestamp() - w.since > make_interval(secs => %(old_s)s)
order by w.since

-- name: kept
select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint
from pg_catalog.pg_replication_slots where slot_name = %(slot)s

-- name: note_open_transactions
select pg_log_standby_snapshot()

-- name: holders
-- Open transactions that have written to the module's tables: each holds the lock of the fence.
select coalesce('pid ' || l.pid, 'prepared transaction ' || p.gid) as who,
       coalesce(a.usename, p.owner, '') as role, coalesce(a.application_name, '') as application,
       coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000, 0)::int as age_ms
from pg_catalog.pg_locks l
left join pg_catalog.pg_stat_activity a on a.pid = l.pid
-- A prepared transaction has no process, and since PostgreSQL 14 the virtual transaction of the session that prepared it.
left join pg_catalog.pg_locks t on l.pid is null and t.pid is null and t.locktype = 'transactionid'
  and t.virtualtransaction = l.virtualtransaction
left join pg_catalog.pg_prepared_xacts p on p.transaction = t.transactionid
where l.locktype = 'advisory' and l.granted and l.objsubid = 2
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and l.classid = {lock_class} and l.objid = {placement}::regclass::oid
order by age_ms desc

-- name: blockers
-- Whose lock the stream of this module waits for here, and what ends that. A prepared transaction has no process (0).
with waiting as (
  select s.pid from pg_catalog.pg_subscription_rel r
  join pg_catalog.pg_stat_subscription s on s.subid = r.srsubid
  where r.srrelid = {placement}::regclass)
select b.pid, 'pid ' || b.pid as who, coalesce(b.usename, '') as role, coalesce(b.application_name, '') as application,
       format('SELECT pg_terminate_backend(%s)', b.pid) as ends
from waiting s
cross join unnest(pg_catalog.pg_blocking_pids(s.pid)) blocking (pid)
join pg_catalog.pg_stat_activity b on b.pid = blocking.pid and b.backend_type = 'client backend'
union
select 0, 'prepared transaction ' || p.gid, p.owner, '', format('ROLLBACK PREPARED %L', p.gid)
from waiting s
join pg_catalog.pg_locks w on w.pid = s.pid and not w.granted
join pg_catalog.pg_locks h on h.pid is null and h.granted
  and (h.locktype, h.database, h.relation, h.page, h.tuple, h.transactionid, h.classid, h.objid, h.objsubid)
      is not distinct from
      (w.locktype, w.database, w.relation, w.page, w.tuple, w.transactionid, w.classid, w.objid, w.objsubid)
join pg_catalog.pg_locks t on t.pid is null and t.locktype = 'transactionid' and t.virtualtransaction = h.virtualtransaction
join pg_catalog.pg_prepared_xacts p on p.transaction = t.transactionid
order by 2

-- name: end_session
select pg_terminate_backend(%(pid)s)

-- name: is_running
select exists (select from pg_catalog.pg_stat_activity where pid = %(pid)s and application_name = %(application)s)

-- name: sequences
-- Those that the module's tables own or take numbers from, and where it has its schema to itself all that are there.
select n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, s.seqcache
from pg_catalog.pg_sequence s
join pg_catalog.pg_class c on c.oid = s.seqrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and cardinality(%(only)s::text[]) = 0 or exists (
  select from pg_catalog.pg_depend d
  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
    and d.deptype in ('a', 'i') and d.refobjid in ({members}))
  or exists (
  select from pg_catalog.pg_depend d
  join pg_catalog.pg_attrdef a on a.oid = d.objid
  where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
    and a.adrelid in ({members}))
order by 1, 2

-- name: position
select {number}, last_value, is_called from {sequence}

-- name: advance
select setval(format('%%I.%%I', s.schema, s.name)::regclass, s.value, s.is_called)
from unnest(%(schemas)s::text[], %(names)s::text[], %(values)s::bigint[], %(called)s::bool[])
  s (schema, name, value, is_called)
