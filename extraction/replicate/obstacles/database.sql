-- What both databases have to have alike.

-- name: database
select pg_encoding_to_char(d.encoding)::text,
       concat_ws(' ', case d.datlocprovider when 'c' then 'libc' when 'i' then 'icu' else 'builtin' end,
                 coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', d.datcollate)),
       d.datcollversion, pg_database_collation_actual_version(d.oid), d.datname::text
from pg_database d where d.datname = current_database()

-- name: has_text_index
-- In the order of the database.
select exists (select from pg_index i
               where i.indrelid in ({members}) and 'pg_catalog."default"'::regcollation::oid = any (i.indcollation::oid[]))

-- name: types
-- That columns of the module have, in themselves or within others, and of what they consist.
with recursive used (oid) as (
  select a.atttypid from pg_attribute a where a.attrelid in ({members}) and a.attnum > 0 and not a.attisdropped
  union
  select part.oid
  from used
  join pg_type t on t.oid = used.oid
  cross join lateral (
    select t.typelem as oid where t.typelem <> 0
    union all select t.typbasetype where t.typbasetype <> 0
    union all select a.atttypid from pg_attribute a
      where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    union all select r.rngsubtype from pg_range r where r.rngtypid = t.oid) part
)
select quote_ident(n.nspname) || '.' || quote_ident(t.typname), t.typtype::text,
       (case t.typtype
          when 'e' then (select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid)
          when 'c' then (select array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) order by a.attnum)
                         from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)
          else array[format_type(t.typbasetype, t.typtypmod) || case when t.typnotnull then ' not null' else '' end]
               || (select array_agg(pg_get_constraintdef(k.oid) order by pg_get_constraintdef(k.oid))
                   from pg_constraint k where k.contypid = t.oid and k.contype = 'c')
        end)::text[]
from used
join pg_type t on t.oid = used.oid and t.typtype in ('e', 'c', 'd')
join pg_namespace n on n.oid = t.typnamespace and n.nspname not in ('pg_catalog', 'information_schema')
where not exists (select from pg_depend d
                  where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
order by 1

-- name: extensions
-- From which a type, an operator class or a function of the module's tables comes.
with used (class, oid) as (
  select 'pg_type'::regclass, coalesce(nullif(t.typelem, 0), t.oid) from pg_attribute a join pg_type t on t.oid = a.atttypid
  where a.attrelid in ({members}) and a.attnum > 0 and not a.attisdropped
  union
  select 'pg_opclass'::regclass, unnest(i.indclass::oid[]) from pg_index i where i.indrelid in ({members})
  union
  select d.refclassid, d.refobjid from pg_attrdef a
  join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid where a.adrelid in ({members})
  union
  select d.refclassid, d.refobjid from pg_index i
  join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = i.indexrelid where i.indrelid in ({members})
)
select distinct e.extname::text, n.nspname::text
from used
join pg_depend d on d.classid = used.class and d.objid = used.oid and d.deptype = 'e'
  and d.refclassid = 'pg_extension'::regclass
join pg_extension e on e.oid = d.refobjid
join pg_namespace n on n.oid = e.extnamespace
order by 1

-- name: has_extension
select exists (select from pg_extension where extname = %(extension)s)
