-- What stands on both sides of the module's wall, in one database.

-- name: foreign_keys
select f.conname::text, f.conrelid::regclass::text, f.confrelid::regclass::text, f.conrelid in ({members}),
       case when f.confdeltype in ('c', 'n', 'd') then
         case f.confdeltype when 'c' then 'CASCADE' when 'n' then 'SET NULL' else 'SET DEFAULT' end else '' end
from pg_constraint f
where f.contype = 'f' and f.conparentid = 0 and (f.conrelid in ({members})) <> (f.confrelid in ({members}))
order by 1, 2

-- name: views
-- In a shared schema no view moves; in one of its own all do, and have to find there what they read.
with own (is_own, oid) as (select cardinality(%(only)s::text[]) = 0, to_regnamespace(quote_ident(%(schema)s))::oid)
select v.oid::regclass::text, v.relkind = 'm',
       array_agg(distinct r.oid::regclass::text) filter (where own.is_own and v.relnamespace = own.oid and not r.oid in ({members})
                                                          or r.oid in ({members}))
from pg_rewrite w
join pg_class v on v.oid = w.ev_class and v.relkind in ('v', 'm')
join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
  and d.refobjid <> v.oid
join pg_class r on r.oid = d.refobjid and r.relkind in ('r', 'p', 'f', 'v', 'm')
join pg_namespace n on n.oid = r.relnamespace and n.nspname not in ('pg_catalog', 'information_schema')
cross join own
where not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = v.oid and e.deptype = 'e')
group by v.oid, v.relkind, v.relnamespace, own.is_own, own.oid
having case when own.is_own and v.relnamespace = own.oid
            then bool_or(r.relnamespace <> own.oid)
            else bool_or(r.oid in ({members})) end
order by 1

-- name: functions
-- Of other schemas, or beside the module's tables in a shared one: those whose body depends on a table of the module
-- (BEGIN ATOMIC), and those whose text names one, with its schema unless that is `public`.
select p.oid::regprocedure::text, p.prokind = 'p', min(c.oid::regclass::text), bool_or(d.objid is not null)
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace and n.nspname not in ('pg_catalog', 'information_schema')
  and n.nspname not like 'pg\_%%'
join pg_language l on l.oid = p.prolang and l.lanname not in ('c', 'internal')
cross join pg_class c
left join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
  and d.refobjid = c.oid
where c.oid in ({members}) and (cardinality(%(only)s::text[]) > 0 or n.nspname <> %(schema)s)
  and c.relname::text <> all (%(ours)s) and p.proname::text <> all (%(our_functions)s)
  and (d.objid is not null
       or p.prosrc ~* (case when %(schema)s = 'public' then '' else '\m"?' || regexp_replace(%(schema)s, '(\W)', '\\\1', 'g') || '"?\.' end
                       || '"?' || case when c.relname ~ '^\w' then '\m' else '' end || regexp_replace(c.relname, '(\W)', '\\\1', 'g')
                       || case when c.relname ~ '\w$' then '\M' else '' end))
  and not exists (select from pg_depend e where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e')
group by p.oid, p.prokind
order by 1

-- name: sequences
-- `moves`: a switch moves it on. `here`: a column of the module that draws from it, or owns it.
with drawn (sequence, relation, attribute) as (
  select d.refobjid, a.adrelid, a.adnum
  from pg_attrdef a
  join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid and d.refclassid = 'pg_class'::regclass
  join pg_class s on s.oid = d.refobjid and s.relkind = 'S'
), owned (sequence, relation, attribute) as (
  select d.objid, d.refobjid, d.refobjsubid
  from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
), used (sequence, relation, attribute) as (select * from drawn union select * from owned),
here as (
  select distinct on (u.sequence) u.sequence, u.relation, a.attname
  from used u join pg_attribute a on a.attrelid = u.relation and a.attnum = u.attribute
  where u.relation in ({members}) order by u.sequence, u.relation
)
select c.oid::regclass::text, n.nspname::text, c.relname::text, here.relation::regclass::text, here.attname::text,
       pg_get_userbyid(c.relowner)::text, pg_get_userbyid(t.relowner)::text,
       cardinality(%(only)s::text[]) = 0 and n.nspname = %(schema)s
         or exists (select from owned o where o.sequence = c.oid and o.relation in ({members})) as moves,
       (select string_agg(distinct u.relation::regclass::text, ', ') from used u
        where u.sequence = c.oid and not u.relation in ({members})) as elsewhere,
       s.seqcache, s.seqtypid::regtype::text, format_type(b.atttypid, b.atttypmod),
       case when s.seqcycle then 0
            when s.seqincrement > 0 then (coalesce(pg_sequence_last_value(c.oid), s.seqmin)::numeric - s.seqmin) / (s.seqmax::numeric - s.seqmin + 1)
            else (s.seqmax::numeric - coalesce(pg_sequence_last_value(c.oid), s.seqmax)) / (s.seqmax::numeric - s.seqmin + 1) end::float
from here
join pg_class c on c.oid = here.sequence
join pg_namespace n on n.oid = c.relnamespace
join pg_class t on t.oid = here.relation
join pg_attribute b on b.attrelid = here.relation and b.attname = here.attname
join pg_sequence s on s.seqrelid = c.oid
order by 1

-- name: publications
select p.pubname::text, p.puballtables, coalesce(
         (select string_agg(r.prrelid::regclass::text, ', ' order by r.prrelid::regclass::text) from pg_publication_rel r
          where r.prpubid = p.oid and r.prrelid in ({members})), ''),
       exists (select from pg_publication_namespace s
               where s.pnpubid = p.oid and s.pnnspid = to_regnamespace(quote_ident(%(schema)s)))
from pg_publication p
where p.pubname not in (%(out)s, %(back)s)
  and (p.puballtables
       or exists (select from pg_publication_rel r where r.prpubid = p.oid and r.prrelid in ({members}))
       or exists (select from pg_publication_namespace s
                  where s.pnpubid = p.oid and s.pnnspid = to_regnamespace(quote_ident(%(schema)s))))
order by 1

-- name: subscriptions
select s.subname::text, string_agg(r.srrelid::regclass::text, ', ' order by r.srrelid::regclass::text)
from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid
where r.srrelid in ({members}) and s.subname not in (%(out)s, %(back)s)
group by s.subname
order by 1
