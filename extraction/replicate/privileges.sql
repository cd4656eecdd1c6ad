-- What the coordinator's role may do in a database, and what it lacks to move a module without being a superuser.

-- name: role
select current_user::text

-- name: attributes
select rolsuper, rolcreaterole, rolreplication from pg_catalog.pg_roles where rolname = %(role)s

-- name: database
select current_database()::text,
       has_database_privilege(%(role)s, current_database(), 'connect with grant option'),
       has_database_privilege(%(role)s, current_database(), 'create with grant option')

-- name: owners
select r.rolname::text,
       pg_has_role(%(role)s, r.oid, 'usage') and pg_has_role(%(role)s, r.oid, 'set')
       and pg_has_role(%(role)s, r.oid, 'member with admin option')
from pg_catalog.pg_roles r
where r.rolname <> %(role)s and exists (
  select from pg_catalog.pg_class c where c.oid in ({members}) and c.relowner = r.oid)
order by 1

-- name: schema
-- Whoever owns it passes it on; and what everybody may use needs nobody's leave.
select n.nspname::text,
       has_schema_privilege('public', n.oid, 'usage')
       or exists (select from pg_catalog.pg_class c where c.oid in ({members}) and c.relowner = n.nspowner),
       has_schema_privilege(%(role)s, n.oid, 'usage with grant option')
from pg_catalog.pg_namespace n where n.nspname = %(schema)s

-- name: memberships
select r.rolname::text,
       pg_has_role(%(role)s, r.oid, 'usage')
       and (r.rolname <> 'pg_create_subscription' or pg_has_role(%(role)s, r.oid, 'member with admin option'))
from pg_catalog.pg_roles r
where r.rolname = any (%(memberships)s)
order by array_position(%(memberships)s, r.rolname::text)

-- name: parameters
-- Those that ordinary roles may set on this server need no grant.
select s.name, has_parameter_privilege(%(role)s, s.name, 'set')
from pg_catalog.pg_settings s
where s.name = any (%(parameters)s) and s.context = 'superuser'
order by array_position(%(parameters)s, s.name)

-- name: functions
select p.oid::regprocedure::text, has_function_privilege(%(role)s, p.oid, 'execute')
from pg_catalog.pg_proc p
where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any (%(functions)s)
order by array_position(%(functions)s, p.proname::text)
