-- How much a module owns, as its own role may ask. Everything here only reads.

-- name: careful
-- For this transaction: nobody waits for a look at sizes.
select set_config('transaction_read_only', 'on', true), set_config('lock_timeout', '1s', true),
       set_config('statement_timeout', '5s', true)

-- name: sizes
-- Tables of a schema, or those of it that are named; a partitioned one with its partitions. `rows` is what the last
-- ANALYZE estimated, null where a part was never analyzed. Bytes are with indexes and toast.
select c.relname, part.rows, part.bytes
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select case when bool_or(p.reltuples < 0) then null else sum(p.reltuples)::int8 end as rows,
         coalesce(sum(pg_catalog.pg_total_relation_size(p.oid)), 0)::int8 as bytes
  from pg_catalog.pg_class p
  where p.relkind = 'r'
    and (p.oid = c.oid or p.oid in (select relid from pg_catalog.pg_partition_tree(c.oid) where c.relkind = 'p'))
) part
where n.nspname = %(schema)s and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'django_migrations'
  and (cardinality(%(only)s::text[]) = 0 or c.relname = any (%(only)s::text[]))
order by c.relname
