"""Where SQL names tables: what is behind which word, and what is none."""

import pytest

from extraction.boundaries.sql import named


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select a.*, b from a join c on a.b = c.b left join s.d using (b)", "a c s.d"),
        ("select x from a, b, (select 1 from c) d, only (e), (f join g on true)", "a b c e f g"),
        ("select a.* from a", "a"),
        ("select 1 from user, order", ""),
        ("select 1 from a. Then b", "a"),
        ("select index, sequence, user, lock from a order by b limit 1", "a"),
        ("select extract(year from b), trim(both from b) from a where b is distinct from c for update of b", "a"),
        ("with b as (select 1 from b), c (x) as (select 1 from d) select 1 from b, c, e", "b d e"),
        ("with recursive b as (select 1 from a union select 1 from b) select 1 from b", "a"),
        ("insert into a (b, c) select 1 from d on conflict (b) do update set c = 1", "a d"),
        ("merge into a using b on true when matched then update set c = d", "a b"),
        ("begin; update a set b = 1; delete from c using d; commit", "a c d"),
        ("if b then update a set c = 1; perform 1 from d; begin grant select on e to f; end", "a d e"),
        ('select 1 from "select", "A""b", a$b', 'select A"b a$b'),
        ("select 1 from {} b join %s c on true, %(d)s, {e} join payments_\ufffc", "{} %s %(d)s {e} payments_\ufffc"),
        ("and a.b in (select 1 from c)", "c"),
        (" from a where b", "a"),
        ("truncate table only a, b cascade", "a b"),
        ("lock table a, b in share mode", "a b"),
        ("copy a (b) from stdin; copy (select 1 from c) to stdout", "a stdin c"),
        ("explain analyze select 1 from a; analyze b; prepare c as select 1 from d", "a b d"),
        ("create table a (b int references c on update cascade, d int references s.e)", "a c s.e"),
        ("create table a (like b); create table c () inherits (d); create table e partition of f", "a b c d e f"),
        ("create view a as select b like c, index from d join e on b = c", "a d e"),
        ("create index concurrently if not exists a on b using gin (c)", "a b"),
        ("create trigger a after insert or update of b on c for each row execute function d()", "c"),
        ("create policy a on b for update to c using (d = 1)", "b"),
        ("alter table if exists a add b int, alter c type int using d::int, add foreign key (b) references e", "a e"),
        ("alter table a attach partition b default; alter sequence c owned by d.e", "a b c d.e"),
        ("drop table if exists a, b cascade; drop trigger c on d; drop index e, f", "a b d e f"),
        ("comment on column a.b is 'from c'; comment on table d is 'x'", "a.b d"),
        ("grant select, update (a), references on table b, c to d, e; revoke select on b from d, e", "b c b"),
        ("grant select on all tables in schema a to b", ""),
        ("select 'from a', $$ from b $$ /* from c */ -- from d", ""),
    ],
)  # fmt: skip
def test_tables_are_read_from_where_tables_stand(sql: str, names: str) -> None:
    assert " ".join(".".join(name.parts) for name in named(sql)) == names


@pytest.mark.parametrize(
    ("sql", "written"),
    [
        ("update a set b = 1 from c", "a"),
        ("delete from a using b", "a"),
        ("insert into a select 1 from b", "a"),
        ("truncate table a, b", "a b"),
        ("select 1 from a for update skip locked", ""),
        ("select 1 from a for no key update skip locked", ""),
    ],
)
def test_what_is_written_is_told(sql: str, written: str) -> None:
    assert " ".join(name.parts[-1] for name in named(sql) if name.is_written) == written


def test_a_name_tells_where_it_stands() -> None:
    sql = 'select 1 from s."a" where true'
    [name] = named(sql)
    assert (sql[name.start : name.end], name.keyword) == ('s."a"', "from")
