"""Each committed schema beside what the code publishes now: what differs, whom it breaks, and what to do instead."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.runtime.configuration import configuration
from contracts.runtime.definitions import Definition
from contracts.runtime.gate import committed
from contracts.runtime.gate.committed import Unreadable, contract_file, interface_file
from contracts.runtime.gate.consumers import users_of
from contracts.runtime.gate.differences import REMOVED, Difference, differences
from contracts.runtime.gate.interfaces import interfaces, no_interface, without_schemes
from contracts.runtime.gate.operations import operation_differences
from contracts.runtime.gate.published import nothing_of, published
from contracts.runtime.gate.shapes import NoSuchPart

WRITE = "manage.py contracts --write"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Of one committed file."""

    module: str
    file: Path
    document: dict[str, Any] | None = None
    """What should stand there; None where nothing should, or where that is not known."""
    problem: str = ""
    """Why it could not be compared."""
    missing: bool = False
    fresh: bool = False
    """It says what the code says."""
    differences: tuple[Difference, ...] = ()
    """None where only descriptions changed."""

    @property
    def path(self) -> str:
        return committed.shown(self.file)


class Unmade(Exception):
    """No schema can be made of what a module answers over HTTP."""


def contract_verdicts(definitions: Mapping[str, Definition]) -> Iterator[Verdict]:
    """One for each definition, and for each file of a module that has none any more."""
    for module in sorted({*definitions, *committed.modules_with(contract_file("_"))}):
        document = None
        if module in definitions:
            try:
                document = published(definitions[module])
            except (TypeError, AttributeError) as error:
                yield Verdict(
                    module=module, file=committed.DEFINITIONS / f"{module}.py", problem=f"has no schema: {error}"
                )
                continue
        yield from _compared(module, contract_file(module), document, nothing_of(module), differences)


def interface_verdicts(definitions: Mapping[str, Definition]) -> Iterator[Verdict]:
    """One for each module that answers HTTP in this unit, and for each file of a module that has no definition.

    Raises Unmade.
    """
    try:
        made = dict(interfaces(configuration.urls))
    except Exception as error:  # views and serializers are code: anything may be wrong with them
        raise Unmade(f"the HTTP interfaces have no schema: {type(error).__name__}: {error}") from error
    gone = set(committed.modules_with(interface_file("_"))) - definitions.keys()
    for module in sorted({*made, *gone}):
        document = made.get(module)
        if document is not None and not document["paths"]:
            document = None
        yield from _compared(module, interface_file(module), document, no_interface(), operation_differences)


def _compared(
    module: str,
    file: Path,
    document: dict[str, Any] | None,
    nothing: dict[str, Any],
    compare: Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Difference]],
) -> Iterator[Verdict]:
    try:
        found = committed.read(file)
        if found is not None:
            now = document or nothing
            fresh = document is not None and without_schemes(found) == without_schemes(now)
            told = () if fresh else tuple(compare(found, now))
            yield Verdict(module=module, file=file, document=document, fresh=fresh, differences=told)
        elif document is not None:
            yield Verdict(module=module, file=file, document=document, missing=True)
    except (Unreadable, NoSuchPart) as error:
        yield Verdict(module=module, file=file, document=document, problem=str(error))
    except (AttributeError, KeyError, TypeError) as error:  # a part that is not what it was written as
        what = f"is not as it was written: {type(error).__name__} {error}"
        yield Verdict(module=module, file=file, document=document, problem=what)


@dataclass(frozen=True)
class Breach:
    """A difference that breaks somebody."""

    difference: Difference
    users: tuple[str, ...]
    """Who is known to use it; of an HTTP interface nobody is."""

    @property
    def retirable(self) -> bool:
        """Nobody is known who would miss the old form, or it was marked deprecated before."""
        if self.difference.kind == "operation":
            return self.difference.change.deprecated
        return not self.users

    @property
    def used_by(self) -> str:
        """`heard by payments.expect`."""
        difference = self.difference
        if difference.kind == "operation":
            return "used by clients that nobody here knows"
        verb = {"event": "heard", "call": "called", "error": "caught"}[difference.kind]
        return f"{verb} by {_some(self.users)}" if self.users else f"{verb} by nobody that is found"

    @property
    def way_out(self) -> str:
        """What to do instead."""
        kind, name, change = self.difference.kind, self.difference.name, self.difference.change
        retire = f"{WRITE} --retire '{name}'"
        mend = ""
        if "no default" in change.what:
            mend = "Let it be left out. Else: " if kind == "operation" else "Give it a default. Else: "
        if kind == "operation":
            if self.retirable:
                return f"It was marked deprecated: where no client uses it any more, {retire}"
            beside = "" if change.what.startswith(REMOVED) else ", put the new beside it"
            return (
                f"{mend}Keep what was{beside}, and mark the old deprecated; when clients have gone over, take it out: "
                f"{retire}"
            )
        if self.retirable:
            return (
                f"{mend}Keep what was; or, where no unit runs a release that uses it and no event of it waits, let the "
                f"old form go: {retire}"
            )
        beside = {
            "event": f"publish {_next_version(name)} beside it, in the same transaction",
            "call": "offer the new form as a call of another name beside it",
            "error": "declare an error of another name beside it",
        }[kind]
        return f"{mend}Keep what was, and {beside}; move {_some(self.users)} over, then let the old form go: {retire}"


def breach(difference: Difference, definitions: Mapping[str, Definition]) -> Breach:
    """A difference that breaks, with those it breaks."""
    return Breach(difference, users_of(difference.kind, difference.name, definitions))


class Place(str):
    """A module's name, and the file and line where the thing is defined; line 0 where it is gone."""

    path: str
    line: int

    def __new__(cls, module: str, path: str, line: int = 0) -> "Place":
        made = super().__new__(cls, module)
        made.path, made.line = path, line
        return made


def place(difference: Difference, verdict: Verdict) -> Place:
    """In the definition file; of an HTTP interface the committed schema."""
    if difference.kind == "operation":
        return Place(verdict.module, verdict.path)
    module, _, name = difference.name.partition(".")
    file = committed.DEFINITIONS / f"{module}.py"
    pattern = {
        "event": rf"^class .*\btag=.{re.escape(difference.name)}\b",
        "call": rf"^ +def {re.escape(name)}\(",
        "error": rf"^class {re.escape(name)}\b",
    }[difference.kind]
    source = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(pattern, source, re.MULTILINE)
    return Place(module, committed.shown(file), source.count("\n", 0, found.start()) + 1 if found else 0)


def _next_version(name: str) -> str:
    found = re.fullmatch(r"(.*\.v)(\d+)", name)
    return f"{found[1]}{int(found[2]) + 1}" if found else f"{name}.v2"


def _some(users: tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(users) - most} more" if len(users) > most else ""
    return ", ".join(users[:most]) + more
