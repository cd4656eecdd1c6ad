"""A breach as data: what is changed in which file, and what is done with it afterwards."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class NotApplicable(Exception):
    """A patch does not fit the project any more: the text that it replaces is gone, or a file that it makes is there.

    Correct it in shop/breaches/catalogue.
    """


class Change(Protocol):
    """Of one file."""

    @property
    def path(self) -> str:
        """From the root of the project."""
        ...

    def applied(self, before: str | None) -> str:
        """The file's new text, of its old one; None where there was no file. Raises NotApplicable."""
        ...


@dataclass(frozen=True, slots=True)
class Create:
    """A new file."""

    path: str
    text: str = ""

    def applied(self, before: str | None) -> str:
        if before is not None:
            raise NotApplicable(f"{self.path} is there already")
        return self.text


@dataclass(frozen=True, slots=True)
class Append:
    """Text at the end of a file, two blank lines below what stands there."""

    path: str
    text: str

    def applied(self, before: str | None) -> str:
        if before is None:
            raise NotApplicable(f"{self.path} is not there to be appended to")
        return f"{before.rstrip()}\n\n\n{self.text}"


@dataclass(frozen=True, slots=True)
class Replace:
    """Text in place of other text, which stands in the file once."""

    path: str
    old: str
    new: str

    def applied(self, before: str | None) -> str:
        if before is None or before.count(self.old) != 1:
            raise NotApplicable(f"{self.path} has not once: {self.old}")
        return before.replace(self.old, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One way for a module to reach into another."""

    label: str
    """Its number in the catalogue: 22; 22b is another form of it, which another rule has to catch."""
    title: str
    changes: tuple[Change, ...] = ()
    administrator: str = ""
    """SQL that an administrator of the database runs; {orders} and {payments} are the roles of the modules."""
    makes_roles: bool = False
    """The SQL changes roles, which are the server's: they are made for this breach alone."""
    given: str = ""
    """What is there before, in Python."""
    run: str = ""
    """What a request would do, in Python: it is run in the shop with the guards on, and where orders is alone."""
    module: str = "orders"
    other: str = "payments"
    """Who reaches out and into whom; a finding between two other modules is not this breach caught."""

    def __str__(self) -> str:
        return f"{self.label} {self.title}"

    @property
    def number(self) -> int:
        return int(self.label.rstrip("abcdefghijklmnopqrstuvwxyz"))

    @property
    def is_variant(self) -> bool:
        return self.label != str(self.number)

    @property
    def migrates(self) -> bool:
        """It comes with a migration."""
        return any("/migrations/" in change.path for change in self.changes)

    @property
    def needs_database(self) -> bool:
        return bool(self.administrator or self.run)


def apply(breach: Breach, root: Path) -> None:
    """Change the copy of the project that stands at `root`. Raises NotApplicable."""
    for path, (_, after) in _texts(breach, root).items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)  # it may be a link to another copy's
        file.write_text(after)


def diff(breach: Breach, root: Path) -> str:
    """The patch as a unified diff; what is run beside it, as files that were not there. Raises NotApplicable."""
    texts = _texts(breach, root)
    if breach.administrator:
        roles = {"orders": "shop_orders", "payments": "shop_payments"}
        texts["what an administrator runs.sql"] = (None, breach.administrator.format(**roles))
    if breach.run:
        texts["what a request does.py"] = (None, f"{breach.given}{breach.run}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n"
        for path, (before, after) in texts.items()
        for line in difflib.unified_diff(
            (before or "").splitlines(keepends=True),
            after.splitlines(keepends=True),
            "/dev/null" if before is None else f"a/{path}",
            f"b/{path}",
        )
    )


def _texts(breach: Breach, root: Path) -> dict[str, tuple[str | None, str]]:
    """Each changed file, before and after."""
    texts: dict[str, tuple[str | None, str]] = {}
    for change in breach.changes:
        file = root / change.path
        before, now = texts.get(change.path, (None, None))
        if change.path not in texts and file.is_file():
            before = now = file.read_text()
        texts[change.path] = (before, change.applied(now))
    return texts
