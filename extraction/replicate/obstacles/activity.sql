-- What goes on in a whole server.

-- name: transactions
select a.pid, coalesce(a.usename, '')::text, coalesce(a.datname, '')::text,
       extract(epoch from clock_timestamp() - a.xact_start)::int
from pg_stat_activity a
where a.backend_xid is not null and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
  and a.xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
order by a.xact_start

-- name: prepared
select gid, owner::text, database::text, extract(epoch from clock_timestamp() - prepared)::int
from pg_prepared_xacts
where prepared < clock_timestamp() - make_interval(secs => %(seconds)s)
order by prepared

-- name: held
-- By slots that nobody reads; those of this migration are waited for, not dropped.
select slot_name::text, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint
from pg_replication_slots
where not active and not temporary and restart_lsn is not null and slot_name not in (%(out)s, %(back)s)
  and pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) > %(bytes)s
order by 2 desc

-- name: standbys
-- That no logical stream waits for: with the slot they read from, where they have one, and the name they give.
with waited (slot_name) as (
  select trim(both ' "' from unnest(string_to_array(coalesce(current_setting('synchronized_standby_slots', true), ''), ',')))
)
select coalesce(s.slot_name::text, ''), coalesce(r.application_name, ''),
       (select string_agg(quote_ident(slot_name), ', ') from waited where slot_name <> ''),
       current_setting('server_version_num')::int >= 170000
from (select pid, application_name from pg_stat_replication
      where state in ('streaming', 'catchup') and application_name not in ('pg_receivewal', 'pg_basebackup')
        and pid not in (select active_pid from pg_replication_slots where slot_type = 'logical' and active)) r
full join (select slot_name, active_pid from pg_replication_slots
           where slot_type = 'physical' and not temporary
             and not exists (select from pg_stat_replication b
                             where b.pid = active_pid and b.application_name in ('pg_receivewal', 'pg_basebackup'))) s
  on s.active_pid = r.pid
where s.slot_name is null or s.slot_name::text not in (select slot_name from waited)
order by 1, 2

-- name: isolations
-- Where a default above READ COMMITTED stands: for a role, in a database, or for the server.
select coalesce((select rolname::text from pg_roles where oid = s.setrole), ''),
       coalesce((select datname::text from pg_database where oid = s.setdatabase), '')
from pg_db_role_setting s
where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and s.setconfig && array['default_transaction_isolation=repeatable read', 'default_transaction_isolation=serializable']
union all
select '', '' from pg_settings
where name = 'default_transaction_isolation' and source = 'configuration file'
  and setting in ('repeatable read', 'serializable')
order by 1, 2
