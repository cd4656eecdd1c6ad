-- What the catalogs say of the modules' edges. No query needs a right; `residents` are the modules of this database,
-- `roles` those of the whole server.

-- name: server
select pg_postmaster_start_time()::text as started, d.oid::bigint as database, session_user::text as role
from pg_catalog.pg_database d where d.datname = current_database()

-- name: careful
-- Nothing is found by an unqualified name, so that every name is written with its schema.
select set_config('search_path', '', true) as path, set_config('statement_timeout', %(timeout)s, true) as statement,
       set_config('lock_timeout', %(timeout)s, true) as lock

-- name: absent
select r.module, r.schema, current_database()::text as database
from jsonb_to_recordset(%(residents)s) as r (module text, schema text)
where r.schema not in (select nspname from pg_namespace)

-- name: foreign_keys
-- Between tables of two modules; and from a module's schema to a table of none, which cannot leave with it.
with resident as (
  select * from jsonb_to_recordset(%(residents)s) as r (module text, schema text, is_shared bool, tables text[])
), owned as (
  select c.oid, n.nspname, coalesce(alone.module, among.module) as module, alone.module is not null as is_alone
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_class root on root.oid = coalesce(pg_partition_root(c.oid), c.oid)
  left join pg_namespace place on place.oid = root.relnamespace
  left join resident alone on not alone.is_shared and alone.schema = n.nspname
  left join resident among on among.is_shared and among.schema = place.nspname and root.relname = any (among.tables)
  where c.relkind in ('r', 'p', 'f')
)
select f.conname::text as name, a.module, coalesce(b.module, '') as other,
       f.conrelid::regclass::text as "table", f.confrelid::regclass::text as target, f.confdeltype in ('c', 'n', 'd') as acts,
       pg_get_constraintdef(f.oid) as definition,
       format('ALTER TABLE %%s DROP CONSTRAINT %%I', f.conrelid::regclass, f.conname) as mend
from pg_constraint f
join owned a on a.oid = f.conrelid and a.module is not null
join owned b on b.oid = f.confrelid
where f.contype = 'f' and f.conparentid = 0
  and (a.module <> b.module or b.module is null and a.is_alone and a.nspname <> b.nspname)
order by 4, 1

-- name: dependencies
-- Of what hangs on what across an edge, by pg_depend: views, rules, parsed functions, triggers, defaults, sequences,
-- types, partitions. Each thing stands for what it is part of: a rule for its view, a default for its table. What is
-- no module's is kept where something may pass through it: views, rules, triggers and functions. Foreign keys are asked
-- for above. `lends` says with whose rights it is passed: 'all' with others than the asker's, whatever comes behind; 'own'
-- with others, but for what comes behind a view; 'writes' the same, by whoever writes; 'no' with the asker's.
with resident as (
  select * from jsonb_to_recordset(%(residents)s) as r (module text, schema text, is_shared bool, tables text[])
), space as (
  select n.oid, r.module from pg_namespace n left join resident r on not r.is_shared and r.schema = n.nspname
  where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and n.nspname !~ '^pg_(toast_)?temp_'
), head as (
  -- An index, a partition and an owned sequence are their table's.
  select c.oid, coalesce(pg_partition_root(t.oid), t.oid) as head
  from pg_class c
  left join pg_index i on i.indexrelid = c.oid
  left join pg_depend d on c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid
    and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
  join pg_class t on t.oid = coalesce(i.indrelid, d.refobjid, c.oid)
  join space s on s.oid = c.relnamespace
), relation as materialized (
  select c.oid, c.relkind in ('v', 'm', 'f') as passes, coalesce(s.module, among.module) as module,
         case when c.relkind in ('m', 'f') then 'all'
              when c.relkind <> 'v' then 'writes'
              when exists (select from pg_options_to_table(c.reloptions) o
                           where o.option_name = 'security_invoker' and o.option_value::bool) then 'no'
              else 'own' end as lends
  from head h
  join pg_class c on c.oid = h.oid
  join space s on s.oid = c.relnamespace
  join pg_class t on t.oid = h.head
  join pg_namespace n on n.oid = t.relnamespace
  left join resident among on among.schema = n.nspname and (not among.is_shared or t.relname = any (among.tables))
), thing (classid, objid, headclass, head, module, passes, lends) as materialized (
  select 'pg_class'::regclass, oid, 'pg_class'::regclass, oid, module, passes, lends from relation
  union all
  select 'pg_rewrite'::regclass, w.oid, 'pg_class'::regclass, r.oid, r.module, true, r.lends
  from pg_rewrite w join relation r on r.oid = w.ev_class
  union all
  select 'pg_attrdef'::regclass, a.oid, 'pg_class'::regclass, r.oid, r.module, false, r.lends
  from pg_attrdef a join relation r on r.oid = a.adrelid
  union all
  select 'pg_trigger'::regclass, t.oid, 'pg_class'::regclass, r.oid, r.module, true, r.lends
  from pg_trigger t join relation r on r.oid = t.tgrelid
  union all
  select 'pg_policy'::regclass, p.oid, 'pg_class'::regclass, r.oid, r.module, false, r.lends
  from pg_policy p join relation r on r.oid = p.polrelid
  union all
  select 'pg_constraint'::regclass, k.oid, 'pg_class'::regclass, r.oid, r.module, false, r.lends
  from pg_constraint k join relation r on r.oid = k.conrelid where k.contype <> 'f'
  union all
  select 'pg_proc'::regclass, p.oid, 'pg_proc'::regclass, p.oid, s.module, true, case when p.prosecdef then 'all' else 'no' end
  from pg_proc p join space s on s.oid = p.pronamespace
  union all
  select 'pg_type'::regclass, t.oid, 'pg_type'::regclass, t.oid, s.module, false, 'no'
  from pg_type t join space s on s.oid = t.typnamespace
  where t.typrelid = 0 and not exists (select from pg_type e where e.typarray = t.oid)
  union all
  select 'pg_type'::regclass, t.oid, 'pg_type'::regclass, e.oid, s.module, false, 'no'
  from pg_type t join pg_type e on e.typarray = t.oid and e.typrelid = 0 join space s on s.oid = e.typnamespace
  union all
  select 'pg_type'::regclass, t.oid, 'pg_class'::regclass, r.oid, r.module, r.passes, r.lends
  from pg_type t
  left join pg_type e on e.typarray = t.oid
  join relation r on r.oid = coalesce(nullif(t.typrelid, 0), e.typrelid)
  union all
  select 'pg_collation'::regclass, o.oid, 'pg_collation'::regclass, o.oid, s.module, false, 'no'
  from pg_collation o join space s on s.oid = o.collnamespace
  union all
  select 'pg_operator'::regclass, o.oid, 'pg_operator'::regclass, o.oid, s.module, false, 'no'
  from pg_operator o join space s on s.oid = o.oprnamespace
  union all
  select 'pg_opclass'::regclass, o.oid, 'pg_opclass'::regclass, o.oid, s.module, false, 'no'
  from pg_opclass o join space s on s.oid = o.opcnamespace
  union all
  select 'pg_ts_config'::regclass, o.oid, 'pg_ts_config'::regclass, o.oid, s.module, false, 'no'
  from pg_ts_config o join space s on s.oid = o.cfgnamespace
), edge as (
  select distinct one.module, other.module as other, one.headclass, one.head, one.lends,
         other.headclass as otherclass, other.head as otherhead,
         -- A view is named for its own rule, a column for the type that it has.
         case when d.classid = 'pg_rewrite'::regclass and one.lends <> 'writes' then one.headclass else d.classid end as classid,
         case when d.classid = 'pg_rewrite'::regclass and one.lends <> 'writes' then one.head else d.objid end as objid
  from pg_depend d
  join thing one on one.classid = d.classid and one.objid = d.objid
  join thing other on other.classid = d.refclassid and other.objid = d.refobjid
  left join pg_inherits parent on d.classid = 'pg_class'::regclass and parent.inhrelid = d.objid
    and d.refclassid = 'pg_class'::regclass and parent.inhparent = d.refobjid
  where (one.headclass, one.head) <> (other.headclass, other.head)
    and (one.module <> other.module
         or parent.inhrelid is null
         and (one.module is not null or one.passes)
         and (one.module is null and other.module is not null
              or other.module is null and (other.passes or other.head in (select inhparent from pg_inherits))))
)
select e.module, e.other, format('%%s/%%s', e.headclass::oid, e.head) as head,
       format('%%s/%%s', e.otherclass::oid, e.otherhead) as target,
       i.type || ' ' || i.identity as what, o.type || ' ' || o.identity as "on", h.type || ' ' || h.identity as through, e.lends
from edge e
cross join lateral pg_identify_object(e.classid, e.objid, 0) i
cross join lateral pg_identify_object(e.otherclass, e.otherhead, 0) o
cross join lateral pg_identify_object(e.headclass, e.head, 0) h
order by 5, 6

-- name: heirs
-- Tables of no module, with each table that stands under them: whoever may read or write the parent may that too, whatever
-- is granted on it.
with resident as (
  select * from jsonb_to_recordset(%(residents)s) as r (module text, schema text, is_shared bool, tables text[])
), owned as (
  select c.oid, r.module
  from pg_class c
  join pg_class root on root.oid = coalesce(pg_partition_root(c.oid), c.oid)
  join pg_namespace n on n.oid = c.relnamespace
  join pg_namespace place on place.oid = root.relnamespace
  left join resident r on not r.is_shared and r.schema = n.nspname
    or r.schema = place.nspname and (not r.is_shared or root.relname = any (r.tables))
    and n.nspname not in (select schema from resident where not is_shared)
  where c.relkind in ('r', 'p', 'f')
)
select null as module, c.module as other, format('%%s/%%s', 'pg_class'::regclass::oid, i.inhparent) as head,
       format('%%s/%%s', 'pg_class'::regclass::oid, i.inhrelid) as target, 'table ' || i.inhparent::regclass as what,
       'table ' || i.inhrelid::regclass as "on", 'table ' || i.inhparent::regclass as through, 'all' as lends
from pg_inherits i
join owned p on p.oid = i.inhparent and p.module is null
join owned c on c.oid = i.inhrelid
order by 5, 6

-- name: bodies
-- Functions whose text PostgreSQL keeps as it was written: it knows nothing of what they name. And foreign tables of
-- postgres_fdw, as a text that is the name of the table that they stand for.
with resident as (
  select * from jsonb_to_recordset(%(residents)s) as r (module text, schema text, is_shared bool, tables text[])
), body as (
  select r.module, p.tableoid, p.oid, p.prosrc as text, l.lanname in ('sql', 'plpgsql') as is_sql, 'names' as says,
         case when p.prosecdef then 'all' else 'no' end as lends,
         coalesce((select substr(s, 13) from unnest(p.proconfig) s where s like 'search\_path=%%'),
                  quote_ident(n.nspname) || ', public') as path
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace and n.nspname not in ('pg_catalog', 'information_schema')
  join pg_language l on l.oid = p.prolang and l.lanname not in ('c', 'internal')
  left join resident r on not r.is_shared and r.schema = n.nspname
  where p.prosrc <> ''
  union all
  select r.module, c.tableoid, c.oid, format('%%I.%%I', coalesce(o.schema, n.nspname), coalesce(o.name, c.relname)),
         true, 'is', 'all', ''
  from pg_foreign_table f
  join pg_class c on c.oid = f.ftrelid
  join pg_namespace n on n.oid = c.relnamespace
  left join resident r on r.schema = n.nspname and (not r.is_shared or c.relname = any (r.tables))
  cross join lateral (
    select max(option_value) filter (where option_name = 'schema_name') as schema,
           max(option_value) filter (where option_name = 'table_name') as name
    from pg_options_to_table(f.ftoptions)) o
)
select b.module, format('%%s/%%s', b.tableoid, b.oid) as head, i.type || ' ' || i.identity as what, b.text, b.is_sql, b.says,
       b.lends, b.path
from body b
cross join lateral pg_identify_object(b.tableoid, b.oid, 0) i
where not exists (select from pg_depend d where d.classid = b.tableoid and d.objid = b.oid and d.deptype = 'e')
order by 3

-- name: names
-- Which a text may mean: of the modules' relations and functions, and of what is no module's and lets something pass.
with resident as (
  select * from jsonb_to_recordset(%(residents)s) as r (module text, schema text, is_shared bool, tables text[])
), named as (
  select r.module, n.nspname, c.relname as name, c.tableoid, c.oid
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace and n.nspname not in ('pg_catalog', 'information_schema')
  left join resident r on r.schema = n.nspname and (not r.is_shared or c.relname = any (r.tables))
  where c.relkind in ('v', 'm', 'f') or c.relkind in ('r', 'p', 'S') and (r.module is not null or c.relhassubclass)
  union all
  select r.module, n.nspname, p.proname, p.tableoid, p.oid
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace and n.nspname not in ('pg_catalog', 'information_schema')
  left join resident r on not r.is_shared and r.schema = n.nspname
)
select e.module, e.nspname::text as schema, e.name::text, format('%%s/%%s', e.tableoid, e.oid) as head,
       i.type || ' ' || i.identity as what
from named e
cross join lateral pg_identify_object(e.tableoid, e.oid, 0) i
where not exists (select from pg_depend d where d.classid = e.tableoid and d.objid = e.oid and d.deptype = 'e')

-- name: users
-- Of things that are no module's: who may use them, and the schema that they stand in, with others' rights than its own.
-- What a trigger calls nobody can call. An owner's view has the owner's rights; a table above others', all of theirs.
with asker as (
  select a.module, a.role, r.oid from jsonb_to_recordset(%(roles)s) as a (module text, role text)
  join pg_roles r on r.rolname = a.role and not r.rolsuper and has_database_privilege(r.oid, current_database(), 'CONNECT')
), thing as (
  select c.tableoid, c.oid, c.relnamespace as space, c.relowner as owner, 'TABLE ' || c.oid::regclass as name, p.name as privilege,
         has_table_privilege('public', c.oid, p.name) as is_public, coalesce(c.relacl, acldefault('r', c.relowner)) as acl,
         c.relhassubclass as is_parent
  from pg_class c cross join (values ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) as p (name)
  where c.relkind in ('v', 'm', 'f') or c.relhassubclass or p.name <> 'SELECT'
  union all
  select p.tableoid, p.oid, p.pronamespace, p.proowner, 'ROUTINE ' || p.oid::regprocedure, 'EXECUTE',
         has_function_privilege('public', p.oid, 'EXECUTE'), coalesce(p.proacl, acldefault('f', p.proowner)), false
  from pg_proc p where p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
), held as (
  select a.module, a.role, format('%%s/%%s', t.tableoid, t.oid) as head, t.name, t.privilege, t.is_public,
         exists (
           select from aclexplode(t.acl) x where x.grantee in (0, a.oid) and x.privilege_type = t.privilege
           union all
           select from pg_attribute c cross join lateral aclexplode(c.attacl) x
           where t.tableoid = 'pg_class'::regclass and c.attrelid = t.oid and x.grantee in (0, a.oid)
             and x.privilege_type = t.privilege) as is_granted
  from asker a
  join thing t on (t.owner <> a.oid or t.is_parent) and has_schema_privilege(a.oid, t.space, 'USAGE')
  where format('%%s/%%s', t.tableoid, t.oid) = any (%(heads)s)
    and case t.privilege when 'EXECUTE' then has_function_privilege(a.oid, t.oid, 'EXECUTE')
                         when 'DELETE' then has_table_privilege(a.oid, t.oid, 'DELETE')
                         else has_any_column_privilege(a.oid, t.oid, t.privilege) end
)
select module, role, head, name, array_agg(privilege order by privilege) as privileges, is_public, is_granted, false as is_owner
from held
group by 1, 2, 3, 4, 6, 7
order by 1, 4

-- name: attributes
-- What goes over every wall.
select r.rolname::text as role, has.attribute
from pg_roles r
cross join lateral (values ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls), ('CREATEROLE', r.rolcreaterole),
                           ('REPLICATION', r.rolreplication)) as has (attribute, is_given)
where r.rolname in (select role from jsonb_to_recordset(%(residents)s) as r (role text)) and has.is_given
order by 1, 2

-- name: memberships
-- All roles that a module's own may act as, step by step, and what each is good for. Since PostgreSQL 16 a membership
-- may give neither the rights of the role, nor SET ROLE, nor the right to grant either: that is none. An attribute is
-- had by SET ROLE alone.
with recursive resident as (
  select * from jsonb_to_recordset(%(residents)s) as r (module text, role text, schema text, is_shared bool, tables text[])
), membership as (
  select m.member, m.roleid, coalesce((j ->> 'set_option')::bool, true) or m.admin_option as sets
  from pg_auth_members m cross join lateral to_jsonb(m) j
  where coalesce((j ->> 'inherit_option')::bool, true) or coalesce((j ->> 'set_option')::bool, true) or m.admin_option
), reach (role, oid, path, sets) as (
  select r.rolname::text, m.roleid, array[g.rolname::text], m.sets
  from pg_roles r join membership m on m.member = r.oid join pg_roles g on g.oid = m.roleid
  where r.rolname in (select role from resident)
  union
  select e.role, m.roleid, e.path || g.rolname::text, e.sets and m.sets
  from reach e join membership m on m.member = e.oid join pg_roles g on g.oid = m.roleid
)
select e.role, g.rolname::text as group, e.path, g.rolsuper as is_super,
       array(select a.name from (values ('BYPASSRLS', g.rolbypassrls), ('CREATEROLE', g.rolcreaterole),
                                        ('REPLICATION', g.rolreplication)) as a (name, is_given)
             where a.is_given and e.sets and not g.rolsuper) as attributes,
       g.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program', 'pg_read_server_files',
                     'pg_write_server_files') as is_wide,
       array(
         select r.module from resident r
         where r.role <> e.role and (
           r.role = g.rolname
           or not r.is_shared and exists (
             select from pg_namespace n
             where n.nspname = r.schema and has_schema_privilege(g.oid, n.oid, 'USAGE, CREATE')
               and not has_schema_privilege('public', n.oid, 'USAGE, CREATE')
               and not has_schema_privilege(e.role, n.oid, 'USAGE, CREATE'))
           or r.is_shared and exists (
             select from pg_class c join pg_namespace n on n.oid = c.relnamespace
             cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as p (name)
             where n.nspname = r.schema and c.relname = any (r.tables) and (
               c.relowner = g.oid
               or has_schema_privilege(g.oid, n.oid, 'USAGE')
               and case when p.name in ('DELETE', 'TRUNCATE', 'TRIGGER')
                        then has_table_privilege(g.oid, c.oid, p.name) and not has_table_privilege(e.role, c.oid, p.name)
                        else has_any_column_privilege(g.oid, c.oid, p.name)
                          and not has_any_column_privilege(e.role, c.oid, p.name) end)))
         order by 1) as modules
from reach e join pg_roles g on g.oid = e.oid
order by 1, cardinality(e.path), 2

-- name: schemas
-- Here and below: who may not connect to the database holds nothing in it.
with resident as (
  select * from jsonb_to_recordset(%(residents)s) as r (module text, role text, schema text, is_shared bool)
), asker as (
  select a.module, a.role, r.oid from jsonb_to_recordset(%(roles)s) as a (module text, role text)
  join pg_roles r on r.rolname = a.role and not r.rolsuper and has_database_privilege(r.oid, current_database(), 'CONNECT')
)
select a.module, r.module as other, a.role, quote_ident(r.schema) as schema, array_agg(p.name order by p.name) as privileges,
       bool_or(has_schema_privilege('public', n.oid, p.name)) as is_public, n.nspowner = a.oid as is_owner,
       exists (select from aclexplode(n.nspacl) x where x.grantee in (0, a.oid)) as is_granted
from asker a
join resident r on r.module <> a.module and r.role <> a.role and not r.is_shared
join pg_namespace n on n.nspname = r.schema
cross join (values ('USAGE'), ('CREATE')) as p (name)
where has_schema_privilege(a.oid, n.oid, p.name)
group by 1, 2, 3, 4, n.oid, a.oid
order by 1, 2

-- name: relations
with resident as (
  select * from jsonb_to_recordset(%(residents)s) as r (module text, role text, schema text, is_shared bool, tables text[])
), asker as (
  select a.module, a.role, r.oid from jsonb_to_recordset(%(roles)s) as a (module text, role text)
  join pg_roles r on r.rolname = a.role and not r.rolsuper and has_database_privilege(r.oid, current_database(), 'CONNECT')
), owned as (
  select c.oid, c.relkind, c.relowner, r.module, r.role
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_depend d on c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid
    and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
  join pg_class t on t.oid = coalesce(d.refobjid, c.oid)
  join pg_class root on root.oid = coalesce(pg_partition_root(t.oid), t.oid)
  join pg_namespace place on place.oid = root.relnamespace
  join resident r on (not r.is_shared or root.relname = any (r.tables))
    and r.schema = case when n.nspname in (select schema from resident where not is_shared) then n.nspname else place.nspname end
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
), held as (
  select a.module, o.module as other, a.role, o.oid, o.relkind = 'S' as is_sequence, o.relowner = a.oid as is_owner, p.name,
         exists (
           select from pg_class c cross join lateral aclexplode(c.relacl) x
           where c.oid = o.oid and x.grantee in (0, a.oid) and x.privilege_type = p.name
           union all
           select from pg_attribute t cross join lateral aclexplode(t.attacl) x
           where t.attrelid = o.oid and x.grantee in (0, a.oid) and x.privilege_type = p.name) as is_granted,
         case when o.relkind = 'S' then has_sequence_privilege('public', o.oid, p.name)
              else has_table_privilege('public', o.oid, p.name) end as is_public,
         case when o.relkind = 'S' then has_sequence_privilege(a.oid, o.oid, p.name)
              else has_table_privilege(a.oid, o.oid, p.name) end as is_whole
  from asker a
  join owned o on o.module <> a.module and o.role <> a.role
  cross join lateral unnest(case when o.relkind = 'S' then array['USAGE', 'SELECT', 'UPDATE']
    else array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'] end) as p (name)
  where case when o.relkind = 'S' then has_sequence_privilege(a.oid, o.oid, p.name)
             when p.name in ('DELETE', 'TRUNCATE', 'TRIGGER') then has_table_privilege(a.oid, o.oid, p.name)
             else has_any_column_privilege(a.oid, o.oid, p.name) end
)
select module, other, role, oid::regclass::text as relation, is_sequence, is_owner, is_public, is_whole, is_granted,
       array_agg(name order by name) as privileges
from held
group by 1, 2, 3, oid, 5, 6, 7, 8, 9
order by 1, 2, 4

-- name: functions
-- Granted by name; that everybody may execute a function by default reaches nothing without a right in its schema.
select a.module, r.module as other, a.role, p.oid::regprocedure::text as function
from jsonb_to_recordset(%(roles)s) as a (module text, role text)
join pg_roles o on o.rolname = a.role and not o.rolsuper and has_database_privilege(o.oid, current_database(), 'CONNECT')
join jsonb_to_recordset(%(residents)s) as r (module text, role text, schema text, is_shared bool)
  on r.module <> a.module and r.role <> a.role and not r.is_shared
join pg_namespace n on n.nspname = r.schema
join pg_proc p on p.pronamespace = n.oid
where exists (select from aclexplode(p.proacl) x where x.grantee = o.oid)
order by 1, 2, 4

-- name: default_privileges
-- What will be granted on things that are not made yet.
select a.module, r.module as other, a.role, quote_ident(pg_get_userbyid(d.defaclrole)) as maker,
       coalesce(quote_ident(n.nspname), '') as schema, array_agg(distinct x.privilege_type order by x.privilege_type) as privileges,
       case d.defaclobjtype when 'r' then 'TABLES' when 'S' then 'SEQUENCES' when 'f' then 'FUNCTIONS'
                            when 'T' then 'TYPES' when 'n' then 'SCHEMAS' else d.defaclobjtype::text end as kind,
       case when x.grantee = 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(x.grantee)) end as grantee
from pg_default_acl d
cross join lateral aclexplode(d.defaclacl) x
left join pg_namespace n on n.oid = d.defaclnamespace
join jsonb_to_recordset(%(residents)s) as r (module text, role text, schema text, is_shared bool)
  on n.nspname = r.schema and not r.is_shared
  or (n.oid is null or n.nspname = r.schema) and pg_get_userbyid(d.defaclrole) = r.role
join jsonb_to_recordset(%(roles)s) as a (module text, role text) on a.module <> r.module and a.role <> r.role
join pg_roles o on o.rolname = a.role and not o.rolsuper
  and has_database_privilege(o.oid, current_database(), 'CONNECT')
where x.grantee <> d.defaclrole
  and (x.grantee = 0 and d.defaclobjtype not in ('f', 'T')
       or x.grantee <> 0 and pg_has_role(o.oid, x.grantee, 'member'))
group by 1, 2, 3, 4, 5, d.defaclobjtype, x.grantee
order by 1, 2, 4, 5
