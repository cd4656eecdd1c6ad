"""The claims of a house as one of its modules sees them: what of a name is another's."""

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from extraction.boundaries.house import House, Member
from extraction.boundaries.source.claims import Claimed, Claims, forms
from extraction.boundaries.source.syntax import HOLE

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_WORDS = (
    "role",
    "authorization",
    "cascade",
    "advisory",
    "notify",
    "listen",
    r"\{%",
    r"\.(?:html?|txt|xml|j2|jinja2?|md|svg|eml|mjml)",
)
_LONGEST_PATH = 200


class Neighbours:
    """Of one member. Each question answers with the other module's name, or nothing if what is asked is its own."""

    def __init__(self, claims: Claims, member: Member) -> None:
        self.claims, self.member = claims, member
        self.house: House = claims.house
        self.others = [each for each in self.house.members if each is not member]

    def other(self, claimed: Claimed, name: str) -> str:
        """Who claims a name, if this member does not."""
        owners = claimed.get(name, set())
        return "" if self.member.name in owners else min(owners, default="")

    def owner(self, dotted: str) -> str:
        """Of a dotted name of code, whole or as far as its first hole; what is published is nobody's."""
        known = _known(dotted)
        found = None if self.house.is_published(known) else self.house.owner(known)
        return "" if found is None or found is self.member else found.name

    def table(self, name: str) -> str:
        """Whose table a name is, or what Django makes beside it: `payments_payment_tags`, `…_id_seq`."""
        known, hole, _ = name.lower().partition(HOLE)
        parts = known.split("_")
        starts = ["_".join(parts[:end]) for end in range(len(parts), 1, -1)] or parts
        if owned := next((start for start in starts if start in self.claims.tables), ""):
            return self.other(self.claims.tables, owned)
        return self.named(known[:-1]) if hole and known.endswith("_") else ""

    def named(self, name: str) -> str:
        """Whose name or label a word is."""
        return self.other(self.claims.named, name.lower())

    def is_own(self, text: str) -> bool:
        """Whether a text begins with this member's name or what else it is known by: label, schema, package."""
        found = self._starts.match(text)
        return found is not None and self.member.name in self._known[found[0].lower()]

    def begins(self, text: str) -> str:
        """Whose name, label, schema or package a text begins with."""
        found = self._starts.match(text)
        return self.other(self._known, found[0].lower()) if found else ""

    def resolves(self, dotted: str) -> str:
        """Whose code a dotted name reaches: a file or a package of another's, or something that one names."""
        dotted = dotted.replace(":", ".", 1)
        if HOLE in dotted:
            dotted = _known(dotted)
        if not _DOTTED.fullmatch(dotted) or not (other := self.owner(dotted)):
            return ""
        return other if self.claims.stands(dotted) else ""

    def file(self, text: str) -> str:
        """Whose file a path from the root names."""
        if "/" not in text or "." not in text or len(text) > _LONGEST_PATH or HOLE in text or "\n" in text:
            return ""
        owner = self.house.owner_of(Path(text.removeprefix("./")))
        if owner is None or owner is self.member:
            return ""
        return owner.name if (self.house.root / text).is_file() else ""

    def static(self, name: str) -> str:
        """Whose static file a name is, if it stands in another's `static` and not in this member's."""
        owners = {
            member.name
            for member in self.house.members
            for package in member.packages
            if (self.house.directory(package) / "static" / name).is_file()
        }
        return "" if self.member.name in owners else min(owners, default="")

    @cached_property
    def words(self) -> re.Pattern[bytes]:
        """What a string must hold to be looked at: names of the others, and words of SQL and of templates."""
        names = {word.lower() for each in self.others for word in _words(each)}
        names |= {table for table in self._tables if not any(name in table for name in names)}
        return re.compile("|".join([*map(re.escape, sorted(names)), *_WORDS]).encode())

    @cached_property
    def schemas(self) -> str:
        """Schemas of others, as a part of a pattern; empty if none has one of its own."""
        names = (name for name in self.claims.schemas if self.other(self.claims.schemas, name))
        return "|".join(map(re.escape, sorted(names)))

    @cached_property
    def settings(self) -> dict[str, str]:
        """Whose settings begin with a word: of `PAYMENTS` and `PAYMENT`."""
        return {form.upper(): other for form in self.claims.forms if (other := self.other(self.claims.forms, form))}

    @cached_property
    def own_settings(self) -> frozenset[str]:
        return frozenset(form.upper() for form, owners in self.claims.forms.items() if self.member.name in owners)

    @cached_property
    def _tables(self) -> list[str]:
        return [name for name in self.claims.tables if self.other(self.claims.tables, name)]

    @cached_property
    def _known(self) -> dict[str, set[str]]:
        found = {name: set(members) for name, members in self.claims.forms.items()}
        for member in self.house.members:
            for name in (*member.packages, member.schema):
                if name not in ("", "public"):
                    found.setdefault(name.lower(), set()).add(member.name)
        return found

    @cached_property
    def _starts(self) -> re.Pattern[str]:
        """The longest first: `order_items` is not `order`."""
        names = sorted(self._known, key=len, reverse=True)
        return re.compile(rf"(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9])", re.IGNORECASE)


def _words(member: Member) -> Iterable[str]:
    yield from (package.rpartition(".")[2] for package in member.packages)
    for name in (member.name, *member.labels):
        yield from forms(name.lower())
    yield from (word for word in (member.alias, member.schema) if word not in ("", "default", "public"))


def _known(dotted: str) -> str:
    return dotted.partition(HOLE)[0].rstrip(".") if HOLE in dotted else dotted
