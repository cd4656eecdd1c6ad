import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.utils import timezone

from extraction.cutover.copies import require_both_heard
from extraction.cutover.failpoints import failpoint
from extraction.models import Record
from extraction.placement.where import KNOWN_FOR_S
from extraction.platform.database import connect
from extraction.platform.protocol import Routes
from extraction.replicate.fence import unfence
from extraction.replicate.progress import Lost, LostBack, delay, is_complete
from extraction.replicate.removal import take_streams_away
from extraction.replicate.retiring import Archive, Kept, dependents, drop, early_readers, is_kept, kept, moved_s_ago
from extraction.replicate.retiring import retire as put_aside
from extraction.stages.errors import Obstructed, Remains
from extraction.stages.ramp import unverified
from extraction.stages.situation import LAST, Situation
from extraction.stages.stage import Gate, Options, Step, Voice, takes_reason
from extraction.stages.turn import after

NO_WAY_BACK = "what is written from then on is in one place alone"
READERS_S = 60.0
"""How long transactions from before the cutover are waited for."""
ARRIVES_S = 5.0
POLL_S = 0.05


class Complete:
    """The end of a migration: the module stays where it went, and its old tables are kept aside until --drop."""

    name = LAST

    def arguments(self, parser: ArgumentParser) -> None:
        takes_reason(parser)
        parser.add_argument("--drop", action="store_true", help="drop the tables that were kept")

    def gates(self, situation: Situation) -> Iterator[Gate]:
        if situation.stage == LAST:
            return  # begun, and there is no other way
        module, command = situation.module.name, situation.command
        yield from after("cutover", situation)
        if situation.migration is None or not situation.has_done("cutover"):
            return
        if situation.home() != situation.target:
            yield Gate(f"{module} lives in {situation.home()}", command("cutover"), firm=NO_WAY_BACK)
            return
        if not all(place.home == situation.target for place in situation.places()):
            yield Gate(
                f"{situation.target} has not opened, or not both sides say so", command("status"), firm=NO_WAY_BACK
            )
            return
        reasons = is_complete(situation.pair)
        lost = [reason for reason in reasons if isinstance(reason, LostBack)]
        yield from _unverified_since_it_moved(situation, lost)
        yield from _used_by_others(situation)
        if lost:
            yield Gate(
                f"there is no way back any more, and {situation.source} may lack something: {'; '.join(lost)}",
                f'{command(LAST)} --override "why the old tables may lack it"',
            )
        elif reasons := [*reasons, *_late(situation)]:
            yield Gate(
                f"{situation.source} lacks something: {'; '.join(reasons)}",
                command("replicate" if any(isinstance(reason, Lost) for reason in reasons) else "status"),
                firm="what is kept of it would lack it for ever",
            )
        waiting = situation.platform.waiting(module, unit=situation.source)
        if waiting is None:
            yield Gate(
                f"nobody can tell whether tasks of {module} wait in {situation.source}; look into its queues",
                f'{command(LAST)} --override "who looked, and where"',
            )
        elif waiting:
            yield Gate(
                f"{waiting} tasks of {module} wait in the queues of {situation.source}; its workers send them on when "
                "it is their turn",
                command(LAST),
            )

    def done(self, situation: Situation) -> str:
        if not situation.open().ended_at:
            return ""
        archive, module = _archive(situation), situation.module.name
        with connect(situation.source_url) as source:
            if not is_kept(archive, source):
                return f"the old tables of {module} are dropped, and it lives in {situation.target}"
            size = _size(kept(archive, source))
        return (
            f"{situation.command(LAST)} --drop drops the old tables, which {situation.source} keeps in schema "
            f"{archive.name} ({size}); {module} lives in {situation.target}"
        )

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        module, source, target = situation.module.name, situation.source, situation.target
        steps = []
        if not situation.open().ended_at:
            steps = [
                Step(f"Giving all requests of {module} to {target} alone", lambda _: _route(situation)),
                Step(f"Waiting for those who may still read in {source}", lambda voice: _readers(situation, voice)),
                Step("Taking the streams away on both sides", lambda voice: _part(situation, voice)),
                Step(f"Putting the tables of {source} aside", lambda voice: _put_aside(situation, voice)),
                Step("Taking the fence away on both sides", lambda _: _open(situation)),
            ]
        if options.drop:
            steps.append(Step(f"Dropping {_what(situation)}", lambda _: _drop(situation)))
        return steps

    def conclude(self, situation: Situation) -> None:
        migration = situation.open()
        migration.stage, migration.ended_at = LAST, migration.ended_at or timezone.now()
        migration.compared.all().delete()


def _unverified_since_it_moved(situation: Situation, lost: Sequence[str]) -> Iterator[Gate]:
    """Firm unless the stream back is lost: then nothing can be compared any more."""
    migration, verify = situation.open(), situation.command("verify")
    last = Record.objects.using("default").filter(migration=migration, stage="cutover", what=Record.What.DONE).last()
    found = [gate.reason for gate in unverified(situation)]
    if not found and last and migration.verified_at and migration.verified_at < last.at:
        found.append(f"{situation.module.name} is not verified since it lives in {situation.target}")
    for reason in found:
        if lost:
            yield Gate(
                f"{reason}, and can no longer be: {'; '.join(lost)}",
                f'{situation.command(LAST)} --override "why it need not be"',
            )
        else:
            yield Gate(reason, verify, firm="afterwards there is nothing to compare it with")


def _used_by_others(situation: Situation) -> Iterator[Gate]:
    with connect(situation.source_url) as source:
        found = dependents(_archive(situation), source)
    if found:
        yield Gate(
            f"others in {situation.source} use tables that nobody writes there any more: {'; '.join(map(str, found))}; "
            f"run there: {'; '.join(each.mend for each in found)}",
            situation.command(LAST),
            firm="they would see rows of the past",
        )


def _late(situation: Situation) -> list[str]:
    """Whether what the target commits arrives in the source."""
    pair = situation.pair
    require_both_heard(pair)
    if delay(pair, pair.back, within_s=ARRIVES_S).is_over:
        return []
    return [f"what {pair.target.unit} commits did not arrive within {ARRIVES_S:g} s"]


def _route(situation: Situation) -> dict[str, Any]:
    situation.platform.route(Routes(module=situation.module.name, home=situation.target))
    return {}


def _readers(situation: Situation, voice: Voice) -> dict[str, Any]:
    """Every process has asked again where the module lives once what it knew is too old, and its transaction over."""
    archive, end = _archive(situation), time.monotonic() + READERS_S
    with connect(situation.source_url) as source:
        while (early := early_readers(archive, source)) or moved_s_ago(archive, source) <= KNOWN_FOR_S:
            voice("")
            if time.monotonic() > end:
                raise Obstructed(
                    f"transactions in {situation.source} began before {situation.module.name} had moved for "
                    f"{KNOWN_FOR_S:g} s, and may take it for the home: {'; '.join(early)}; let them end, or end them "
                    f"with SELECT pg_terminate_backend(pid), then: {situation.command(LAST)}",
                    readers=early,
                )
            time.sleep(POLL_S)
        return {"moved_s_ago": round(moved_s_ago(archive, source))}


def _part(situation: Situation, voice: Voice) -> dict[str, Any]:
    pair, migration = situation.pair, situation.open()
    with connect(pair.source.url) as source, connect(pair.target.url) as target:
        # From here on there is no way back: the other stages are refused, and this one only goes on.
        migration.stage = LAST
        migration.save(update_fields=["stage"])
        failpoint("complete.begun")
        left = take_streams_away(pair, {pair.source.unit: source, pair.target.unit: target})
    failpoint("complete.parted")
    if left:
        raise Remains(f"left behind: {'; '.join(left)}; mend that, then: {situation.command(LAST)}", left=left)
    return {}


def _put_aside(situation: Situation, voice: Voice) -> dict[str, Any]:
    archive = _archive(situation)
    with connect(situation.source_url) as source:
        if others := dependents(archive, source):  # made since the gate
            raise Obstructed(
                f"others use these tables: {'; '.join(map(str, others))}; run in {situation.source}: "
                f"{'; '.join(each.mend for each in others)}; then: {situation.command(LAST)}"
            )
        keys = put_aside(archive, source, home=situation.target)
        found = kept(archive, source)
    failpoint("complete.retired")
    voice.say(f"kept in schema {archive.name} of {situation.source}: {_size(found)}")
    for key in keys:
        voice.say(f"a key on a table that stays was dropped: {key}")
    return {"archive": archive.name, "kept": {each.name: each.bytes for each in found}, "keys_dropped": keys}


def _open(situation: Situation) -> dict[str, Any]:
    pair = situation.pair
    for side in (pair.source, pair.target):
        with connect(side.url) as admin:
            unfence(pair, admin, timeout_s=READERS_S)
    return {}


def _drop(situation: Situation) -> dict[str, Any]:
    archive = _archive(situation)
    with connect(situation.source_url) as source:
        found = kept(archive, source)
        drop(archive, source)
    return {"dropped": {each.name: each.bytes for each in found}}


def _archive(situation: Situation) -> Archive:
    return Archive.of(situation.one_sided)


def _what(situation: Situation) -> str:
    """What is dropped, or, before it is put aside, that it is."""
    with connect(situation.source_url) as source:
        found = [each for each in kept(_archive(situation), source) if each.kind == "table"]
    if not found:
        return f"the old tables of {situation.module.name}"
    return ", ".join(f"{each.name} ({_size([each])})" for each in found)


def _size(found: list[Kept]) -> str:
    return f"{sum(each.bytes for each in found) / 1e6:.1f} MB"
