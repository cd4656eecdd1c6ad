-- Two databases of one module, joined by publications and subscriptions, and parted again. All names are composed;
-- nothing that is composed with a table's name takes values beside it, for a name may hold a percent sign.

-- name: wait_briefly
select set_config('lock_timeout', %(lock_timeout)s, true)

-- name: wait_shortly
select set_config('lock_timeout', '1s', false), set_config('statement_timeout', '5s', false)

-- name: holders
-- Sessions whose transactions hold tables of the module, the oldest first; those that only read stand last.
select a.pid, a.usename, a.application_name, a.state, extract(epoch from now() - a.xact_start)::float, min(c.relname)
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and c.oid in ({members})
  and l.database = (select oid from pg_database where datname = current_database()) and l.pid <> pg_backend_pid()
  and a.xact_start is not null
group by a.pid, a.usename, a.application_name, a.state, a.xact_start
order by bool_and(l.mode in ('AccessShareLock', 'RowShareLock')), a.xact_start
limit 3

-- name: tables
-- Every table of the module that holds rows, and what its fence and its subscription need to know of it.
select c.relname, c.relkind = 'r' as holds_rows, pg_get_userbyid(c.relowner) as owner
from pg_class c
where c.oid in ({members})
order by c.relname

-- name: carrying
-- Tables with the fence, also where somebody disabled it.
select c.relname
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and t.tgname = %(fence)s
order by c.relname

-- name: become
set local role {role}

-- name: role_exists
select exists (select from pg_roles where rolname = %(role)s)

-- name: takes_part
select pg_has_role(%(role)s, 'usage') and pg_has_role(%(role)s, 'set')

-- name: take_part
grant {role} to current_user with inherit true, set true

-- name: make_reader
create role {role} login replication

-- name: make_writer
-- The apply worker logs in as it; without a password nobody else does.
create role {role} login

-- name: limits
-- Set for a whole database or server, they would end each copy that takes longer, which then begins again, for ever.
select name from pg_settings
where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'lock_timeout')

-- name: without_limit
alter role {role} set {limit} = 0

-- name: grant_reading
grant connect on database {database} to {role};
grant usage on schema {schema} to {role};
grant select on {tables} to {role}

-- name: grant_following
grant connect on database {database} to {role};
grant usage on schema {schema} to {role}

-- name: let_subscribe
-- In one transaction with the subscription, so that it is never seen to have more than it needs afterwards.
grant pg_create_subscription to {role};
grant create on database {database} to {role};
set local role {role}

-- name: no_longer_subscribe
set local role none;
revoke create on database {database} from {role};
revoke pg_create_subscription from {role}

-- name: grant_owner
-- The subscription becomes the owner of each table while it writes there. A TRUNCATE is checked before it does, and what
-- restarts a sequence needs that one's owner: without inheritance the first TRUNCATE would end the stream.
grant {owner} to {role} with inherit true, set true

-- name: set_password
alter role {role} password {verifier}

-- name: no_login
alter role {role} nologin

-- name: end_sessions_of
select pg_terminate_backend(pid) from pg_stat_activity where usename = %(role)s

-- name: grantors
-- Who let it into this database and schema. What one gave, another, superuser or not, does not take back.
select distinct pg_get_userbyid(given.grantor)::text
from (select a.* from pg_database d, aclexplode(d.datacl) a where d.datname = current_database()
      union all select a.* from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = %(schema)s) given
where given.grantee = to_regrole(quote_ident(%(role)s))

-- name: let_out
set local role {grantor};
revoke all on database {database} from {role};
revoke all on schema {schema} from {role};
set local role none

-- name: drop_role
drop owned by {role};
drop role {role}

-- name: publication
select (select coalesce(array_agg(c.relname::text order by c.relname), '{{}}')
        from pg_publication_rel r join pg_class c on c.oid = r.prrelid where r.prpubid = p.oid)
from pg_publication p where p.pubname = %(publication)s

-- name: make_publication
create publication {publication} for table {tables}

-- name: set_publication
alter publication {publication} set table {tables}

-- name: drop_publication
drop publication if exists {publication}

-- name: note_subscriber
-- Kept where the slots are: the slots that copy tables are named after the subscription of another server.
comment on publication {publication} is {note}

-- name: noted_subscriber
select obj_description(oid, 'pg_publication') from pg_publication where pubname = %(publication)s

-- name: subscription
select s.oid::bigint, (select system_identifier from pg_control_system())::text,
       (select coalesce(array_agg(c.relname::text order by c.relname), '{{}}')
        from pg_subscription_rel r join pg_class c on c.oid = r.srrelid where r.srsubid = s.oid)
from pg_subscription s
where s.subname = %(subscription)s and s.subdbid = (select oid from pg_database where datname = current_database())

-- name: make_subscription
create subscription {subscription} connection {conninfo} publication {publication}
  with (create_slot = false, slot_name = {slot}, copy_data = {copy_data}, origin = none, streaming = {streaming}{failover})

-- name: refresh_subscription
alter subscription {subscription} refresh publication with (copy_data = {copy_data})

-- name: disable_subscription
alter subscription {subscription} disable

-- name: part_subscription
alter subscription {subscription} set (slot_name = none)

-- name: drop_subscription
drop subscription {subscription}

-- name: slot
select active_pid from pg_replication_slots where slot_name = %(slot)s

-- name: slots_like
select slot_name, active_pid from pg_replication_slots
where slot_name = %(slot)s or slot_name ~ %(copying)s
order by slot_name

-- name: wait_for_transactions
select set_config('statement_timeout', %(statement_timeout)s, true)

-- name: oldest_writer
select pid, usename, extract(epoch from now() - xact_start)::float from pg_stat_activity
where backend_xid is not null and pid <> pg_backend_pid()
order by xact_start limit 1

-- name: make_slot
select pg_create_logical_replication_slot(%(slot)s, 'pgoutput'{failover})

-- name: drop_slot
select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %(slot)s

-- name: end_session
select pg_terminate_backend(%(pid)s)

-- name: hide_password
-- The statement that makes a subscription holds a password; neither the log nor the list of sessions is to show it, nor
-- the statistics of statements and the audit log, where a server keeps them.
set log_statement = 'none';
set log_min_duration_statement = -1;
set log_min_error_statement = 'panic';
set log_duration = off;
set track_activities = off;
set pg_stat_statements.track = 'none';
set pgaudit.log = 'none'

-- name: as_replication
-- What this transaction does goes to no other side, and no ordinary trigger sees it.
set local session_replication_role = replica

-- name: make_origin
select pg_replication_origin_create(%(origin)s)

-- name: take_origin
select pg_replication_origin_session_setup(%(origin)s)

-- name: leave_origin
select pg_replication_origin_session_reset()

-- name: origins_like
select roname from pg_replication_origin where roname = %(origin)s or roname ~ %(copying)s

-- name: drop_origin
select pg_replication_origin_drop(%(origin)s)

-- name: empty_tables
truncate {tables}

-- name: has_rows
select where exists (select from {table})

-- name: empty_table
-- Truncating would be refused where a table that is followed refers to it.
delete from {table}

-- name: side
-- All that one side says of itself, in one statement: it is asked while every writer waits.
select
  (select coalesce(jsonb_agg(jsonb_build_object(
      'name', c.relname,
      'holds_rows', c.relkind = 'r',
      'columns', (select coalesce(jsonb_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod)), '[]')
                  from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
      'is_fenced', exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = %(fence)s and t.tgenabled = 'O'),
      'is_published', exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
                              where r.prrelid = c.oid and p.pubname = %(publication)s),
      'state', (select r.srsubstate from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid
                where r.srrelid = c.oid and s.subname = %(subscription)s))), '[]')
   from pg_class c where c.oid in ({members})) as tables,
  (select s.subenabled from pg_subscription s
   where s.subname = %(subscription)s
     and s.subdbid = (select oid from pg_database where datname = current_database())) as is_enabled,
  exists (select from pg_stat_subscription w
          where w.subname = %(subscription)s and w.relid is null and w.leader_pid is null and w.pid is not null) as is_applying,
  (select s.active from pg_replication_slots s where s.slot_name = %(slot)s) as is_sending,
  (select s.wal_status from pg_replication_slots s where s.slot_name = %(slot)s) as wal_status

-- name: sizes
-- What the statistics say: counting would read every row, and asking for sizes would wait for whoever alters a table.
select c.relname, greatest(c.reltuples, s.n_live_tup, 0)::bigint as rows
from pg_class c
left join pg_stat_user_tables s on s.relid = c.oid
where c.oid in ({members}) and c.relkind = 'r'

-- name: lag
select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::bigint
from pg_replication_slots where slot_name = %(slot)s

-- name: replay_lag
-- Of what was acknowledged last: a stream that stands still does not make it grow.
select coalesce(extract(epoch from r.replay_lag), 0)::float
from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid where s.slot_name = %(slot)s

-- name: wal_held
select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint, safe_wal_size
from pg_replication_slots where slot_name = %(slot)s

-- name: copying
select c.relname, r.srsubstate::text, coalesce(p.tuples_processed, 0), pg_relation_size(c.oid)
from pg_subscription s
join pg_subscription_rel r on r.srsubid = s.oid
join pg_class c on c.oid = r.srrelid
left join pg_stat_progress_copy p on p.relid = r.srrelid and p.type = 'CALLBACK'
where s.subname = %(subscription)s and s.subdbid = (select oid from pg_database where datname = current_database())

-- name: troubles
-- As JSON, for the counters of conflicts came with PostgreSQL 18. An update of a row that came from the other side is
-- counted on healthy round trips, and is none.
select t.key, t.value::bigint
from pg_stat_subscription_stats s, lateral jsonb_each_text(to_jsonb(s)) t
where s.subname = %(subscription)s and t.value <> '0'
  and (t.key in ('apply_error_count', 'sync_error_count') or t.key like 'confl\_%%')
  and t.key <> 'confl_update_origin_differs'
order by t.key
