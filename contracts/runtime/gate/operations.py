"""How the HTTP interface of a module differs from what it was, and what of it breaks the clients it has.

Clients are older than the server: they send as before, and read as before. So a request may take more and ask for no
more, an answer may hold more fields and no other values.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from contracts.runtime.gate.differences import Difference, came_or_went
from contracts.runtime.gate.shapes import Change, Readers, Shape, changes

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def operation_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Between two OpenAPI documents of one module. Raises NoSuchPart."""
    old, new = _operations(before), _operations(after)
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        name = f"{key[0].upper()} {(was or now or ('',))[0]}"
        if was is None or now is None:
            for change in came_or_went(was, now):
                gone = was is not None and bool(was[1].get("deprecated"))
                yield Difference("operation", name, replace(change, deprecated=gone))
            continue
        for change in _of_operation(_Side(before, *was), _Side(after, *now)):
            yield Difference("operation", name, change)


class _Side:
    """An operation, before or after."""

    def __init__(self, document: Mapping[str, Any], path: str, operation: Mapping[str, Any]) -> None:
        self.document, self.path, self.operation = document, path, operation

    def parameters(self, place: str) -> Shape:
        """Those of a query, a header, a path or a cookie as one object. Of a path by their place, not by their name."""
        found = [each for each in self._parameters() if each["in"] == place]
        places = re.findall(r"{([^}]+)}", self.path)
        names = {
            each["name"]: str(places.index(each["name"]) + 1)
            if place == "path" and each["name"] in places
            else each["name"].lower()
            if place == "header"
            else each["name"]
            for each in found
        }
        return self._named({names[each["name"]]: each for each in found})

    def headers(self, status: str) -> Shape:
        """Those of an answer as one object."""
        found = self.responses()[status].get("headers", {})
        return self._named({name.lower(): header for name, header in found.items()})

    def body(self) -> Mapping[str, Any] | None:
        return self.operation.get("requestBody")

    def responses(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.operation.get("responses", {})
        return found

    def doors(self) -> set[frozenset[str]]:
        """Each way in, as the names of the schemes it takes; the empty one is open to everybody."""
        ways = self.operation.get("security", self.document.get("security", []))
        return {frozenset(way) for way in ways} or {frozenset()}

    def shape(self, schema: Any) -> Shape:
        return Shape(schema, self.document)

    def _named(self, values: Mapping[str, Mapping[str, Any]]) -> Shape:
        """Parameters or headers as one object."""
        required = [name for name, each in values.items() if each.get("required")]
        fields = {name: _field(each) for name, each in values.items()}
        return Shape({"type": "object", "properties": fields, "required": required}, self.document)

    def _parameters(self) -> list[Mapping[str, Any]]:
        return list(self.operation.get("parameters", ()))


def _operations(document: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, Mapping[str, Any]]]:
    """By method and path, in which a parameter has no name: a client does not see it."""
    return {
        (method, re.sub(r"{[^}]+}", "{}", path)): (path, operation)
        for path, item in document.get("paths", {}).items()
        for method, operation in item.items()
        if method in METHODS
    }


def _field(value: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a parameter or a header; that of a list says how the list is written."""
    schema = {**value.get("schema", {}), "deprecated": value.get("deprecated", False)}
    if schema.get("type") in ("array", "object"):
        style = value.get("style", "form" if value.get("in") in ("query", "cookie") else "simple")
        schema["style"] = f"{style}{', exploded' * value.get('explode', style == 'form')}"
    return schema


def _of_operation(before: _Side, after: _Side) -> Iterator[Change]:
    for place in ("path", "query", "header", "cookie"):
        yield from changes(before.parameters(place), after.parameters(place), Readers.NEW, place)
    yield from _of_body(before, after)
    yield from _of_responses(before, after)
    if lost := {door for door in before.doors() if not any(other <= door for other in after.doors())}:
        yield Change(
            where="",
            what="no longer lets in who came so",
            before=_told(lost),
            after=_told(after.doors()),
            breaks=True,
        )


def _of_body(before: _Side, after: _Side) -> Iterator[Change]:
    old, new = before.body(), after.body()
    if old is None or new is None:
        if new is not None:
            needed = bool(new.get("required"))
            yield Change(where="body", what="is new and required" if needed else "is new", breaks=needed)
        elif old is not None:
            yield Change(where="body", what="was removed", breaks=True)
        return
    if bool(old.get("required")) != bool(new.get("required")):
        needed = bool(new.get("required"))
        yield Change(where="body", what="may not be left out" if needed else "may be left out", breaks=needed)
    yield from _of_content(before, after, old.get("content", {}), new.get("content", {}), Readers.NEW, "body")


def _of_responses(before: _Side, after: _Side) -> Iterator[Change]:
    old, new = before.responses(), after.responses()
    for status in sorted(old.keys() | new.keys()):
        if status not in new:
            yield Change(where=status, what="was removed", breaks=status.startswith("2"))
        elif status not in old:
            yield Change(where=status, what="is new", breaks=False)
        else:
            contents = old[status].get("content", {}), new[status].get("content", {})
            yield from _of_content(before, after, *contents, Readers.OLD, status)
            yield from changes(before.headers(status), after.headers(status), Readers.OLD, f"{status}.headers")


def _of_content(
    before: _Side,
    after: _Side,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    readers: Readers,
    where: str,
) -> Iterator[Change]:
    for media_type in sorted(old.keys() | new.keys()):
        if media_type not in new:
            yield Change(where=where, what=f"is not {media_type} any more", breaks=True)
        elif media_type not in old:
            yield Change(where=where, what=f"may be {media_type}", breaks=False)
        else:
            was, now = old[media_type].get("schema", {}), new[media_type].get("schema", {})
            yield from changes(before.shape(was), after.shape(now), readers, where)


def _told(doors: set[frozenset[str]]) -> str:
    return " or ".join(sorted(" with ".join(sorted(door)) or "anybody" for door in doors))
