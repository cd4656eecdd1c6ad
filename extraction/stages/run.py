"""Do a stage: alone, in its turn, step by step, with a record of what was done."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
from django.core.serializers.json import DjangoJSONEncoder

from extraction.cutover.errors import CutoverError
from extraction.models import Record
from extraction.platform.errors import PlatformError
from extraction.replicate.errors import ReplicationError
from extraction.route.errors import RouteError
from extraction.stages.coordinator import coordinating, who
from extraction.stages.errors import Refused, StageError, Stopped
from extraction.stages.situation import LAST, Situation
from extraction.stages.stage import Gate, Options, Stage, Step

What = Record.What
EXPECTED = (StageError, CutoverError, ReplicationError, RouteError, PlatformError)
"""Their messages end with what to type next."""


class Show(Protocol):
    """Where a person sees it."""

    def began(self, what: str) -> None: ...

    def say(self, sentence: str) -> None: ...

    def ended(self, what: str, *, took_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a stage that was not refused."""

    is_new: bool
    """False where it had been done before."""
    sentence: str
    evidence: dict[str, Any] = field(default_factory=dict)


def plan(stage: Stage, situation: Situation, options: Options) -> Outcome:
    """What the stage would do. Changes nothing. Raises Refused where it would be."""
    situation.refresh(completed=stage.name == LAST)
    with _told(situation):
        if sentence := _done(stage, situation, options):
            return Outcome(False, sentence)
        for gate in stage.gates(situation):
            if gate.firm or not options.override:
                raise _refusal(stage, situation, gate)
        return Outcome(True, "", {"would": [step.what for step in stage.steps(situation, options)]})


def run(
    stage: Stage, situation: Situation, options: Options, *, show: Show, is_stopping: Callable[[], bool]
) -> Outcome:
    """Do what is left of the stage. Raises what EXPECTED lists, and records it."""
    module = situation.module.name
    with coordinating(module, url=situation.source_url, stage=stage.name) as lock:
        situation.refresh(completed=stage.name == LAST)
        try:
            with _told(situation):
                if sentence := _done(stage, situation, options):
                    return Outcome(False, sentence)
                _pass_gates(stage, situation, options)
        except EXPECTED as error:
            _record(stage, situation, What.REFUSED, _evidence_of(error))
            raise
        situation.open()
        _record(stage, situation, What.RESUMED if _was_left(stage, situation) else What.BEGAN, {})
        evidence: dict[str, Any] = {}
        voice = _Voice(show, is_stopping, situation, stage)
        try:
            with _told(situation):
                for step in stage.steps(situation, options):
                    voice("")
                    lock.check()
                    evidence |= _do(step, voice, show)
                    _record(stage, situation, What.STEP, {"step": step.what, **evidence})
        except Stopped as error:
            _record(stage, situation, What.STOPPED, evidence)
            error.evidence = evidence
            raise
        except Exception as error:
            _record(stage, situation, What.FAILED, evidence | _evidence_of(error))
            if isinstance(error, StageError):
                error.evidence = evidence | error.evidence
            raise
        stage.conclude(situation)
        migration = situation.open()
        migration.save()
        _record(stage, situation, What.DONE, evidence)
        return Outcome(True, f"{stage.name} of {module} is done", evidence)


@contextmanager
def _told(situation: Situation) -> Iterator[None]:
    """Raise StageError for what a server says that nobody foresaw."""
    try:
        yield
    except psycopg.Error as error:
        raise StageError(
            f"{type(error).__name__}: {_first_line(error)}; see where it stands: {situation.command('status')}",
            error=type(error).__name__,
        ) from error


def _done(stage: Stage, situation: Situation, options: Options) -> str:
    if situation.migration is None or options.drop or (situation.stage == LAST != stage.name):
        return ""
    return stage.done(situation)


class _Voice:
    def __init__(self, show: Show, is_stopping: Callable[[], bool], situation: Situation, stage: Stage) -> None:
        self._show, self._is_stopping, self._situation, self._stage = show, is_stopping, situation, stage

    def __call__(self, sentence: str) -> None:
        if sentence:
            self._show.say(sentence)
        if self._is_stopping():
            raise Stopped(f"stopped; what was done so far is kept. Go on: {self._situation.command(self._stage.name)}")

    def say(self, sentence: str) -> None:
        self._show.say(sentence)


def _pass_gates(stage: Stage, situation: Situation, options: Options) -> None:
    opened = []
    for gate in stage.gates(situation):
        if gate.firm or not options.override:
            raise _refusal(stage, situation, gate)
        opened.append(gate.reason)
    if opened:
        _record(stage, situation, What.OVERRIDDEN, {"reason": options.override, "gates": opened})


def _refusal(stage: Stage, situation: Situation, gate: Gate) -> Refused:
    why = f", and {gate.firm}" if gate.firm else ""
    return Refused(
        f"{stage.name} is refused: {gate.reason}{why}; next: {gate.next}", reason=gate.reason, next=gate.next
    )


def _do(step: Step, voice: _Voice, show: Show) -> dict[str, Any]:
    began = time.monotonic()
    show.began(step.what)
    evidence = step.do(voice)
    show.ended(step.what, took_s=time.monotonic() - began)
    return evidence


def _was_left(stage: Stage, situation: Situation) -> bool:
    """Whether the last that was heard of this stage is that it was under way."""
    last = Record.objects.using("default").filter(migration=situation.migration).exclude(what=What.REFUSED).last()
    return last is not None and last.stage == stage.name and last.what in (What.BEGAN, What.RESUMED, What.STEP)


def _record(stage: Stage, situation: Situation, what: Record.What, evidence: dict[str, Any]) -> None:
    Record.objects.using("default").create(
        migration=situation.migration,
        module=situation.module.name,
        who=who()[:200],
        stage=stage.name,
        what=what,
        evidence=json.loads(json.dumps(evidence, cls=DjangoJSONEncoder)),
    )


def _evidence_of(error: Exception) -> dict[str, Any]:
    """Of what nobody foresaw the first line: the next ones may hold a row."""
    known = error.evidence if isinstance(error, StageError) else {}
    message = str(error) if isinstance(error, EXPECTED) else _first_line(error)
    return {"error": type(error).__name__, "message": message, **known}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
