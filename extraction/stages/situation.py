"""A module and its migration as they are: what was recorded, and where both databases say that the module lives."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import psycopg
from django.apps import apps
from django.db.models import Q
from psycopg import sql

from extraction import project
from extraction.models import Migration
from extraction.placement.database import Objects
from extraction.platform.database import connect
from extraction.platform.errors import PlatformError
from extraction.platform.protocol import Platform
from extraction.project import Module
from extraction.queries import Queries
from extraction.replicate.pair import Pair, Side
from extraction.stages.errors import StageError

_queries = Queries(Path(__file__).with_name("situation.sql"))

LAST = "complete"
ORDER = ("", "provision", "replicate", "verify", "ramp", "cutover", LAST)
"""Stages in the order in which they are done. `rollback` leads from the last one back to before it."""
LOST = "lost"
"""The target was given up by `recall --accept-loss`; what is left is to abort."""
_AS_FAR_AS = {"rollback": "ramp", LOST: "provision"}


@dataclass(frozen=True, slots=True)
class Place:
    """What one side says of where the module lives."""

    unit: str
    home: str = ""
    epoch: int = -1
    problem: str = ""
    """Why it says nothing."""


@dataclass
class Situation:
    """A module of this project on its platform, with its open migration if there is one."""

    module: Module
    platform: Platform
    migration: Migration | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self, *, completed: bool = False) -> None:
        """Read the open migration again, or, if asked to and none is open, the one that was completed last."""
        found = Migration.objects.using("default").filter(Q(module=self.module.name))
        self.migration = found.filter(ended_at=None).first()
        if completed and self.migration is None:
            self.migration = found.filter(stage=LAST).exclude(ended_at=None).order_by("ended_at").last()

    def open(self) -> Migration:
        """The open migration, a new one if there is none."""
        if self.migration is None:
            self.migration = Migration.objects.using("default").create(
                id=secrets.token_hex(3), module=self.module.name, source=self.source, target=self.target
            )
        return self.migration

    @property
    def was_completed(self) -> bool:
        """Whether a migration of the module came to its end here."""
        return Migration.objects.using("default").filter(module=self.module.name, stage=LAST).exists()

    @property
    def source(self) -> str:
        """The unit that the module leaves."""
        return self.migration.source if self.migration else project.unit()

    @property
    def target(self) -> str:
        """The unit that it goes to, named like the module."""
        return self.migration.target if self.migration else self.module.name

    @property
    def stage(self) -> str:
        """The last stage that was done; rollback counts as what it leads back to."""
        return self.migration.stage if self.migration else ""

    def has_done(self, stage: str) -> bool:
        """Whether this stage was done and not undone."""
        return ORDER.index(_AS_FAR_AS.get(self.stage, self.stage)) >= ORDER.index(stage)

    @property
    def source_url(self) -> str:
        """The administrator's, on a direct connection."""
        return self.platform.admin_url(self.source, self.module.name)

    @cached_property
    def pair(self) -> Pair:
        """Both databases. Raises PlatformError where one was not provided yet."""
        migration = self.open()
        return Pair(
            id=migration.id,
            module=self.module.name,
            schema=self.module.schema,
            only=project.tables(self.module.name),
            source=Side(unit=self.source, url=self.source_url),
            target=Side(unit=self.target, url=self.platform.admin_url(self.target, self.module.name)),
        )

    @property
    def one_sided(self) -> Pair:
        """The source twice, for what is done there alone, also where the target has no database any more."""
        source = Side(unit=self.source, url=self.source_url)
        return Pair(
            id=self.open().id,
            module=self.module.name,
            schema=self.module.schema,
            only=project.tables(self.module.name),
            source=source,
            target=source,
        )

    def places(self) -> tuple[Place, ...]:
        """What the sides say, the source first; the target only where it was provided."""
        found = [self._place(self.source)]
        if self.migration is not None and self.has_done("provision"):
            found.append(self._place(self.target))
        return tuple(found)

    def home(self) -> str:
        """Where the module lives: what the newest row says. Raises StageError when nobody answers."""
        places = [place for place in self.places() if not place.problem]
        if not places:
            raise StageError(
                f"no database of {self.module.name} says where it lives ({self.places()[0].problem}); bring the server "
                f"back, then: {self.command('status')}"
            )
        return max(places, key=lambda place: place.epoch).home

    def migrated_since(self, moment: datetime) -> list[str]:
        """The units where migrations of the module were applied after this, of those that answer."""
        return [unit for unit in (self.source, self.target) if (at := self._migrated_at(unit)) and at > moment]

    def command(self, stage: str) -> str:
        """What to type for this stage."""
        return f"manage.py extract {stage} {self.module.name}"

    def _place(self, unit: str) -> Place:
        try:
            with connect(self.platform.admin_url(unit, self.module.name)) as connection:
                row = connection.execute(Objects(self.module.name, self.module.schema).query("read")).fetchone()
        except PlatformError as error:
            return Place(unit, problem=str(error))
        except psycopg.Error as error:
            return Place(unit, problem=f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return Place(unit, home=row[0], epoch=row[1]) if row else Place(unit, problem="it has no placement row")

    def _migrated_at(self, unit: str) -> datetime | None:
        labels = [config.label for config in apps.get_app_configs() if config.name in self.module.apps]
        try:
            with connect(self.platform.admin_url(unit, self.module.name)) as connection:
                books = connection.execute(_queries("migration_books"), {"schema": self.module.schema}).fetchall()
                found = list[tuple[datetime | None]]()
                for (schema,) in books:
                    query = _queries("last_migrated_at", schema=sql.Identifier(schema))
                    found += connection.execute(query, {"labels": labels or None}).fetchall()
                return max((at for (at,) in found if at), default=None)
        except PlatformError:  # what needs this side says so itself
            return None
