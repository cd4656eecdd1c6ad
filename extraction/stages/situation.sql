-- What a side says of itself besides the home.

-- name: records_migrations
select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               where n.nspname = %(schema)s and c.relname = 'django_migrations')

-- name: last_migrated_at
select max(applied) from {schema}.django_migrations
