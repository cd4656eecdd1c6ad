-- name: tables
-- `has_index`: by which a worker finds a row that is known by all its columns. `to_index`: the first column that could.
select c.relname::text, c.relkind = 'r' as holds_rows, c.relkind = 'f' as is_foreign,
       c.relreplident = 'f' as is_full,
       c.relreplident = 'f'
         or exists (select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indimmediate
                    and (c.relreplident = 'd' and i.indisprimary or c.relreplident = 'i' and i.indisreplident)) as has_key,
       (select x.relname::text from pg_index i join pg_class x on x.oid = i.indexrelid
        where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
          and i.indexprs is null
          and not exists (select from unnest(i.indkey[0:i.indnkeyatts - 1]) k (attnum)
                          join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                          where not a.attnotnull or a.attgenerated <> '')
        order by i.indisprimary desc, x.relname limit 1) as could_be_key,
       exists (select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
               where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] <> 0
                 and m.amname in ('btree', 'hash')) as has_index,
       (select a.attname::text from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
          and exists (select from pg_opclass o join pg_am m on m.oid = o.opcmethod
                      where m.amname = 'btree' and o.opcdefault and o.opcintype = a.atttypid)
        order by a.attnum limit 1) as to_index,
       (select coalesce(array_agg(a.attname::text order by a.attname), '{{}}') from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> '') as computed,
       (select coalesce(array_agg(a.attname::text order by a.attname), '{{}}') from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> ''
          and (c.relreplident = 'f'
               or exists (select from pg_index i where i.indrelid = c.oid and a.attnum = any (i.indkey)
                          and (c.relreplident = 'd' and i.indisprimary or c.relreplident = 'i' and i.indisreplident)))
       ) as computed_in_key,
       (select coalesce(array_agg(a.attname::text order by a.attname), '{{}}')
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        cross join (select array['json', 'xml', 'point', 'lseg', 'path', 'box', 'polygon', 'line', 'circle']::regtype[])
          without_equality (types)
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relreplident = 'f'
          and (t.oid = any (types) or t.typbasetype = any (types) or t.typcategory = 'A' and t.typelem = any (types))
       ) as incomparable,
       (select coalesce(array_agg(a.attname::text order by a.attname), '{{}}')
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and (t.oid = 'oid'::regtype or t.typname = 'lo')) as large_objects,
       c.relpersistence = 'p' as is_logged,
       c.relrowsecurity,
       c.relforcerowsecurity,
       pg_get_userbyid(c.relowner)::text as owner,
       (select rolsuper from pg_roles where oid = c.relowner)
         or has_parameter_privilege(c.relowner, 'session_replication_role', 'SET') as owner_bypasses,
       (select coalesce(array_agg(t.tgname::text order by t.tgname), '{{}}') from pg_trigger t
        where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled in ('A', 'R')
          and not (c.relname = %(placement)s and t.tgname in ('guard', 'guard_all'))) as always,
       (select coalesce(array_agg(r.rulename::text order by r.rulename), '{{}}') from pg_rewrite r
        where r.ev_class = c.oid and r.rulename <> '_RETURN') as rules,
       (select coalesce(array_agg(
          a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
          || case when a.attcollation <> t.typcollation then ' collate ' || (select collname from pg_collation l where l.oid = a.attcollation) else '' end
          || case when a.attnotnull then ' not null' else '' end
          || case when a.attgenerated <> ''
                  then ' generated as ' || (select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d
                                            where d.adrelid = a.attrelid and d.adnum = a.attnum) else '' end
          order by a.attname), '{{}}')
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
       (select coalesce(array_agg(d order by d), '{{}}') from (
          select replace(pg_get_constraintdef(k.oid), ' NOT VALID', '') from pg_constraint k where k.conrelid = c.oid and k.contype in ('c', 'x')
          union
          select regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE UNIQUE INDEX .*? ON ', 'UNIQUE ON ')
          from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid) made (d)) as constraints
from pg_class c
where c.oid in ({members})
order by c.relname

-- name: has_rows
select where exists (select from {table})

-- name: parents
-- Of two tables of which one inherits from the other, those of which one moves, or that stand in two schemas.
select i.inhrelid::regclass::text, i.inhparent::regclass::text, b.relkind = 'p', c.nspname::text,
       pg_get_expr(a.relpartbound, a.oid)
from pg_inherits i
join pg_class a on a.oid = i.inhrelid
join pg_class b on b.oid = i.inhparent
join pg_namespace c on c.oid = b.relnamespace
where a.relkind in ('r', 'p') and b.relkind in ('r', 'p')
  and (a.relnamespace <> b.relnamespace and (i.inhrelid in ({members}) or i.inhparent in ({members}))
       or (i.inhrelid in ({members})) <> (i.inhparent in ({members})))
order by 1
