"""What two JSON Schemas allow, compared field by field; the words of msgspec and of OpenAPI 3 alike.

A change lets more be written than before (a value, a null, a field left out), or less. More breaks a reader that is
older than the writer; less breaks a reader that is newer than what it reads.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from functools import cached_property
from typing import Any


class Readers(Flag):
    """Who reads, seen from the change."""

    OLD = auto()
    """Those of before it, what is written after it."""
    NEW = auto()
    """Those of after it, what was written before it."""
    ALL = OLD | NEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not as it was."""

    where: str
    """`lines[].quantity`; empty for the whole."""
    what: str
    """`was removed`: follows `where` in a sentence."""
    before: str = ""
    after: str = ""
    breaks: bool
    deprecated: bool = False
    """It was marked so before it was removed."""

    def __str__(self) -> str:
        was = {"before": self.before, "after": self.after}
        told = "; ".join(f"{when}: {shape}" for when, shape in was.items() if shape)
        return " ".join(part for part in (self.where, self.what, f"({told})" if told else "") if part)


class NoSuchPart(Exception):
    """A schema refers to a part that its document does not have."""


@dataclass(frozen=True)
class Shape:
    """A schema, and the document in which its references are looked up."""

    schema: Mapping[str, Any]
    document: Mapping[str, Any]

    def part(self, schema: Any) -> "Shape":
        return Shape(schema if isinstance(schema, Mapping) else {}, self.document)

    @cached_property
    def text(self) -> str:
        return json.dumps(self.schema, sort_keys=True)

    @cached_property
    def forms(self) -> tuple[Mapping[str, Any], ...]:
        """What it may be, each of one type; raises NoSuchPart."""
        return _joined(_forms(self.schema, self.document))

    def __str__(self) -> str:
        return " or ".join(self._told(form) for form in self.forms)

    def _told(self, form: Mapping[str, Any]) -> str:
        if "enum" in form:
            return "null" if form["type"] == "null" else " | ".join(json.dumps(value) for value in form["enum"])
        if form["type"] == "array" and "items" in form:
            return f"list of {self.part(form['items'])}"
        limits = [f"{word} {form[word]}" for word in (*_RULES, *_MOST, *_LEAST) if word in form]
        return f"{form['type'] or 'anything'}{' (' + ', '.join(limits) + ')' if limits else ''}"


def changes(before: Shape, after: Shape, readers: Readers, where: str = "") -> Iterator[Change]:
    """Everything that differs, each with whether it breaks one of the readers. Raises NoSuchPart."""
    yield from _Walk(readers).compare(before, after, where, frozenset())


@dataclass(frozen=True)
class _Walk:
    readers: Readers

    def compare(self, before: Shape, after: Shape, where: str, above: frozenset[tuple[str, str]]) -> Iterator[Change]:
        pair = (before.text, after.text)
        if pair in above:  # a type inside itself
            return
        above |= {pair}
        old, new = _by_type(before.forms), _by_type(after.forms)
        shown = str(before), str(after)
        wholly = _INTEGER in old and _NUMBER in new and not (_NUMBER in old or _INTEGER in new)
        partly = _NUMBER in old and _INTEGER in new and not (_INTEGER in old or _NUMBER in new)
        if wholly or partly:  # a whole number is a number too
            yield (self._more if wholly else self._less)(where, _OTHER_TYPE, *shown)
        elif not old.keys() & new.keys():
            breaks = _breaks(self.readers, more=None not in old, less=None not in new)
            yield Change(where=where, what=_OTHER_TYPE, before=shown[0], after=shown[1], breaks=breaks)
            return
        for kind in sorted((old.keys() | new.keys()) - ({_INTEGER, _NUMBER} if wholly or partly else set()), key=str):
            if kind not in old:
                yield self._more(where, f"may be {kind or 'anything'}", *shown)
            elif kind not in new:
                yield self._less(where, f"is never {kind or 'anything'}", *shown)
            else:
                yield from self._of_type(before, after, old[kind], new[kind], where, above)

    def _of_type(
        self,
        before: Shape,
        after: Shape,
        old: list[Mapping[str, Any]],
        new: list[Mapping[str, Any]],
        where: str,
        above: frozenset[tuple[str, str]],
    ) -> Iterator[Change]:
        if len(old) == len(new) == 1:
            yield from self._form(before.part(old[0]), after.part(new[0]), where, above)
            return
        was, now = _by_tag(old), _by_tag(new)
        for tag in sorted(was.keys() | now.keys()):
            if tag not in was:
                yield self._more(where, f"may be {tag}", str(before), str(after))
            elif tag not in now:
                yield self._less(where, f"is never {tag}", str(before), str(after))
            else:
                yield from self._form(before.part(was[tag]), after.part(now[tag]), f"{where}<{tag}>", above)

    def _form(self, before: Shape, after: Shape, where: str, above: frozenset[tuple[str, str]]) -> Iterator[Change]:
        old, new = before.schema, after.schema
        yield from self._values(before, after, where)
        yield from self._limits(old, new, where)
        if old["type"] == "array":
            yield from self._items(before, after, where, above)
        elif old["type"] == "object":
            yield from self._fields(before, after, where, above)
            yield from self._unnamed_fields(before, after, where, above)

    def _values(self, before: Shape, after: Shape, where: str) -> Iterator[Change]:
        old, new = before.schema.get("enum"), after.schema.get("enum")
        shown = str(before), str(after)
        if old == new or before.schema["type"] == "null":
            return
        if old is None or new is None:
            less, told = old is None, "has only certain values" if old is None else "may have any value"
            yield self._less(where, told, *shown) if less else self._more(where, told, *shown)
            return
        if added := [value for value in new if value not in old]:
            yield self._more(where, f"may be {_list(added)}", *shown)
        if gone := [value for value in old if value not in new]:
            yield self._less(where, f"is never {_list(gone)}", *shown)

    def _limits(self, old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[Change]:
        for word in (*_RULES, *_MOST, *_LEAST):
            was, now = old.get(word), new.get(word)
            if was == now:
                continue
            told = f"has another {word}", _shown(was), _shown(now)
            if was is None:
                yield self._less(where, *told)
            elif now is None:
                yield self._more(where, *told)
            elif word in _RULES or isinstance(was, bool) or isinstance(now, bool):
                yield Change(where=where, what=told[0], before=told[1], after=told[2], breaks=True)
            else:
                more = now > was if word in _MOST else now < was
                yield self._more(where, *told) if more else self._less(where, *told)

    def _items(self, before: Shape, after: Shape, where: str, above: frozenset[tuple[str, str]]) -> Iterator[Change]:
        old, new = before.schema.get("prefixItems", ()), after.schema.get("prefixItems", ())
        for place, (was, now) in enumerate(zip(old, new, strict=False)):
            if (names := (was.get("title"), now.get("title")))[0] != names[1]:
                what, shown = "is another field", [_shown(name) for name in names]
                yield Change(where=f"{where}[{place}]", what=what, before=shown[0], after=shown[1], breaks=True)
            yield from self.compare(before.part(was), after.part(now), f"{where}[{place}]", above)
        if len(old) != len(new):
            told = f"{len(old)} items", f"{len(new)} items"
            yield Change(where=where, what="has another length", before=told[0], after=told[1], breaks=True)
        was, now = before.schema.get("items", {}), after.schema.get("items", {})
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from self.compare(before.part(was), after.part(now), f"{where}[]", above)

    def _fields(self, before: Shape, after: Shape, where: str, above: frozenset[tuple[str, str]]) -> Iterator[Change]:
        old, new = self._visible(before.schema), self._visible(after.schema)
        needed, needs = set(before.schema.get("required", ())), set(after.schema.get("required", ()))
        for name in sorted(old.keys() - new.keys()):
            again = [other for other in sorted(new.keys() - old.keys()) if new[other] == old[name]]
            yield Change(
                where=_join(where, name),
                what=f"was removed, or renamed to {again[0]}" if again else "was removed",
                before=_field(before.part(old[name]), name in needed),
                breaks=True,
                deprecated=bool(old[name].get("deprecated")),
            )
        for name in sorted(new.keys() - old.keys()):
            shown, place = _field(after.part(new[name]), name in needs), _join(where, name)
            if name in needs and Readers.NEW in self.readers:
                yield self._less(place, "is new and has no default", "", shown)
            elif before.schema.get("additionalProperties") is False and Readers.OLD in self.readers:
                yield self._more(place, "is new, and refused by who does not know it", "", shown)
            else:
                yield Change(where=place, what="is new", after=shown, breaks=False)
        for name in sorted(old.keys() & new.keys()):
            was, now, place = before.part(old[name]), after.part(new[name]), _join(where, name)
            told = _field(was, name in needed), _field(now, name in needs)
            if name in needed - needs:
                yield self._more(place, "may be left out", *told)
            elif name in needs - needed:
                yield self._less(place, "may not be left out", *told)
            elif name not in needs and old[name].get("default") != new[name].get("default"):
                yield self._less(place, "has another default: who leaves it out means something else", *told)
            yield from self.compare(was, now, place, above)

    def _unnamed_fields(
        self, before: Shape, after: Shape, where: str, above: frozenset[tuple[str, str]]
    ) -> Iterator[Change]:
        was, now = before.schema.get("additionalProperties", True), after.schema.get("additionalProperties", True)
        if (was is False) != (now is False):
            told = "takes fields that it does not name" if was is False else "refuses fields that it does not name"
            yield self._more(where, told) if was is False else self._less(where, told)
        elif was is not False and (isinstance(was, Mapping) or isinstance(now, Mapping)):
            yield from self.compare(before.part(was), after.part(now), f"{where}{{}}", above)
        old, new = ({"type": "string", **side.schema.get("propertyNames", {})} for side in (before, after))
        yield from self.compare(before.part(old), after.part(new), f"{where}{{key}}", above)

    def _visible(self, schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Of an HTTP interface a request has no field that is readOnly, an answer none that is writeOnly."""
        hidden = {Readers.NEW: "readOnly", Readers.OLD: "writeOnly"}.get(self.readers, "")
        return {name: field for name, field in schema.get("properties", {}).items() if not field.get(hidden)}

    def _more(self, where: str, what: str, before: str = "", after: str = "") -> Change:
        breaks = _breaks(self.readers, more=True, less=False)
        return Change(where=where, what=what, before=before, after=after, breaks=breaks)

    def _less(self, where: str, what: str, before: str = "", after: str = "") -> Change:
        breaks = _breaks(self.readers, more=False, less=True)
        return Change(where=where, what=what, before=before, after=after, breaks=breaks)


_INTEGER, _NUMBER, _OTHER_TYPE = "integer", "number", "has another type"
_RULES = ("format", "pattern", "multipleOf", "uniqueItems", "contentEncoding", "style")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")


def _breaks(readers: Readers, *, more: bool, less: bool) -> bool:
    """Whether readers meet what they do not know, when more may be written than before, less, or both."""
    return (more and Readers.OLD in readers) or (less and Readers.NEW in readers)


def _forms(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    schema = _flat(schema, document)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if options := schema.get("anyOf") or schema.get("oneOf"):
        for option in options:
            yield from _forms(option, document)
    elif values is not None:
        for kind in sorted({_type_of(value) for value in values}):
            yield {**schema, "type": kind, "enum": [value for value in values if _type_of(value) == kind]}
    else:
        said = schema.get("type") or ("object" if "properties" in schema else None)
        for one in said if isinstance(said, list) else [said]:
            yield {**schema, "type": one}
    if schema.get("nullable"):
        yield {"type": "null"}


def _flat(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """References looked up, and what must hold at once in one schema."""
    followed: list[str] = []
    while (reference := schema.get("$ref")) is not None:
        if reference in followed:
            raise NoSuchPart(f"{reference} is itself")
        followed.append(reference)
        schema = {**_looked_up(reference, document), **{word: of for word, of in schema.items() if word != "$ref"}}
    if parts := schema.get("allOf"):
        whole: dict[str, Any] = {}
        for part in (*parts, {word: of for word, of in schema.items() if word != "allOf"}):
            flat = _flat(part, document)
            joined: dict[str, Any] = {
                word: {**whole[word], **flat[word]} if word == "properties" else [*whole[word], *flat[word]]
                for word in ("properties", "required")
                if word in whole and word in flat
            }
            whole = {**whole, **flat, **joined}
        return whole
    return schema


def _looked_up(reference: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = document
    try:
        for step in reference.removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
    except (KeyError, TypeError):
        raise NoSuchPart(f"{reference} is referred to and not there") from None
    if not isinstance(found, Mapping):
        raise NoSuchPart(f"{reference} is no schema")
    return found


def _joined(forms: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Each form once; the values of several lists of the same type as one list."""
    joined: list[Mapping[str, Any]] = []
    for form in forms:
        like = next((each for each in joined if each["type"] == form["type"]), None)
        if like is None or form["type"] in ("object", "array"):
            joined += [form] if form not in joined else []
        else:
            both = [*like.get("enum", ()), *form.get("enum", ())]
            one = {word: of for word, of in like.items() if word != "enum"}
            if "enum" in like and "enum" in form:
                one["enum"] = sorted({json.dumps(value): value for value in both}.values(), key=str)
            joined[joined.index(like)] = one
    return tuple(joined)


def _by_type(forms: Iterable[Mapping[str, Any]]) -> dict[str | None, list[Mapping[str, Any]]]:
    found: dict[str | None, list[Mapping[str, Any]]] = {}
    for form in forms:
        found.setdefault(form["type"], []).append(form)
    return found


def _by_tag(forms: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By the fields that have one value only, as a tagged struct has; else by their title or place."""
    found: dict[str, Mapping[str, Any]] = {}
    for place, form in enumerate(forms):
        fields = sorted(form.get("properties", {}).items())
        tags = [str(field["enum"][0]) for _, field in fields if len(field.get("enum", ())) == 1]
        found[" ".join(tags) or str(form.get("title") or place + 1)] = form
    return found


def _type_of(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", list: "array"}
    return kinds.get(type(value), "object")


def _field(shape: Shape, required: bool) -> str:
    if required:
        return f"{shape}, required"
    return f"{shape}, default {_shown(shape.schema['default'])}" if "default" in shape.schema else f"{shape}, optional"


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


def _list(values: Iterable[Any]) -> str:
    return ", ".join(json.dumps(value) for value in values)


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
