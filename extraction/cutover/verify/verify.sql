-- Both sides are compared in their servers; the client sees hashes, and of rows that differ the key. All is composed and
-- nothing takes values beside it, for a name may hold a percent sign.

-- name: pin
-- How values are written, so that equal rows have equal texts; no limit that a role, database or server may have; as
-- many processes as workers; and nothing goes on for a coordinator that was killed.
select set_config(name, value, false)
from (values ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'),
             ('extra_float_digits', '1'), ('lc_monetary', 'C'), ('xmlbinary', 'base64'), ('search_path', 'pg_catalog'),
             ('client_encoding', 'UTF8'), ('statement_timeout', '0'), ('transaction_timeout', '0'),
             ('idle_in_transaction_session_timeout', {idle_ms}), ('client_connection_check_interval', '1s'),
             ('max_parallel_workers_per_gather', '0'), ('jit', 'off')) pinned (name, value)
join pg_settings using (name)

-- name: begin
begin isolation level repeatable read read only

-- name: export
select pg_export_snapshot()

-- name: idle
-- Until the transaction ends.
select set_config('idle_in_transaction_session_timeout', {idle_ms}, true)

-- name: import
set transaction snapshot {snapshot}

-- name: dialect
-- Equal on two servers that hash alike.
select current_setting('server_version_num')::int / 10000,
       hash_record_extended(row(record_send(row(1, 2::bigint, 'é'::text, 1.50, timestamptz 'epoch', '\x00'::bytea))), 1)

-- name: tables
-- Partitions are compared through their root. Without a key the whole row is the key. `is_plain`: what the type sends
-- is the same for the same value everywhere, and different for different ones (numeric sends its scale; floats send
-- bits that their text does not show, and names of objects are oids). `ordering`: how the type is sorted, where
-- that can be said. A type without its modifier is written so that it takes any length: character takes one letter.
select c.relname, columns.found, key.names, size.total, size.heap, size.rows, key.correlation
from pg_class c
cross join lateral (
  select jsonb_agg(jsonb_build_object(
      'name', a.attname, 'type', format_type(t.oid, -1), 'is_generated', a.attgenerated <> '',
      'is_plain', t.typtype = 'b' and t.typnamespace = 'pg_catalog'::regnamespace and coalesce(e.typname, t.typname) in
        ('bool', 'int2', 'int4', 'int8', 'oid', 'uuid', 'date', 'time', 'timestamp', 'timestamptz', 'bytea', 'text',
         'varchar', 'bpchar', 'name', 'numeric', 'json', 'jsonb'),
      'ordering', case when t.typtype = 'b' and t.typnamespace = 'pg_catalog'::regnamespace and e.oid is null then
        concat(t.typname, ' ', case when a.attcollation <> 0 then concat(getdatabaseencoding(), ' ',
          case when l.collprovider = 'd'
               then concat(d.datlocprovider, ' ', d.datcollate, ' ', to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale',
                           ' ', to_jsonb(d) ->> 'daticurules', ' ', pg_database_collation_actual_version(d.oid))
               else concat(to_jsonb(l) - 'oid' - 'collname' - 'collnamespace' - 'collowner' - 'collversion' - 'collencoding',
                           ' ', pg_collation_actual_version(l.oid)) end) end) end)
    order by a.attnum)
  from pg_attribute a
  join pg_type t on t.oid = a.atttypid
  left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
  left join pg_collation l on l.oid = a.attcollation
  join pg_database d on d.datname = current_database()
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) columns (found)
left join lateral (
  select array_agg(a.attname::text order by k.place), min(s.correlation) filter (where k.place = 1)
  from pg_index i
  cross join unnest(i.indkey) with ordinality k (attnum, place)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  left join pg_stats s on s.schemaname = {schema} and s.tablename = c.relname and s.attname = a.attname and not s.inherited
  where i.indrelid = c.oid and (i.indisprimary or i.indisreplident) and k.place <= i.indnkeyatts
  group by i.indexrelid, i.indisprimary
  order by i.indisprimary desc
  limit 1) key (names, correlation) on true
cross join lateral (
  select coalesce(sum(pg_table_size(p.oid)), 0)::bigint, coalesce(sum(pg_relation_size(p.oid)), 0)::bigint,
         coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint
  from pg_class p
  where p.oid = c.oid and c.relkind = 'r' or c.relkind = 'p' and p.oid in (
    select relid from pg_partition_tree(c.oid) where isleaf)) size (total, heap, rows)
where c.oid in ({members}) and not c.relispartition and c.relname <> all ({without}::text[])
  and columns.found is not null
order by c.relname

-- name: borders
-- Every so many rows of some pages of the table, in the order of the key.
select array[{texts}]
from (select {key}, row_number() over (order by {key}) as place, count(*) over () as total
      from {table} tablesample system ({percent}) repeatable ({seed})) sampled
where place % greatest(total / {chunks}, 1) = 0
order by place

-- name: binary_row
record_send(row({values}))

-- name: text_row
convert_to(row({values})::text, 'UTF8')

-- name: binary_hash
hash_record_extended(row({of}), {seed})

-- name: text_hash
('x' || substr(md5({of}), 1 + 16 * {seed}, 16))::bit(64)::bigint

-- name: digest
-- A sum, in which equal rows do not cancel each other, and an exclusive or of a second hash.
select count(*), coalesce(sum({first}), 0), coalesce(bit_xor({second}), 0)
from (select {row} as r from {table} where {within} offset 0) hashed

-- name: rows
-- In an order that is the same on both sides.
select {key_hash}, key, {first}, {second}
from (select array[{key_texts}]::text as key, {row} as r from {table} where {within} offset 0) hashed
order by 1

-- name: cells
select array[{key_texts}]::text, array[{texts}]
from {table}
where {within} and array[{key_texts}]::text = any ({keys}::text[])

-- name: keys
select key::text[] from unnest({keys}::text[]) key

-- name: rows_of
-- By the key's index; `key` in the form of the comparison.
select array[{key_texts}]::text, array[{texts}]
from {table}
where ({key}) in ({keys})

-- name: delete
delete from {table} where ({key}) in ({keys})

-- name: insert
insert into {table} ({stored}) overriding system value values {rows}
