import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from extraction.cutover.failpoints import failpoint
from extraction.platform.protocol import Attempts, Routes
from extraction.stages.errors import ReadsFailed, Unread
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice, takes_reason
from extraction.stages.turn import after, at_source

SHARES = (1, 10, 50, 100)
"""Percent of reads, one after another."""
EVERY_S = 0.1
"""How often the candidate's attempts are read."""


class Ramp:
    """A growing share of reads to the target, watched at each step."""

    name = "ramp"

    def arguments(self, parser: ArgumentParser) -> None:
        takes_reason(parser)
        parser.add_argument("--hold-s", type=float, default=3.0, help="each share is watched so long (default: 3)")
        parser.add_argument("--max-failed", type=int, default=0, help="reads that may fail a share (default: 0)")

    def gates(self, situation: Situation) -> Iterator[Gate]:
        yield from after("replicate", situation)
        if situation.migration is None or not situation.has_done("replicate"):
            return
        yield from at_source(situation)
        yield from unverified(situation)

    def done(self, situation: Situation) -> str:
        migration = situation.open()
        is_done = migration.stage == self.name and migration.reads_percent >= SHARES[-1]
        return f"all reads are answered by {situation.target}" if is_done else ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        """Those from the share on that was set last, which may not have been watched to its end."""
        steps: list[dict[str, Any]] = []

        def step(percent: int) -> Step:
            def give(voice: Voice) -> dict[str, Any]:
                steps.append(_watched(situation, percent, options, voice))
                if percent == SHARES[-1]:
                    _require_reads(situation, steps, options)
                return {"steps": list(steps)}

            return Step(f"{percent} % of reads to {situation.target}, watched for {options.hold_s:g} s", give)

        return [step(percent) for percent in SHARES if percent >= situation.open().reads_percent]

    def conclude(self, situation: Situation) -> None:
        situation.open().stage = self.name


def unverified(situation: Situation) -> Iterator[Gate]:
    """A gate unless both sides were found equal, as they are made now."""
    if situation.migration is None:
        return
    verified_at, verify = situation.migration.verified_at, situation.command("verify")
    if verified_at is None:
        yield Gate(f"{situation.module.name} is not verified", verify)
    elif migrated := situation.migrated_since(verified_at):
        # A new column filled by default on each side need not hold the same values on both.
        yield Gate(f"{situation.module.name} was migrated in {' and '.join(migrated)} since it was verified", verify)


def reads_home(situation: Situation) -> None:
    """All reads to the source. The edge keeps the way to the target, for a later share."""
    situation.platform.route(
        Routes(module=situation.module.name, home=situation.source, candidate=situation.target, candidate_percent=0)
    )
    migration = situation.open()
    migration.reads_percent = 0
    migration.save(update_fields=["reads_percent"])


def _require_reads(situation: Situation, steps: list[dict[str, Any]], options: Options) -> None:
    """A share without traffic may pass; a ramp without any shows nothing."""
    if options.override or any(step["attempts"] for step in steps):
        return
    reads_home(situation)
    raise Unread(
        f"nobody read {situation.module.name} in these {options.hold_s * len(steps):g} s, so nothing is known of "
        f"{situation.target}; all reads are back in {situation.source}. Open a page of "
        f"{', '.join(situation.module.urls) or 'the module'} and type "
        f'{situation.command("ramp")} again, or say why it need not be: --override "reason"',
        steps=steps,
    )


def _watched(situation: Situation, percent: int, options: Options, voice: Voice) -> dict[str, Any]:
    platform, migration = situation.platform, situation.open()
    module, target = situation.module.name, situation.target
    before = platform.attempts(module, unit=target)
    platform.route(Routes(module=module, home=situation.source, candidate=target, candidate_percent=percent))
    failpoint("ramp.step")
    migration.reads_percent = percent
    migration.save(update_fields=["reads_percent"])
    end = time.monotonic() + options.hold_s
    while True:
        since = _since(before, platform.attempts(module, unit=target))
        evidence = {"percent": percent, "attempts": since.total, "failed": since.failed, "hold_s": options.hold_s}
        if since.failed > options.max_failed:
            reads_home(situation)
            raise ReadsFailed(
                f"{since.failed} of {since.total} reads failed in {target} at {percent} % and --max-failed is "
                f"{options.max_failed}; all reads are back in {situation.source}. Look into the log of {target}, then: "
                f"{situation.command('ramp')}",
                failed_step=evidence,
            )
        if time.monotonic() >= end:
            voice.say(f"{since.total} reads, {since.failed} failed")
            return evidence
        voice("")
        time.sleep(min(EVERY_S, max(0.0, end - time.monotonic())))


def _since(before: Attempts, now: Attempts) -> Attempts:
    """What was added; all of it when the edge was started again and counts from nothing."""
    if now.total < before.total or now.failed < before.failed:
        return now
    return replace(now, total=now.total - before.total, failed=now.failed - before.failed)
