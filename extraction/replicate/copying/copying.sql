-- The first copy of a module's tables: a snapshot that a process holds, chunks, and a ledger of those that are done.

-- name: name_session
select set_config('application_name', %(name)s, false)

-- name: without_limits
-- Of the server, the database or the role: they would end what takes as long as a copy.
select set_config(name, '0', false) from pg_settings
where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'lock_timeout',
               'idle_session_timeout')

-- name: make_slot
CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput (SNAPSHOT 'export'{failover})

-- name: backend
select extract(epoch from backend_start)::text from pg_stat_activity where pid = %(pid)s

-- name: is_needed
select exists (select from pg_replication_slots where slot_name = %(slot)s) as has_slot,
       exists (select from pg_stat_activity where pid = %(pid)s) as has_snapshot,
       exists (select from pg_stat_activity
               where application_name = %(coordinator)s and datname = current_database()) as is_coordinated

-- name: drop_idle_slot
select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %(slot)s and not active

-- name: end_sessions
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = any(%(names)s) and datname = current_database() and pid <> pg_backend_pid()

-- name: is_held
-- The snapshot's name is that of a session: it means the same as long as this very session lives.
select exists (select from pg_stat_activity where pid = %(pid)s and extract(epoch from backend_start)::text = %(since)s)

-- name: slot_state
select confirmed_flush_lsn::text, active, wal_status, safe_wal_size,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
from pg_replication_slots where slot_name = %(slot)s

-- name: plan
-- Only of a heap the ranges of row addresses can be read by themselves.
select c.relname, pg_relation_filenode(c.oid)::bigint, pg_table_size(c.oid),
       case when a.amname = 'heap' then pg_relation_size(c.oid) / current_setting('block_size')::int else 0 end,
       greatest(c.reltuples, s.n_live_tup, 0)::bigint
from pg_class c left join pg_am a on a.oid = c.relam left join pg_stat_user_tables s on s.relid = c.oid
where c.oid in ({members}) and c.relkind = 'r'
order by c.relname

-- name: make_ledger
create schema {ledger};
create table {ledger}.snapshot (
  name text not null,
  pid int not null,
  since text not null,
  point text not null,
  keep_s float not null
);
create table {ledger}.chunk (
  id int primary key,
  table_name text not null,
  filenode bigint not null,
  first_page bigint not null,
  end_page bigint,
  size_bytes bigint not null,
  rows_expected bigint not null,
  rows bigint,
  bytes bigint
)

-- name: note_snapshot
insert into {ledger}.snapshot (name, pid, since, point, keep_s)
values (%(name)s, %(pid)s, %(since)s, %(point)s, %(keep_s)s)

-- name: note_chunk
insert into {ledger}.chunk (id, table_name, filenode, first_page, end_page, size_bytes, rows_expected)
values (%(id)s, %(table)s, %(filenode)s, %(first_page)s, %(end_page)s, %(size_bytes)s, %(rows_expected)s)

-- name: has_ledger
select to_regclass({chunks}) is not null

-- name: snapshot
select name, pid, since, point, keep_s from {ledger}.snapshot

-- name: claim
select id, table_name, filenode, first_page, end_page from {ledger}.chunk
where rows is null
order by id
limit 1
for update skip locked

-- name: note_done
update {ledger}.chunk set rows = %(rows)s, bytes = %(bytes)s where id = %(id)s and rows is null

-- name: leave_table
-- A table that was rewritten is copied by the subscription instead.
delete from {ledger}.chunk where table_name = %(table)s

-- name: tables_copied
select distinct table_name from {ledger}.chunk order by 1

-- name: tally
select count(*)::int, count(*) filter (where left_over = 0)::int, coalesce(sum(expected), 0)::bigint,
       coalesce(sum(done), 0)::bigint, coalesce(sum(size), 0)::bigint, coalesce(sum(size_done), 0)::bigint,
       coalesce(sum(bytes_done), 0)::bigint, coalesce(sum(left_over), 0)::int
from (select count(*) filter (where rows is null) as left_over, sum(rows_expected) as expected, sum(rows) as done,
             sum(size_bytes) as size, sum(size_bytes) filter (where rows is not null) as size_done, sum(bytes) as bytes_done
      from {ledger}.chunk group by table_name)

-- name: at_work
select p.relid::regclass::text, p.tuples_processed, p.bytes_processed
from pg_stat_progress_copy p join pg_stat_activity a on a.pid = p.pid
where p.command = 'COPY FROM' and p.datname = current_database() and a.application_name = %(coordinator)s
order by 1

-- name: drop_ledger
drop schema if exists {ledger} cascade

-- name: as_replica
-- What this session writes fires no ordinary trigger, checks no foreign key and meets no fence.
select set_config('session_replication_role', 'replica', false)

-- name: steady
-- Values are written and read the same way, whatever server, database and role say.
select set_config('client_encoding', %(encoding)s, false), set_config('datestyle', 'ISO, YMD', false),
       set_config('intervalstyle', 'postgres', false), set_config('extra_float_digits', '3', false),
       set_config('bytea_output', 'hex', false), set_config('lc_monetary', 'C', false),
       set_config('xmloption', 'content', false), set_config('timezone', 'UTC', false),
       set_config('search_path', '', false), set_config('row_security', 'off', false)

-- name: encoding
select current_setting('server_encoding')

-- name: take_snapshot
set transaction snapshot {snapshot}

-- name: owner
select pg_get_userbyid(c.relowner)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s

-- name: lock_table
lock table only {table} in access share mode

-- name: shape
select pg_relation_filenode(c.oid)::bigint,
       (select coalesce(array_agg(a.attname::text order by a.attnum), '{{}}') from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s

-- name: become
set local role {role}

-- name: become_oneself
set local role none

-- name: copy_out
copy (select {columns} from only {table} where {range}) to stdout

-- name: all_of_it
true

-- name: from_page
ctid >= {first}::tid

-- name: between_pages
ctid >= {first}::tid and ctid < {end}::tid

-- name: copy_in
copy {table} ({columns}) from stdin
