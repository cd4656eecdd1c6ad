import time
from collections.abc import Iterator
from typing import Any

from extraction.cutover.failpoints import failpoint
from extraction.replicate.progress import Progress, Reconnecting, is_complete
from extraction.replicate.stream import follow, prepare, start
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice
from extraction.stages.turn import after, at_source

SAY_EVERY_S = 2.0


class Replicate:
    """Fence the module's tables, copy them while they are written, and let both sides follow each other."""

    name = "replicate"

    def gates(self, situation: Situation) -> Iterator[Gate]:
        yield from after("provision", situation)
        if situation.migration is not None and situation.has_done("provision"):
            yield from at_source(situation)

    def done(self, situation: Situation) -> str:
        """Not when a table came since: then the stage is done again."""
        if not situation.has_done(self.name) or (situation.home() == situation.source and is_complete(situation.pair)):
            return ""
        return f"{situation.source} and {situation.target} follow each other"

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        def join(voice: Voice) -> dict[str, Any]:
            # What is copied from here on, nobody has compared.
            migration = situation.open()
            if any(not isinstance(reason, Reconnecting) for reason in is_complete(situation.pair)):
                migration.verified_at = None
                migration.save(update_fields=["verified_at"])
            prepare(situation.pair)
            start(situation.pair)
            return {}

        def copy(voice: Voice) -> dict[str, Any]:
            pace = _Pace(voice)
            now = follow(situation.pair, tell=lambda _: None, watch=pace.see)
            voice.say(now.sentence())
            return {
                "tables": now.tables,
                "rows": now.rows_copied,
                "bytes": now.bytes_copied,
                "seconds": round(pace.took_s, 2),
                "rows_per_s": round(now.rows_copied / max(pace.took_s, 0.01)),
                "lag_bytes": now.lag_bytes,
            }

        return [
            Step(f"Fencing and publishing {situation.module.name} on both sides", join),
            Step(f"Copying from {situation.source} to {situation.target}", copy),
        ]

    def conclude(self, situation: Situation) -> None:
        migration = situation.open()
        if not situation.has_done(self.name):
            migration.stage = self.name


class _Pace:
    """Rate and time left, from what was copied since this process looks."""

    def __init__(self, voice: Voice) -> None:
        self._voice, self._began, self._first, self._said_at = voice, time.monotonic(), -1, 0.0

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._began

    def see(self, now: Progress) -> None:
        failpoint("replicate.copying")
        if self._first < 0:
            self._first = now.rows_copied
        if time.monotonic() < self._said_at + SAY_EVERY_S:
            self._voice("")
            return
        self._said_at = time.monotonic()
        rate = (now.rows_copied - self._first) / max(self.took_s, 0.01)
        left = f", {rate:.0f} rows/s, {(now.rows_total - now.rows_copied) / rate:.0f} s left" if rate >= 1 else ""
        self._voice(f"{now.sentence()}{left}")
