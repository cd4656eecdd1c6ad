-- What the server says of itself, and of who sees what.

-- name: server_version()$
select current_setting('server_version_num')::int;

-- name: most_connections()$
select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int;

-- name: administrator()^
-- What the connected role may do.
select rolname, rolsuper, rolcreaterole, rolcreatedb from pg_roles where rolname = current_user;

-- name: role_exists(role)$
select exists (select from pg_roles where rolname = :role);

-- name: database_exists(database)$
select exists (select from pg_database where datname = :database);

-- name: schema_exists(schema)$
select to_regnamespace(quote_ident(:schema)) is not null;

-- name: schema_owner(schema)$
select pg_get_userbyid(nspowner) from pg_namespace where nspname = :schema;

-- name: may_set_role(role)$
select pg_has_role(current_user, :role, case when current_setting('server_version_num')::int >= 160000
                                             then 'SET' else 'MEMBER' end);

-- name: alone()^
-- One at a time: two sessions that alter the same role collide ("tuple concurrently updated").
select pg_advisory_lock(hashtext('extraction.platform.database'));

-- name: attributes(roles)
-- Roles with an attribute that goes over every wall.
select rolname, attribute
from pg_roles, lateral (values ('SUPERUSER', rolsuper), ('BYPASSRLS', rolbypassrls), ('CREATEROLE', rolcreaterole),
                               ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication)) as has (attribute, given)
where rolname = any(:roles) and given
order by 1, 2;

-- name: memberships(roles)
select member.rolname, role.rolname
from pg_auth_members m
join pg_roles member on member.oid = m.member
join pg_roles role on role.oid = m.roleid
where member.rolname = any(:roles)
order by 1, 2;

-- name: foreign_schemas(roles, schemas)
-- Roles that may use or create in one of these schemas without owning it, and through whom: the role or PUBLIC.
select distinct r.rolname, n.nspname, a.privilege_type, case when a.grantee = 0 then 'PUBLIC' else r.rolname end
from pg_namespace n
cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
join pg_roles r on r.oid = a.grantee or a.grantee = 0
where r.rolname = any(:roles) and n.nspname = any(:schemas) and n.nspowner <> r.oid
order by 1, 2, 3;

-- name: foreign_relations(roles, schemas)
-- Roles with a privilege on somebody else's table, view or sequence in one of these schemas.
select distinct r.rolname, n.nspname, c.relname, a.privilege_type,
       case when a.grantee = 0 then 'PUBLIC' else r.rolname end, case when c.relkind = 'S' then 'SEQUENCE' else 'TABLE' end
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join aclexplode(c.relacl) a
join pg_roles r on r.oid = a.grantee or a.grantee = 0
where r.rolname = any(:roles) and n.nspname = any(:schemas) and c.relowner <> r.oid
order by 1, 2, 3, 4;

-- name: foreign_columns(roles, schemas)
select distinct r.rolname, n.nspname, c.relname, t.attname, a.privilege_type,
       case when a.grantee = 0 then 'PUBLIC' else r.rolname end
from pg_attribute t
join pg_class c on c.oid = t.attrelid
join pg_namespace n on n.oid = c.relnamespace
cross join aclexplode(t.attacl) a
join pg_roles r on r.oid = a.grantee or a.grantee = 0
where r.rolname = any(:roles) and n.nspname = any(:schemas) and c.relowner <> r.oid
order by 1, 2, 3, 4, 5;

-- name: public_privileges()
-- What everybody may do in this database.
select 'DATABASE', d.datname, a.privilege_type
from pg_database d cross join aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
where d.datname = current_database() and a.grantee = 0
union all
select 'SCHEMA', n.nspname, a.privilege_type
from pg_namespace n cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
where n.nspname = 'public' and a.grantee = 0
order by 1, 2, 3;
