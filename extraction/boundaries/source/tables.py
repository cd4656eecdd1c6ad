"""Tables and schemas of other modules, in SQL and where code names a table without SQL.

A table is named where SQL takes one, and what follows it goes on as SQL does; a column or an alias of that name is
none. A schema is named wherever something of it is, a function or a type.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.sql import RUNS_SQL, within
from extraction.boundaries.source.syntax import HOLE, Code, Text
from extraction.boundaries.sql import named

_QUOTED = re.compile(
    r"(?P<before>\b(?:nextval|currval|setval|to_regclass|pg_get_serial_sequence)\s*\(\s*)?"
    r"'(?P<inner>(?:[^']|'')*)'(?P<after>\s*::\s*regclass)?"
)
_GOES_ON = re.compile(
    rf"""\s*(?:[(;,)'"%${{{HOLE}]|$|(?:(?:as\s+)?["\w]+\s*)??(?:[(;,)%{{{HOLE}]|$|(?:
        where|set|values|select|default|overriding|table|inner|left|right|full|cross|natural|outer|join|lateral|on|using
        |group|order|having|limit|offset|fetch|union|except|intersect|window|for|returning|when|tablesample|loop|then
        |use|force|ignore|with\s*\(|partition\s*\(|from\s|end\b
    )\b))""",
    re.IGNORECASE | re.VERBOSE,
)
"""What may stand behind a table of a query, with an alias between; in a sentence something else does."""
_IN_QUERIES = {"from", "join", "using", "into", "update"}
_DIRECT = re.compile(r"\b(?:from|join|into|update|table|only|references|truncate|copy)\s+\"?$", re.IGNORECASE)
_NEAR = 80
"""Characters in which a keyword stands before its table."""
_SCHEMA = r"schema\s+(?:if\s+(?:not\s+)?exists\s+)?"
_SEARCH_PATH = r"""search_path(?:\s*=|\s+to\b|'\s*,)\s*(?:['"$\w]+\s*,\s*)*['"]*"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a statement says that it should not, and where in its text."""

    code: str
    other: str
    what: str
    offset: int


def in_sql(neighbours: Neighbours, sql: str) -> Iterator[Said]:
    for parts, offset in _names(sql):
        if neighbours.claims.schemas.keys().isdisjoint(parts[:-1]):
            for name in parts:
                if other := neighbours.table(name):
                    yield Said("E211", other, f"names the table {name} in SQL", offset)
    if neighbours.schemas:
        yield from _schemas(neighbours, sql)
    for start, inner in within(sql):
        for said in in_sql(neighbours, inner):
            yield replace(said, offset=start + said.offset)


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """Where no SQL is written: `Identifier("payments_payment")` of psycopg, `db_table` of a model."""
    claims = neighbours.claims
    for call in code.calls("Identifier"):
        names = [code.value(each) or "" for each in call.positional]
        other = neighbours.other(claims.schemas, names[0].lower()) if len(names) > 1 else ""
        other = other or next((each for name in names if "_" in name and (each := neighbours.table(name))), "")
        if other:
            heard = code.heard(call.node, call.positional[-1])
            yield Found("E211", other, f"calls {code.shown(call.node)}", code.line(call.node), heard=heard)
    for text in code.texts:
        parts = text.value.replace('"', "").lower().split(".")
        other = neighbours.other(claims.tables, parts[-1])
        other = other or (neighbours.other(claims.schemas, parts[0]) if len(parts) > 1 else "")
        if other and (how := _taken_as_table(code, text)):
            within = code.around(text.node)
            heard = code.heard(within.node, text.node) if within is not None else ()
            yield Found("E211", other, how, code.line(text.node), heard=heard)


def _names(sql: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Where SQL takes a table, or its name as a string: a schema and a table, or a table and a column of it."""
    sql = sql.replace("`", '"')
    for name in named(sql):
        if name.keyword not in _IN_QUERIES or _GOES_ON.match(sql, name.end):
            yield name.parts, name.start
    for match in _QUOTED.finditer(sql):
        if match["before"] or match["after"]:
            yield tuple(match["inner"].replace('"', "").split(".")), match.start("inner")


def _schemas(neighbours: Neighbours, sql: str) -> Iterator[Said]:
    unquoted = _QUOTED.sub(_unquoted, sql)
    schema = rf"\"?(?P<schema>{neighbours.schemas})\"?"
    used: dict[str, bool] = {}
    for match in re.finditer(rf"(?<![\w.]){schema}\.\"?(?P<name>[\w{HOLE}*{{%]+)", unquoted, re.IGNORECASE):
        plain = rf"(?<![\w.])(?<!schema\s)(?<!schema\s\")\"?{match['schema']}\"?(?![\w.\"])(?!\s*\.)"
        if plain not in used:
            used[plain] = re.search(plain, unquoted, re.IGNORECASE) is not None
        if not used[plain] or _DIRECT.search(unquoted[max(0, match.start() - _NEAR) : match.start()]):
            other = neighbours.other(neighbours.claims.schemas, match["schema"].lower())
            name = match["name"] if HOLE not in match["name"] else "…"
            yield Said("E211", other, f"names {match['schema']}.{name} in SQL", match.start())
    for text, way in ((unquoted, _SCHEMA), (sql, _SEARCH_PATH)):
        for match in re.finditer(rf"\b{way}(?<!\w){schema}(?![\w.])", text, re.IGNORECASE):
            other = neighbours.other(neighbours.claims.schemas, match["schema"].lower())
            yield Said("E211", other, f"names the schema {match['schema']} in SQL", match.start())


def _taken_as_table(code: Code, text: Text) -> str:
    """How a string is said to be a table's name; empty if it is not."""
    keyword = code.keyword(text.node)
    if keyword in ("db_table", "table", "tables"):
        return f"says {keyword} = {text.value!r}" if keyword == "db_table" or "_" in text.value else ""
    calls = list(code.calls_around(text.node))
    is_unknown = calls and code.called(calls[0]) == "format" and code.value(calls[0].node) is None
    is_filled_in = is_unknown and any(code.called(each) in RUNS_SQL for each in calls)
    return f"calls {code.shown(calls[0].node)}" if is_filled_in else ""


def _unquoted(match: re.Match[str]) -> str:
    """A quoted string is no name, unless it is given where SQL takes a table's name as a string."""
    if match["before"] or match["after"]:
        return match[0].replace("'", " ")
    return blank(match)


def blank(match: re.Match[str]) -> str:
    """As long as it was, and with its lines."""
    return re.sub(r"[^\n]", " ", match[0])
