-- What a side says of itself and of the module.

-- name: is_installed
select exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
               where n.nspname = %(schema)s and p.proname = %(installs)s)
   and exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = %(schema)s and c.relname = %(placement)s)

-- name: is_ours
select exists (select from pg_roles where rolname = %(writer)s)

-- name: records_migrations
select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = %(schema)s and c.relname = 'django_migrations')

-- name: migrations
select app, name from {schema}.django_migrations
