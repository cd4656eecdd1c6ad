"""Whether each side is what it is taken for, and the target empty."""

from psycopg import sql

from extraction.replicate.obstacles.asked import Asked, Found, beside
from extraction.replicate.obstacles.tables import has_rows, tables

_queries = beside(__file__)


def installation(asked: Asked) -> Found:
    """Whether the module is there."""
    pair = asked.pair
    if not asked.one(_queries, "is_installed", installs=f"{pair.module}_unit")[0]:
        yield asked.finds(
            "not_installed",
            f"schema {pair.schema} has no {pair.objects.placement}",
            f"run in {asked.unit}: manage.py migrate",
        )


def identity(asked: Asked) -> Found:
    """Whether its database is its own."""
    own = asked.connection.execute(asked.pair.objects.query("own_unit")).fetchone()
    if own is None or own[0] != asked.unit:
        yield asked.finds(
            "unit",
            f"its database says that it is {own[0] if own else None}'s, as a copied schema does",
            f'run in {asked.unit}, with its own SHOP_UNIT or EXTRACTION["unit"]: manage.py migrate',
        )


def homes_apart(source: Asked, target: Asked) -> Found:
    """Whether both name one home."""
    pair = source.pair
    homes = [side.connection.execute(pair.objects.query("read")).fetchone() for side in (source, target)]
    names = sorted({str(row[0]) if row else "nobody" for row in homes})
    if len(names) > 1:
        yield target.finds(
            "homes",
            f"the two databases name different homes of {pair.module}: {' and '.join(names)}",
            f"make the one of {target.unit} anew: manage.py extract abort {pair.module}",
        )


def migrations_apart(source: Asked, target: Asked) -> Found:
    """Of the apps that both sides have, where the module's schema keeps a record of them."""
    if not all(side.one(_queries, "records_migrations")[0] for side in (source, target)):
        return
    query = _queries("migrations", schema=sql.Identifier(source.pair.schema))
    here, there = (set(side.connection.execute(query).fetchall()) for side in (source, target))
    both = {app for app, _ in here} & {app for app, _ in there}
    for lacking, missing in ((target, here - there), (source, there - here)):
        if names := sorted(f"{app}.{name}" for app, name in missing if app in both):
            yield lacking.finds(
                "migrations", f"not applied here: {', '.join(names)}", f"run in {lacking.unit}: manage.py migrate"
            )


def rows_of_the_target(target: Asked) -> Found:
    """Rows that this migration did not bring."""
    pair = target.pair
    if target.one(_queries, "is_ours", writer=pair.out.writer)[0]:
        return
    for table in tables(target):
        if not table.holds_rows or table.name in pair.objects.without() or not has_rows(target, table.name):
            continue
        name = sql.Identifier(pair.schema, table.name).as_string()
        yield target.finds("rows", f"table {name} has rows, and nobody says whose", f"TRUNCATE {name} CASCADE;")
