"""Which strings are SQL: of the code, and within SQL.

SQL is what is given to a function that runs SQL, and what begins as SQL does and is neither told to anybody nor written
as a sentence: `Select …`.
"""

import re
from collections.abc import Iterator

from extraction.boundaries.source.dotted import LOGGING
from extraction.boundaries.source.syntax import HOLE, Code, Text

RUNS_SQL = {
    *("execute", "executemany", "aexecute", "execute_values", "execute_batch", "callproc", "mogrify", "stream"),
    *("raw", "RunSQL", "RawSQL", "SQL", "extra", "copy", "copy_expert"),
}
_TELLS = re.compile(rf"_|[dnp]*gettext(?:_lazy|_noop)?|\w*(?:Error|Exception|Warning)|{'|'.join(LOGGING)}")
_SENTENCE = re.compile(r"[\s(]*[A-Z][a-z]")
_KINDS = (
    r"(?:table|view|index|function|procedure|trigger|schema|sequence|type|domain|policy|publication|rule|extension)\b"
)
_PRIVILEGE = r"(?:select|insert|update|delete|truncate|references|trigger|usage|execute|create|connect|temp\w*|all)\b"
_BEGINS = re.compile(
    rf"""(?:[\s(]|--[^\n]*|/\*.*?\*/)*+(?:
        select\s | insert\s+into\s | update\s+\S.*?\sset\s | delete\s+from\s | merge\s+into\s | table\s+["\w.]+\s*;?\s*$
        | with\s+(?:recursive\s+)?["\w](?>.*?\bas\s).*?\(
        | (?:not\s+)?exists\s*\( | (?:(?:natural|inner|cross|left|right|full|outer)\s+)*join\s+(?:lateral\b|["\w(])
        | create\s+(?:or\s+replace\s+|unique\s+|temp\w*\s+|unlogged\s+|materialized\s+|constraint\s+)*{_KINDS}
        | (?:alter|drop)\s+(?:materialized\s+)?(?:{_KINDS}|owned\b|role\b) | comment\s+on\s+\w+\s+\S.*?\sis\s
        | truncate\s | lock\s+table\s | copy\s.*?\s(?:from|to)\s+(?:stdin|stdout|program|['%{{{HOLE}])
        | (?:grant|revoke)\s+(?:grant\s+option\s+for\s+)?{_PRIVILEGE}
        | refresh\s+materialized\s | call\s+\S+\( | do\s+\$ | begin\s*; | import\s+foreign\s
        | explain\s | declare\s | prepare\s+\w.*?\bas\s
        | set\s+(?:local\s+|session\s+)?role\s+\S+\s*(?:;|$) | set\s+session\s+authorization\s
        | (?:set\s+(?:local\s+|session\s+)?|-c\s*)search_path\b | -c\s*role\s*=
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_SIGNAL = re.compile(r"\s*(?:LISTEN|NOTIFY)\s+\S+\s*+(?:,.*)?;?\s*$", re.DOTALL)
_WITHIN = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|\$(?P<tag>(?:[^\W\d]\w*)?)\$(?P<body>.*?)\$(?P=tag)\$", re.DOTALL)


def strings(code: Code) -> Iterator[Text]:
    """Of the code."""
    names = (call.positional[0] for call in code.calls(*RUNS_SQL) if call.positional)
    given = {bound.start_byte for name in names if name.type == "identifier" and (bound := code.bound(name))}
    for text in code.texts:
        calls = [code.called(call) for call in code.calls_around(text.node)]
        is_given = text.node.start_byte in given or not RUNS_SQL.isdisjoint(calls)
        if is_given or (_begins(text.value) and not any(map(_TELLS.fullmatch, calls))):
            yield text


def within(sql: str) -> Iterator[tuple[int, str]]:
    """The SQL in its strings, and where: of `EXECUTE '…'`, of `DO $$ … $$`."""
    for match in _WITHIN.finditer(sql):
        inner = match["body"] or (match["quoted"] or "").replace("''", "'")
        if match["body"] or _begins(inner):
            yield match.start(), inner


def _begins(text: str) -> bool:
    return _SENTENCE.match(text) is None and (_BEGINS.match(text) or _SIGNAL.match(text)) is not None
