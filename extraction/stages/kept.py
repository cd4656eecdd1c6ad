"""What a comparison found equal, kept in the records database for the run that goes on with it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from extraction.cutover.verify import Chunk, Found
from extraction.models import ComparedChunk, Migration, Record
from extraction.stages.situation import Situation

FOR = timedelta(hours=1)
"""Since something was found last."""
AT_A_TIME = 1000


class Kept:
    """The ledger of a migration. Forgotten once `replicate` was done again, or migrations of the module were."""

    def __init__(self, situation: Situation, *, anew: bool) -> None:
        self._migration: Migration = situation.open()
        replicated = Record.objects.using("default").filter(
            migration=self._migration, stage="replicate", what=Record.What.DONE
        )
        last = replicated.last()
        self._since = str(last.pk if last else 0)
        self._anew = anew or bool(situation.migrated_since(self._first_at()))

    def begin(self, identity: str) -> dict[str, list[tuple[Chunk, Found | None]]]:
        identity = f"{identity} {self._since}"
        known = self._chunks().filter(identity=identity)
        newest = known.order_by("-changed_at").first()
        if self._anew or newest is None or newest.changed_at < timezone.now() - FOR:
            known = known.none()
        with transaction.atomic(using="default"):
            self._chunks().exclude(pk__in=known.values("pk")).delete()
        self._anew, self._identity = False, identity
        by_table: dict[str, list[tuple[Chunk, Found | None]]] = {}
        for row in known.order_by("table", "number"):
            by_table.setdefault(row.table, []).append((_chunk(row), _found(row)))
        return by_table

    def plan(self, chunks: Iterable[Chunk]) -> None:
        rows = [
            ComparedChunk(
                migration=self._migration,
                identity=self._identity,
                table=chunk.table,
                number=chunk.number,
                above=chunk.above,
                upto=chunk.upto,
            )
            for chunk in chunks
        ]
        with transaction.atomic(using="default"):
            ComparedChunk.objects.using("default").bulk_create(rows, batch_size=AT_A_TIME)

    def found(self, equal: Iterable[tuple[Chunk, Found]]) -> None:
        with transaction.atomic(using="default"):
            for chunk, found in equal:
                self._chunks().filter(table=chunk.table, number=chunk.number).update(
                    rows=found.rows, equal_at=found.at, changed_at=timezone.now()
                )

    def clear(self) -> None:
        self._chunks().delete()

    def _chunks(self) -> Any:
        return ComparedChunk.objects.using("default").filter(migration=self._migration)

    def _first_at(self) -> Any:
        first = self._chunks().order_by("changed_at").first()
        return first.changed_at if first else timezone.now()


def _chunk(row: ComparedChunk) -> Chunk:
    above, upto = (None if border is None else tuple(border) for border in (row.above, row.upto))
    return Chunk(row.table, row.number, above, upto)


def _found(row: ComparedChunk) -> Found | None:
    return None if row.equal_at is None or row.rows is None else Found(row.rows, row.equal_at)
