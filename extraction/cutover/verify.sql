-- Both sides are compared in their servers; the client sees hashes, and of rows that differ the key.

-- name: pin
-- How values are written, so that equal rows have equal texts; and no limit that a role, database or server may have.
select set_config(name, value, false)
from (values ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'),
             ('extra_float_digits', '1'), ('lc_monetary', 'C'), ('xmlbinary', 'base64'), ('search_path', 'pg_catalog'),
             ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
             ('transaction_timeout', '0')) pinned (name, value)
join pg_settings using (name)

-- name: begin
begin isolation level repeatable read read only

-- name: export
select pg_export_snapshot()

-- name: import
set transaction snapshot {snapshot}

-- name: tables
-- Partitions are compared through their root. Without a key the whole row is the key.
select c.relname, columns.names, coalesce(key.names, columns.names)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select array_agg(a.attname::text order by a.attnum) from pg_attribute a
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) columns (names)
left join lateral (
  select array_agg(a.attname::text order by k.place)
  from pg_index i
  cross join unnest(i.indkey) with ordinality k (attnum, place)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  where i.indrelid = c.oid and (i.indisprimary or i.indisreplident) and k.place <= i.indnkeyatts
  group by i.indexrelid, i.indisprimary
  order by i.indisprimary desc
  limit 1) key (names) on true
where n.nspname = {schema} and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> all ({without}::text[])
  and columns.names is not null
order by c.relname

-- name: digest
select count(*), coalesce(sum(hashtextextended(row({columns})::text, 0)::numeric), 0) from {table}

-- name: buckets
-- Rows by some bits of the hash of their key, of those buckets that differed with fewer bits.
select key & {mask}, count(*), sum(hash)
from (select hashtextextended(row({key})::text, 1), hashtextextended(row({columns})::text, 0)::numeric from {table})
  hashed (key, hash)
where key & {known_mask} = any ({known}::bigint[])
group by 1

-- name: rows
select row({key})::text, hashtextextended(row({columns})::text, 0)
from {table}
where hashtextextended(row({key})::text, 1) & {known_mask} = any ({known}::bigint[])

-- name: cells
select row({key})::text, array[{texts}]
from {table}
where row({key})::text = any ({keys}::text[])
