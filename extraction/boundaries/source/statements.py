"""What SQL does to other modules: their tables and schemas, their roles, cascades, locks and channels without an owner.

SQL is what is given to a function that runs SQL, and what begins as SQL does. A name that SQL takes from a parameter is
looked for beside it, in the same statement of the code.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import HOLE, Code, Text

RUNS_SQL = {
    *(
        "execute",
        "executemany",
        "aexecute",
        "raw",
        "RunSQL",
        "RawSQL",
        "extra",
        "mogrify",
        "copy",
        "copy_expert",
        "SQL",
    ),
    *("callproc", "stream", "execute_values", "execute_batch"),
}
_WORTH = re.compile(r"\b(?:role|authorization|cascade|listen|notify)\b|advisory|pg_notify", re.IGNORECASE)
_KINDS = (
    r"(?:table|view|index|function|procedure|trigger|schema|sequence|type|domain|policy|publication|rule|extension)\b"
)
_BEGINS = re.compile(
    rf"""(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:
        select\s | insert\s+into\s | update\s+\S.*?\sset\s | delete\s+from\s | merge\s+into\s | table\s+["\w.]+\s*;?\s*$
        | with\s+(?:recursive\s+)?["\w]+.*?\bas\s.*?\(
        | create\s+(?:or\s+replace\s+|unique\s+|temp\w*\s+|unlogged\s+|materialized\s+|constraint\s+)*{_KINDS}
        | (?:alter|drop|comment\s+on)\s+(?:materialized\s+)?(?:{_KINDS}|owned\b|role\b)
        | truncate\s | lock\s+table\s | copy\s | grant\s | revoke\s | refresh\s+materialized\s | call\s+\S+\( | do\s+\$
        | set\s+(?:local\s+|session\s+)?role\s+\S+\s*(?:;|$) | set\s+session\s+authorization\s
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_SIGNAL = re.compile(r"\s*(?:LISTEN|NOTIFY)\s+\S+\s*(?:,.*)?;?\s*$", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_QUOTED = re.compile(
    r"(?P<before>\b(?:nextval|currval|setval|to_regclass|pg_get_serial_sequence)\s*\(\s*)?"
    r"'(?P<inner>(?:[^']|'')*)'(?P<after>\s*::\s*regclass)?"
)
_CHANNEL = re.compile(rf"(?:^|;)\s*(?P<verb>listen|notify)\s+(?P<name>\"[^\"]*\"|[\w%{HOLE}{{}}]+)", re.I)
_LOCK = re.compile(r"\b(?P<function>pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?|pg_notify)\s*\(", re.IGNORECASE)
_LOCK_NAME = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?|pg_notify")
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_OPEN = re.compile(rf"%s|%\(|\$\d|:\w|\{{|{HOLE}")
_ROLE = re.compile(
    r"\bset\s+(?:local\s+|session\s+)?(?:role|session\s+authorization)\s+(?:to\s+|=\s*)?"
    rf"(?P<role>\"[^\"]*\"|'[^']*'|[\w%{HOLE}{{}}]+)|\bset_config\s*\(\s*'role'\s*,\s*(?P<config>'[^']*'|\S+)",
    re.IGNORECASE,
)
_CASCADE = re.compile(r"\b(?P<verb>drop\s+\w+|truncate)\b[^;]*?(?<!delete\s)(?<!update\s)\bcascade\b", re.IGNORECASE)
_DIRECT = re.compile(r"\b(?:from|join|into|update|table|only|references|truncate|copy)\s+\"?$", re.IGNORECASE)

Beside = Callable[[], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Said:
    """What a statement says that it should not, and where in its text."""

    code: str
    other: str
    what: str
    offset: int


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for text in code.texts:
        if _is_worth(neighbours, text.value) and _is_sql(code, text):
            seen: set[tuple[str, str]] = set()
            for said in said_in(neighbours, text.value, partial(code.beside, text.node)):
                if (said.code, said.what) not in seen:
                    seen.add((said.code, said.what))
                    first, last = code.line(text.node), text.node.end_point[0] + 1
                    yield Found(said.code, said.other, said.what, code.line_of(text, said.offset), first, last)
    yield from _named_tables(code, neighbours)
    yield from _named_locks(code, neighbours)


def in_file(data: bytes, neighbours: Neighbours) -> Iterator[Found]:
    """Of a file of SQL."""
    sql = data.decode(errors="replace")
    seen: set[tuple[str, str]] = set()
    for said in said_in(neighbours, sql, lambda: ()):
        if (said.code, said.what) not in seen:
            seen.add((said.code, said.what))
            yield Found(said.code, said.other, said.what, sql.count("\n", 0, said.offset) + 1)


def said_in(neighbours: Neighbours, sql: str, beside: Beside) -> Iterator[Said]:
    """`beside` tells the values that the code gives to the statement's parameters."""
    sql = _COMMENT.sub(_blank, sql)
    yield from _tables(neighbours, _QUOTED.sub(_unquoted, sql))
    for match in _ROLE.finditer(sql):
        role = (match["role"] or match["config"]).strip("\"'")
        if role.lower() not in ("none", "default"):
            yield Said("E212", _whose_role(neighbours, role), f"says {_short(match[0])} in SQL", match.start())
    for match in _CASCADE.finditer(sql):
        other = _owner_in(neighbours, match[0])
        yield Said("E213", other, f"says {' '.join(match['verb'].upper().split())} … CASCADE in SQL", match.start())
    for match in _CHANNEL.finditer(sql):
        yield from _of_name(
            neighbours, match["name"].strip('"'), f"says {_short(match[0])}", match.start("verb"), beside
        )
    for match in _LOCK.finditer(sql):
        given = _in_parentheses(sql, match.end())
        literal = _LITERAL.search(given.partition(",")[0] if match["function"].lower() == "pg_notify" else given)
        shown = f"calls {match['function']}({_short(given)})"
        name = literal[1] if literal and not _OPEN.match(literal[1]) else given
        yield from _of_name(neighbours, name, shown, match.start(), beside)


def _of_name(neighbours: Neighbours, name: str, shown: str, offset: int, beside: Beside) -> Iterator[Said]:
    """Of a lock or a channel: it has to begin with this module's name."""
    candidates = [name.partition(HOLE)[0]]
    if _OPEN.search(name):
        candidates += beside()
    if any(neighbours.is_own(each) for each in candidates):
        return
    other = next((other for each in candidates if each and (other := neighbours.begins(each))), "")
    yield Said("E210", other, f"{shown}: the name does not begin with {neighbours.member.name}", offset)


def _tables(neighbours: Neighbours, sql: str) -> Iterator[Said]:
    for match in neighbours.tables.finditer(sql) if neighbours.tables else ():
        other = neighbours.other(neighbours.claims.tables, match["table"].lower())
        if other and neighbours.member.name not in neighbours.claims.tables.get(match[0].lower(), ()):
            yield Said("E211", other, f"names the table {match[0]} in SQL", match.start())
    if not neighbours.schemas:
        return
    schema = rf"\"?(?P<schema>{neighbours.schemas})\"?"
    for match in re.finditer(rf"(?<![\w.]){schema}\.\"?(?P<name>[\w{HOLE}*{{%]+)", sql, re.IGNORECASE):
        plain = rf"(?<![\w.])(?<!schema\s)(?<!schema\s\")\"?{match['schema']}\"?(?![\w.\"])(?!\s*\.)"
        if not re.search(plain, sql, re.IGNORECASE) or _DIRECT.search(sql[: match.start()]):
            other = neighbours.other(neighbours.claims.schemas, match["schema"].lower())
            name = match["name"] if HOLE not in match["name"] else "…"
            yield Said("E211", other, f"names {match['schema']}.{name} in SQL", match.start())
    ways = r"(?:schema\s+(?:if\s+(?:not\s+)?exists\s+)?|search_path\s*(?:=|\bto\b)\s*[^;]*?)"
    for match in re.finditer(rf"\b{ways}(?<!\w){schema}(?![\w.])", sql, re.IGNORECASE):
        other = neighbours.other(neighbours.claims.schemas, match["schema"].lower())
        yield Said("E211", other, f"names the schema {match['schema']} in SQL", match.start())


def _named_tables(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """Where no SQL is written: `Identifier("payments_payment")` of psycopg, `db_table` of a model."""
    claims = neighbours.claims
    for call in code.calls("Identifier"):
        names = [code.value(each) or "" for each in call.positional]
        other = neighbours.other(claims.schemas, names[0].lower()) if len(names) > 1 else ""
        other = other or next((each for name in names if (each := neighbours.other(claims.tables, name.lower()))), "")
        if other:
            yield Found("E211", other, f"calls {code.shown(call.node)}", code.line(call.node))
    for text in code.texts:
        parts = text.value.replace('"', "").lower().split(".")
        other = neighbours.other(claims.tables, parts[-1])
        other = other or (neighbours.other(claims.schemas, parts[0]) if len(parts) > 1 else "")
        if other and code.keyword(text.node) in ("db_table", "table"):
            yield Found("E211", other, f"says {code.keyword(text.node)} = {text.value!r}", code.line(text.node))


def _named_locks(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """Where no SQL is written: `advisory_lock("…")`, `Func(…, function="pg_advisory_lock")`."""
    for call in code.calls("advisory_lock", "pg_notify"):
        given = code.value(call.argument(0, "lock_id", "channel"))
        if given and not neighbours.is_own(given):
            what = f"calls {code.shown(call.node)}: the name does not begin with {neighbours.member.name}"
            yield Found("E210", neighbours.begins(given), what, code.line(call.node))
    for text in code.texts:
        if not _LOCK_NAME.fullmatch(text.value) or code.keyword(text.node) != "function":
            continue
        beside = list(code.beside(text.node))
        if not any(neighbours.is_own(each) for each in beside):
            other = next((other for each in beside if (other := neighbours.begins(each))), "")
            what = f"calls {text.value}: the name does not begin with {neighbours.member.name}"
            yield Found("E210", other, what, code.line(text.node))


def _is_worth(neighbours: Neighbours, value: str) -> bool:
    """Cheap: whether a string holds a word of interest at all."""
    if _WORTH.search(value) or (neighbours.tables and neighbours.tables.search(value)):
        return True
    return bool(neighbours.schemas) and re.search(rf"(?:{neighbours.schemas})", value, re.IGNORECASE) is not None


def _is_sql(code: Code, text: Text) -> bool:
    if _BEGINS.match(text.value) or _SIGNAL.match(text.value):
        return True
    return any(code.called(call) in RUNS_SQL for call in code.calls_around(text.node))


def _whose_role(neighbours: Neighbours, role: str) -> str:
    """By the schema or the name of a module that a role's name holds: `shop_payments`."""
    if other := neighbours.other(neighbours.claims.schemas, role):
        return other
    return next((other for word in (role, *role.split("_")) if (other := neighbours.named(word))), "")


def _owner_in(neighbours: Neighbours, sql: str) -> str:
    return next((said.other for said in _tables(neighbours, sql)), "")


def _in_parentheses(sql: str, start: int) -> str:
    depth, end = 1, start
    while end < len(sql) and depth:
        depth += {"(": 1, ")": -1}.get(sql[end], 0)
        end += 1
    return sql[start : end - 1] if not depth else sql[start:]


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _unquoted(match: re.Match[str]) -> str:
    """A quoted string is no name, unless it is given where SQL takes a table's name as a string."""
    if match["before"] or match["after"]:
        return match[0].replace("'", " ")
    return _blank(match)


def _short(sql: str) -> str:
    text = " ".join(sql.replace(HOLE, "…").split()).lstrip("; ")
    return text if len(text) <= 60 else f"{text[:60]}…"
