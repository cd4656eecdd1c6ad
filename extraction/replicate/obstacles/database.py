"""Encodings, collations, types and extensions, which both databases have to have alike."""

from psycopg import sql

from extraction.replicate.obstacles.asked import Asked, Found, beside, say

_queries = beside(__file__)


def of_database(asked: Asked) -> Found:
    """Of one side by itself."""
    *_, kept, actual, name = asked.one(_queries, "database")
    if kept is not None and kept != actual and asked.one(_queries, "has_text_index")[0]:
        yield asked.finds(
            "collation_version",
            f"database {name} was made with version {kept} of its collation, and the server has {actual}",
            f"{say('REINDEX DATABASE {}', name)} {say('ALTER DATABASE {} REFRESH COLLATION VERSION', name)}",
        )


def databases_apart(source: Asked, target: Asked) -> Found:
    """Where they differ."""
    encoding, collation, *_ = source.one(_queries, "database")
    other_encoding, other_collation, *_, name = target.one(_queries, "database")
    if encoding != other_encoding:
        yield target.finds(
            "encoding",
            f"database {name} has encoding {other_encoding}, and {source.unit}'s has {encoding}",
            f"make it anew with ENCODING {sql.Literal(encoding).as_string()}",
        )
    if collation != other_collation and source.one(_queries, "has_text_index")[0]:
        yield target.finds(
            "collation",
            f"database {name} sorts by {other_collation}, and {source.unit}'s by {collation}",
            f"make it anew with the locale provider and locale {collation}",
        )
    for extension, schema in source.rows(_queries, "extensions"):
        if not target.one(_queries, "has_extension", extension=extension)[0]:
            yield target.finds(
                "extension",
                f"there is no extension {extension}, which tables of {source.unit} use",
                say("CREATE EXTENSION {} SCHEMA {}", extension, schema),
            )
    yield from _types(source, target)


def _types(source: Asked, target: Asked) -> Found:
    here, there = (
        {name: (kind, parts) for name, kind, parts in side.rows(_queries, "types")} for side in (source, target)
    )
    for name in sorted(here.keys() & there.keys()):
        (kind, ours), (_, theirs) = here[name], there[name]
        if ours == theirs:
            continue
        if kind != "e":
            what = f"type {name} is ({', '.join(theirs)}) here, and ({', '.join(ours)}) in {source.unit}"
            yield target.finds("type", what, "bring both to the same migrations: run in both: manage.py migrate")
        elif set(ours) == set(theirs):
            what = f"labels of {name} stand in the order {', '.join(theirs)}, and in {source.unit} {', '.join(ours)}"
            yield target.finds("enum_order", what, f"make type {name} anew with the labels in the other order")
        for lacking, having, other in ((target, ours, theirs), (source, theirs, ours)):
            if kind == "e" and (labels := [label for label in having if label not in other]):
                yield lacking.finds(
                    "enum", f"type {name} lacks {', '.join(labels)}", " ".join(_adding(name, having, other))
                )


def _adding(name: str, having: list[str], lacking: list[str]) -> list[str]:
    """Each label at its place."""
    statements = []
    for number, label in enumerate(having):
        if label not in lacking:
            place = f"AFTER {sql.Literal(having[number - 1]).as_string()}" if number else ""
            place = place or (f"BEFORE {sql.Literal(lacking[0]).as_string()}" if lacking else "")
            statements.append(f"ALTER TYPE {name} ADD VALUE {sql.Literal(label).as_string()} {place}".strip() + ";")
    return statements
