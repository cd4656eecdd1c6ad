"""What a module leaves on the source when it stays where it went: its tables, kept aside until somebody drops them.

They are moved as they are into a schema of the migration's own, which nobody but an administrator may use. Names stay
as they were, of indexes, constraints and sequences too, and are free for others where they stood.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.placement import retired
from extraction.placement.database import Objects
from extraction.placement.where import KNOWN_FOR_S
from extraction.queries import Queries
from extraction.replicate.errors import Blocked
from extraction.replicate.pair import Pair
from extraction.replicate.patience import TIMEOUT_S, patiently

_queries = Queries(Path(__file__).with_name("retiring.sql"))

DROPPED_IN_ORDER = ("view", "materialized view", "table", "foreign table", "sequence", "type", "domain")


@dataclass(frozen=True, slots=True)
class Kept:
    """A relation or type that was retired."""

    kind: str
    name: str
    bytes: int
    """With its indexes and what is stored out of line; 0 for what holds nothing."""


@dataclass(frozen=True, slots=True)
class Dependent:
    """Somebody else's, on a table of the module."""

    of: str
    what: str
    on: str
    mend: str

    def __str__(self) -> str:
        if self.what in ("view", "function"):
            return f"{self.what} {self.of} on {self.on}"
        return f"{self.what} of {self.of} on {self.on}"


@dataclass(frozen=True)
class Archive:
    """Where the tables of one migration are kept, in the source's database."""

    objects: Objects
    name: str
    """Of the schema."""

    @classmethod
    def of(cls, pair: Pair) -> "Archive":
        return cls(pair.objects, f"{pair.name}_retired")

    def query(self, name: str, **parts: sql.Composable) -> sql.Composed:
        """A query of retiring.sql. It runs without parameters."""
        objects = self.objects
        placement = sql.Identifier(objects.schema, objects.placement).as_string()
        return _queries(
            name,
            archive=sql.Identifier(self.name),
            archive_name=sql.Literal(sql.Identifier(self.name).as_string()),
            members=objects.members_literally,
            without=sql.Literal([*objects.without(), "django_migrations"]),
            schema=sql.Identifier(objects.schema),
            schema_text=sql.Literal(objects.schema),
            is_shared=sql.Literal(bool(objects.only)),
            placement=sql.Identifier(objects.placement),
            placement_name=sql.Literal(placement),
            known_for=sql.Literal(KNOWN_FOR_S),
            **parts,
        )


def dependents(archive: Archive, source: Connection[Any]) -> list[Dependent]:
    """Keys, views and functions of others on the module's tables, which nobody writes on this side any more."""
    return [Dependent(*row) for row in source.execute(archive.query("incoming")).fetchall()]


def early_readers(archive: Archive, source: Connection[Any]) -> list[str]:
    """Sessions that may still take this side for the home, for they began before every process had asked again."""
    found = source.execute(archive.query("early_readers")).fetchall()
    return [f"pid {pid} of {role} ({name or 'unnamed'}, open for {age_s:.0f} s)" for pid, role, name, age_s in found]


def moved_s_ago(archive: Archive, source: Connection[Any]) -> float:
    """Since when the source is not home, by its own clock."""
    (found,) = source.execute(archive.query("known_since_s")).fetchone() or (0.0,)
    return float(found)


def retire(archive: Archive, source: Connection[Any], *, home: str, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Put the module's tables aside, in one transaction. Returns the keys on other tables that went. Raises Blocked.

    Each of these goes before that, in a transaction of its own: it locks the other table, which is in use.
    """

    def act(statement: sql.Composed, *, owner: str) -> None:
        source.execute(archive.query("become", role=sql.Identifier(owner)))
        source.execute(statement)
        source.execute(archive.query("leave_role"))

    def drop_key(table: str, key: str, owner: str, definition: str) -> None:
        act(archive.query("drop_key", table=sql.Identifier(table), constraint=sql.Identifier(key)), owner=owner)
        keys = json.dumps([*_noted_keys(archive, source), definition])
        source.execute(archive.query("note_keys", keys=sql.Literal(keys)))

    def move() -> None:
        moving = source.execute(archive.query("moving")).fetchall()
        owners = {owner: sql.Identifier(owner) for _, _, owner in moving}
        for role in owners.values():
            source.execute(archive.query("let_in", owner=role))
        for kind, name, owner in moving:
            if kind == "table":
                act(archive.objects.query("unfence_table", table=sql.Identifier(name)), owner=owner)
            act(archive.query("move", kind=sql.SQL(kind), relation=sql.Identifier(name)), owner=owner)
        for role in owners.values():
            source.execute(archive.query("shut", owner=role))
        (owner,) = source.execute(archive.query("placement_owner")).fetchone() or ("",)
        note = sql.Literal(retired.note(home))
        act(archive.query("note", note=note), owner=owner)

    patiently(source, lambda: source.execute(archive.query("make_archive")), of=archive.objects, timeout_s=timeout_s)
    for key in source.execute(archive.query("outgoing")).fetchall():
        patiently(source, partial(drop_key, *key), of=archive.objects, timeout_s=timeout_s)
    patiently(source, move, of=archive.objects, timeout_s=timeout_s)
    return _noted_keys(archive, source)


def _noted_keys(archive: Archive, source: Connection[Any]) -> list[str]:
    return list(json.loads((source.execute(archive.query("noted_keys")).fetchone() or ("[]",))[0]))


def kept(archive: Archive, source: Connection[Any]) -> list[Kept]:
    """What is kept there; nothing where there is no archive."""
    return [Kept(*row) for row in source.execute(archive.query("kept")).fetchall()]


def is_kept(archive: Archive, source: Connection[Any]) -> bool:
    """Whether the archive is there."""
    return bool((source.execute(archive.query("has_archive")).fetchone() or (False,))[0])


def drop(archive: Archive, source: Connection[Any], *, timeout_s: float = TIMEOUT_S) -> None:
    """Drop what is kept, and nothing else. Raises Blocked, also where something else depends on it."""

    def act() -> None:
        found = kept(archive, source)
        for kind in DROPPED_IN_ORDER:
            if names := [sql.Identifier(archive.name, each.name) for each in found if each.kind == kind]:
                source.execute(archive.query("drop", kind=sql.SQL(kind), names=sql.SQL(", ").join(names)))
        source.execute(archive.query("drop_archive"))

    try:
        patiently(source, act, of=archive.objects, timeout_s=timeout_s)
    except psycopg.errors.DependentObjectsStillExist as error:
        raise Blocked(
            f"something of others depends on what is kept in {archive.name} ({error.diag.message_detail}); drop that, "
            f"then run: manage.py extract complete {archive.objects.module} --drop"
        ) from error
