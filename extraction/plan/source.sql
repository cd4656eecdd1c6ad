-- What a plan asks of the database that a module lives in. Everything here only reads.

-- name: careful
-- Nobody waits for a plan, and it changes nothing.
select set_config('default_transaction_read_only', 'on', false), set_config('lock_timeout', '1s', false),
       set_config('statement_timeout', '15s', false), set_config('search_path', 'pg_catalog', false)

-- name: of_server
select current_setting('server_version'), current_database(), current_user, pg_is_in_recovery()

-- name: home
select home, epoch from {placement}

-- name: has_placement
select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = %(schema)s and c.relname = %(placement)s)

-- name: tables
-- `rows` is what the last ANALYZE estimated, -1 before the first. Toast counts with its index.
select c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relispartition,
       c.reltuples::int8 as rows,
       case c.relkind when 'r' then pg_relation_size(c.oid) else 0 end as heap,
       case c.relkind when 'r' then pg_indexes_size(c.oid) else 0 end as indexes,
       case c.relkind when 'r' then pg_total_relation_size(c.oid) - pg_relation_size(c.oid) - pg_indexes_size(c.oid)
            else 0 end as toast
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.oid in ({members}) and c.relname <> all (%(without)s)
order by pg_total_relation_size(c.oid) desc, c.relname

-- name: within
select set_config('statement_timeout', %(ms)s, true)

-- name: rows
select count(*) from {table}

-- name: sequences
select s.oid::regclass::text
from pg_class s
join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid and d.refclassid = 'pg_class'::regclass
where s.relkind = 'S' and d.deptype in ('a', 'i') and d.refobjid in ({members})
order by 1

-- name: counters
select clock_timestamp(),
       (select coalesce(sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del), 0)::int8 from pg_stat_user_tables t
        where t.relid in ({members})),
       (select sum(d.tup_inserted + d.tup_updated + d.tup_deleted)::int8 from pg_stat_database d),
       (select xact_commit::int8 from pg_stat_database where datname = current_database()),
       (pg_current_wal_lsn() - '0/0')::int8

-- name: statements
-- Where pg_stat_statements is installed.
select sum(calls)::int8 from {extension}.pg_stat_statements
where dbid = (select oid from pg_database where datname = current_database())

-- name: extension
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = %(name)s

-- name: written
-- Rows written since the counters were reset, and when that was.
select coalesce(sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del), 0)::int8,
       (select stats_reset from pg_stat_database where datname = current_database())
from pg_stat_user_tables t
where t.relid in ({members}) and t.relname <> all (%(without)s)

-- name: transactions
select pid, coalesce(usename, '?'), coalesce(datname, '?'), coalesce(application_name, ''), state,
       extract(epoch from clock_timestamp() - xact_start)::float8
from pg_stat_activity
where xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'
  and clock_timestamp() - xact_start > interval '1 second'
order by 6 desc
limit 5

-- name: sees_others
select pg_has_role(current_user, 'pg_read_all_stats', 'usage')

-- name: slot_limit
-- In bytes; none is -1.
select case when setting::int8 < 0 then -1 else setting::int8 * 1048576 end
from pg_settings where name = 'max_slot_wal_keep_size'

-- name: directory
select current_setting('data_directory'), current_setting('port')::int

-- name: foreign_keys
-- A key of a partitioned table is told once, of the parent.
select f.conname, n.nspname, c.relname, f.confrelid::regclass::text, pg_get_constraintdef(f.oid),
       f.conrelid in ({members}),
       (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
        where a.attrelid = f.conrelid and a.attnum = any (f.conkey)),
       f.confdeltype::text
from pg_constraint f
join pg_class c on c.oid = f.conrelid
join pg_namespace n on n.oid = c.relnamespace
where f.contype = 'f' and f.conparentid = 0 and (f.conrelid in ({members})) <> (f.confrelid in ({members}))
order by 3, 1

-- name: views
-- Those that read tables of the module and of others.
select n.nspname, v.relname, v.relkind::text, pg_get_viewdef(v.oid, true),
       array_agg(distinct d.refobjid::regclass::text) filter (where d.refobjid in ({members})),
       array_agg(distinct d.refobjid::regclass::text) filter (where d.refobjid not in ({members}))
from pg_rewrite r
join pg_class v on v.oid = r.ev_class
join pg_namespace n on n.oid = v.relnamespace
join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
                and d.refclassid = 'pg_class'::regclass and d.refobjid <> v.oid
where v.relkind in ('v', 'm')
group by v.oid, n.nspname, v.relname, v.relkind
having bool_or(d.refobjid in ({members})) and bool_or(d.refobjid not in ({members}))
order by 1, 2

-- name: owners
-- Who owns the module's tables, may they write past a fence, and what else is theirs.
select pg_get_userbyid(c.relowner), count(*),
       bool_or(r.rolsuper or has_parameter_privilege(r.oid, 'session_replication_role', 'SET')),
       (select count(*) from pg_class o join pg_namespace n on n.oid = o.relnamespace
        where o.relowner = c.relowner and o.relkind in ('r', 'p') and o.oid not in ({members})
          and o.relname <> 'django_migrations' and n.nspname !~ '^(pg_|information_schema$)')
from pg_class c
join pg_roles r on r.oid = c.relowner
where c.oid in ({members})
group by c.relowner
order by 2 desc

-- name: numbers
-- Sequences that a default of the module's tables, or of django_migrations, draws from, and whether they go with their
-- table to a new owner. An identity column asks for no right on its sequence.
select distinct n.nspname, s.relname,
       exists (select from pg_depend o where o.classid = 'pg_class'::regclass and o.objid = s.oid and o.deptype = 'a'
               and o.refclassid = 'pg_class'::regclass and o.refobjid in ({members}))
from pg_attrdef a
join pg_class t on t.oid = a.adrelid
join pg_namespace h on h.oid = t.relnamespace
join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid and d.refclassid = 'pg_class'::regclass
join pg_class s on s.oid = d.refobjid and s.relkind = 'S'
join pg_namespace n on n.oid = s.relnamespace
where t.oid in ({members}) or (h.nspname = %(schema)s and t.relname = 'django_migrations')
order by 1, 2

-- name: functions
select n.nspname, p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = %(schema)s and p.proname = any (%(names)s)

-- name: role_exists
select exists (select from pg_roles where rolname = %(role)s)

-- name: schema_exists
select exists (select from pg_namespace where nspname = %(schema)s)

-- name: types_of_schema
-- Whether columns of the module have types of the schema that it leaves.
select exists (select from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_namespace n on n.oid = t.typnamespace
               where a.attrelid in ({members}) and a.attnum > 0 and n.nspname = %(schema)s)
