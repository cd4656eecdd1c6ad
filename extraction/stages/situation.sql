-- What a side says of itself besides the home.

-- name: migration_books
-- Where migrations are recorded: in the module's schema, or with those of the whole project.
select n.nspname
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname in (%(schema)s, 'public') and c.relname = 'django_migrations'

-- name: last_migrated_at
-- Those of other apps are recorded there too. All count where the module names no app.
select max(applied) from {schema}.django_migrations where %(labels)s::text[] is null or app = any (%(labels)s::text[])
