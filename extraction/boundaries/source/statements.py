"""What SQL does to other modules: their tables and schemas, their roles, cascades, locks and channels without an owner.

A name that SQL takes from a parameter is looked for beside it, in the same statement of the code.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

from tree_sitter import Node

from extraction.boundaries.source import tables
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.sql import strings
from extraction.boundaries.source.syntax import HOLE, Code, Text
from extraction.boundaries.source.tables import Said, blank

_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_CHANNEL = re.compile(rf"(?:^|;)\s*(?P<verb>listen|notify)\s+(?P<name>\"[^\"]*\"|[\w%{HOLE}{{}}]+)", re.I)
_LOCK = re.compile(r"\b(?P<function>pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?|pg_notify)\s*\(", re.IGNORECASE)
_LOCK_NAME = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?|pg_notify")
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_PARENTHESIS = re.compile(r"[()]")
_OPEN = re.compile(rf"%s|%\(|\$\d|:\w|\{{|{HOLE}")
_ROLE = re.compile(
    r"(?:\bset\s+(?:local\s+|session\s+)?(?:role|session\s+authorization)\s+(?:to\s+|=\s*)?|-c\s*role\s*=\s*)"
    rf"(?P<role>\"[^\"]*\"|'[^']*'|[\w%{HOLE}{{}}]+)|\bset_config\s*\(\s*'role'\s*,\s*(?P<config>'[^']*'|\S+)",
    re.IGNORECASE,
)
_CASCADE = re.compile(
    r";|\b(?P<verb>drop\s+\w+|truncate)\b"
    rf"|(?<!delete\s)(?<!update\s)\b(?P<cascade>cascade)(?=\s*(?:[;,)'$%{{{HOLE}]|$))",
    re.IGNORECASE,
)
_LONGEST = 500
"""Of what is given to a lock, in characters."""

Beside = Callable[[], Iterable[str]]


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for text in strings(code):
        for said in _said_in(neighbours, text.value, cache(partial(_beside, code, text.node))):
            line = code.line_of(text, said.offset)
            yield Found(said.code, said.other, said.what, line, heard=_heard(code, text))
    yield from tables.found(code, neighbours)
    yield from _named_locks(code, neighbours)


def in_file(data: bytes, neighbours: Neighbours) -> Iterator[Found]:
    """Of a file of SQL."""
    sql = data.decode(errors="replace")
    for said in _said_in(neighbours, sql, lambda: ()):
        yield Found(said.code, said.other, said.what, sql.count("\n", 0, said.offset) + 1)


def _said_in(neighbours: Neighbours, sql: str, beside: Beside) -> Iterable[Said]:
    """Each thing once. `beside` tells the values that the code gives to the statement's parameters."""
    once: dict[tuple[str, str], Said] = {}
    end = sql.rfind("*/") + 2
    closed = sql[:end] + sql[end:].replace("/*", "  ")
    for said in _all_said_in(neighbours, _COMMENT.sub(_uncommented, closed), beside):
        once.setdefault((said.code, said.what), said)
    return once.values()


def _beside(code: Code, node: Node) -> Iterable[str]:
    return list(code.beside(node))


def _all_said_in(neighbours: Neighbours, sql: str, beside: Beside) -> Iterator[Said]:
    yield from tables.in_sql(neighbours, sql)
    for match in _ROLE.finditer(sql):
        role = (match["role"] or match["config"]).strip("\"'")
        if role.lower() not in ("none", "default"):
            yield Said("E212", _whose_role(neighbours, role), f"says {_short(match[0])} in SQL", match.start())
    for verb, end in _cascades(sql):
        other = _owner_in(neighbours, sql[verb.start() : end])
        yield Said("E213", other, f"says {' '.join(verb[0].upper().split())} … CASCADE in SQL", verb.start())
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


def _cascades(sql: str) -> Iterator[tuple[re.Match[str], int]]:
    """Each verb with the end of its CASCADE. In one pass, for a dump has many verbs in its rows."""
    verb: re.Match[str] | None = None
    for match in _CASCADE.finditer(sql):
        if match["verb"]:
            verb = verb or match
            continue
        if verb is not None and match["cascade"]:
            yield verb, match.end()
        verb = None


def _of_name(neighbours: Neighbours, name: str, shown: str, offset: int, beside: Beside) -> Iterator[Said]:
    """Of a lock or a channel: it has to begin with this module's name."""
    candidates = [name.partition(HOLE)[0]]
    if _OPEN.search(name):
        candidates += beside()
    if any(neighbours.is_own(each) for each in candidates):
        return
    other = next((other for each in candidates if each and (other := neighbours.begins(each))), "")
    yield Said("E210", other, f"{shown}: the name does not begin with {neighbours.member.name}", offset)


def _named_locks(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """Where no SQL is written: `advisory_lock("…")`, `Func(…, function="pg_advisory_lock")`."""
    for call in code.calls("advisory_lock", "pg_notify"):
        given = code.value(call.argument(0, "lock_id", "channel"))
        if given and not neighbours.is_own(given):
            what = f"calls {code.shown(call.node)}: the name does not begin with {neighbours.member.name}"
            heard = code.heard(call.node, call.positional[0] if call.positional else None)
            yield Found("E210", neighbours.begins(given), what, code.line(call.node), heard=heard)
    for text in code.texts:
        if not _LOCK_NAME.fullmatch(text.value) or code.keyword(text.node) != "function":
            continue
        beside = list(code.beside(text.node))
        if not any(neighbours.is_own(each) for each in beside):
            other = next((other for each in beside if (other := neighbours.begins(each))), "")
            what = f"calls {text.value}: the name does not begin with {neighbours.member.name}"
            within = code.around(text.node)
            heard = code.heard(within.node, text.node) if within is not None else ()
            yield Found("E210", other, what, code.line(text.node), heard=heard)


def _heard(code: Code, text: Text) -> tuple[int, ...]:
    """The lines on which a comment speaks of the whole text: its first and last, and those of the call around it.

    All of its lines, where they are not those of the file.
    """
    first, last = code.line(text.node), text.node.end_point[0] + 1
    if last - first != text.value.count("\n"):
        return tuple(range(first, last + 1))
    call = code.around(text.node)
    return (first, last, *(code.heard(call.node, None) if call is not None else ()))


def _whose_role(neighbours: Neighbours, role: str) -> str:
    """By the schema or the name of a module that a role's name holds: `shop_payments`."""
    if other := neighbours.other(neighbours.claims.schemas, role):
        return other
    return next((other for word in (role, *role.split("_")) if (other := neighbours.named(word))), "")


def _owner_in(neighbours: Neighbours, sql: str) -> str:
    return next((said.other for said in tables.in_sql(neighbours, sql)), "")


def _in_parentheses(sql: str, start: int) -> str:
    depth, last = 1, min(len(sql), start + _LONGEST)
    for found in _PARENTHESIS.finditer(sql, start, last):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return sql[start : found.start()]
    return sql[start:last]


def _uncommented(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith("'") else blank(match)


def _short(sql: str) -> str:
    text = " ".join(sql.replace(HOLE, "…").split()).lstrip("; ")
    return text if len(text) <= 60 else f"{text[:60]}…"
