import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from extraction.cutover.copies import require_original_source
from extraction.cutover.failpoints import failpoint
from extraction.replicate.ddl_guard import guard
from extraction.replicate.progress import LostBack, Progress, Reconnecting, is_complete
from extraction.replicate.renewing import is_lost, part_lost_stream
from extraction.replicate.stream import follow, prepare, renew_out, start
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice
from extraction.stages.turn import after, at_source

SAY_EVERY_S = 2.0


class Replicate:
    """Fence the module's tables, copy them while they are written, and let both sides follow each other."""

    name = "replicate"

    def arguments(self, parser: ArgumentParser) -> None:
        add, usual = parser.add_argument, Options()
        workers = f"how many copy at a time (default: {usual.copy_workers})"
        add("--workers", dest="copy_workers", type=int, default=usual.copy_workers, metavar="N", help=workers)
        add("--max-mb-s", type=float, default=0.0, metavar="MB", help="copy no faster (default: as fast as it goes)")
        lag = f"rest while another slot falls behind by more (default: {usual.max_lag_mb:g})"
        add("--max-lag-mb", type=float, default=usual.max_lag_mb, metavar="MB", help=lag)
        kept = f"for how long a copy that is broken off can go on (default: {usual.keep_snapshot_min:g})"
        add("--keep-snapshot-min", type=float, default=usual.keep_snapshot_min, metavar="MIN", help=kept)

    def gates(self, situation: Situation) -> Iterator[Gate]:
        yield from after("provision", situation)
        if situation.migration is not None and situation.has_done("provision"):
            if situation.has_done(self.name) and situation.home() == situation.target:
                yield from _broken(situation)
            else:
                yield from at_source(situation)

    def done(self, situation: Situation) -> str:
        """Not when a table came since: then the stage is done again."""
        if not situation.has_done(self.name):
            return ""
        reasons = is_complete(situation.pair)
        if reasons if situation.home() == situation.source else _lasting(reasons):
            return ""
        return f"{situation.source} and {situation.target} follow each other"

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        def join(voice: Voice) -> dict[str, Any]:
            # What is copied from here on, nobody has compared.
            migration = situation.open()
            if any(not isinstance(reason, Reconnecting) for reason in is_complete(situation.pair)):
                migration.verified_at = None
                migration.save(update_fields=["verified_at"])
            require_original_source(situation.pair)
            if part_lost_stream(situation.pair, situation.pair.back):
                voice.say(f"the stream from {situation.target} to {situation.source} is made anew")
            prepare(situation.pair)
            unguarded = guard(situation.pair)
            for note in unguarded:
                voice.say(note)
            return {"unguarded": unguarded} if unguarded else {}

        def copy(voice: Voice) -> dict[str, Any]:
            pace = _Pace(voice)
            copied = start(situation.pair, limits=options.limits(), watch=pace.see, tell=voice.say)
            now = follow(situation.pair, tell=lambda _: None, watch=pace.see)
            voice.say(now.sentence())
            return {"tables": now.tables, **copied.evidence, "lag_bytes": now.lag_bytes}

        def renew(voice: Voice) -> dict[str, Any]:
            require_original_source(situation.pair)
            renew_out(situation.pair)
            voice.say(follow(situation.pair, tell=voice.say).sentence())
            return {}

        if situation.has_done(self.name) and situation.home() == situation.target:
            return [Step(f"Making the stream from {situation.source} to {situation.target} anew", renew)]
        return [
            Step(f"Fencing and publishing {situation.module.name} on both sides", join),
            Step(f"Copying from {situation.source} to {situation.target}", copy),
        ]

    def conclude(self, situation: Situation) -> None:
        migration = situation.open()
        if not situation.has_done(self.name):
            migration.stage = self.name


def _broken(situation: Situation) -> Iterator[Gate]:
    """A gate where the sides do not follow each other while the target is home, unless what is lost leads to it."""
    reasons = _lasting(is_complete(situation.pair))
    if any(isinstance(reason, LostBack) for reason in reasons):
        yield Gate(
            f"{situation.source} does not get what {situation.target} writes, and never will: {'; '.join(reasons)}",
            f'{situation.command("complete")} --override "the stream back is lost"',
            firm=f"{situation.module.name} lives in {situation.target}, and there is no way back",
        )
    elif reasons and not is_lost(situation.pair.out):
        yield Gate(
            "; ".join(reasons),
            situation.command("status"),
            firm=f"while {situation.module.name} lives in {situation.target}, this begins anew for no command: mend it",
        )


def _lasting(reasons: list[str]) -> list[str]:
    return [reason for reason in reasons if not isinstance(reason, Reconnecting)]


class _Pace:
    """Rate and time left, from what was copied since this process looks."""

    def __init__(self, voice: Voice) -> None:
        self._voice, self._began, self._said_at = voice, time.monotonic(), 0.0
        self._first: Progress | None = None

    def see(self, now: Progress) -> None:
        failpoint("replicate.copying")
        if not now.is_streaming:
            self._first = self._first or now
        if time.monotonic() < self._said_at + SAY_EVERY_S:
            self._voice("")
            return
        self._said_at = time.monotonic()
        self._voice(f"{now.sentence()}{self._rate(now)}")

    def _rate(self, now: Progress) -> str:
        if now.is_streaming or self._first is None:
            return ""
        took_s = max(time.monotonic() - self._began, 0.01)
        rows_s = (now.rows_copied - self._first.rows_copied) / took_s
        share_s = (now.share - self._first.share) / took_s
        if rows_s < 1 or share_s <= 0:
            return ""
        mb_s = (now.bytes_copied - self._first.bytes_copied) / took_s / 2**20
        return f"; {rows_s:.0f} rows/s, {mb_s:.1f} MB/s, {(1 - now.share) / share_s:.0f} s left"
