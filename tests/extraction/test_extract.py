"""Coordinators that die, meet or are asked to stop: real processes."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured

from extraction.project import modules
from extraction.replicate.pair import Pair
from extraction.stages.coordinator import coordinating
from tests.extraction.commands import Shell, made, project, receive, schema, shell
from tests.extraction.conftest import Servers, connect, rows, wait_for
from tests.extraction.two_servers import EXTRACTION


@pytest.fixture
def typing(pair: Pair, servers: Servers) -> Iterator[Shell]:
    with project(pair) as moving, shell(moving, servers) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_goes_on_wherever_the_coordinator_was_killed(typing: Shell) -> None:
    pair = typing.project.pair
    before = schema(pair.source), made(pair)
    typing.do("provision")
    _killed(typing, "replicate", at="replicate.copying")
    assert typing.do("replicate")["evidence"]["lag_bytes"] >= 0
    typing.do("verify")

    _killed(typing, "ramp", at="ramp.step")
    _killed(typing, "ramp", at="ramp.step")
    assert len(typing.do("ramp", "--hold-s", "0.1")["evidence"]["steps"]) == 4

    for point in ("cutover.before_lock", "cutover.locked", "cutover.before_commit"):
        _killed(typing, "cutover", at=point)
        receive(pair, "monolith")
    _killed(typing, "cutover", at="cutover.after_commit")
    wait_for(lambda: _can_receive(pair, "inventory"))
    assert typing.project.routed()[-1] == "monolith 100", "the edge does not know yet"
    assert typing.do("cutover")["evidence"]["to_unit"] == "inventory"
    assert typing.project.routed()[-1] == "inventory 0"

    _killed(typing, "rollback", at="cutover.after_commit")
    wait_for(lambda: _can_receive(pair, "monolith"))
    typing.do("rollback")
    assert typing.project.routed()[-1] == "monolith 0"
    assert rows(pair.source, "product") == rows(pair.target, "product")

    typing.do("abort")
    assert (schema(pair.source), made(pair)) == before
    receive(pair, "monolith")
    assert ("cutover", "resumed") in typing.records()
    assert [what for stage, what in typing.records() if stage == "abort"][-1] == "done"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_coordinators_and_ctrl_c(typing: Shell) -> None:
    for stage in ("provision", "replicate", "verify"):
        typing.do(stage)
    first = typing.start("ramp", "--hold-s", "100")
    wait_for(lambda: typing.project.routed())

    status, _, err = typing.type("verify")
    assert status == 1
    assert "ramp by " in err
    assert f"(process {first.pid})" in err
    now = json.loads(typing.type("status", "--json")[1])
    assert (now["running"]["stage"], now["running"]["pid"]) == ("ramp", first.pid)

    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "Go on: manage.py extract ramp inventory" in err
    assert "Traceback" not in out + err
    assert typing.records()[-1] == ("ramp", "stopped")
    assert [step["percent"] for step in typing.do("ramp", "--hold-s", "0")["evidence"]["steps"]] == [1, 10, 50, 100]


def _killed(typing: Shell, stage: str, *, at: str) -> None:
    process = typing.start(stage, *(["--hold-s", "0.1"] if stage == "ramp" else []), EXTRACT_FAILPOINT=at)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, f"{stage} did not come to {at}"


def _can_receive(pair: Pair, unit: str) -> bool:
    try:
        receive(pair, unit)
    except psycopg.Error as error:
        if error.sqlstate not in ("MV001", "MV002"):
            raise
        return False
    return True


def test_the_coordinators_session_outlasts_the_idle_sessions_of_the_application(pair: Pair) -> None:
    with connect(pair.source) as admin:
        admin.execute(f"alter database {admin.info.dbname} set idle_session_timeout = '50ms'")
    with coordinating("inventory", url=pair.source.url, stage="replicate") as lock, connect(pair.target) as other:
        other.execute("select pg_sleep(0.3)")
        lock.check()


def test_a_name_that_psycopg_would_take_for_a_placeholder_is_refused(settings: Any) -> None:
    settings.EXTRACTION = EXTRACTION | {"modules": {"odd": {"apps": [], "database": "odd", "schema": "odd%s"}}}
    with pytest.raises(ImproperlyConfigured, match="'odd%s' has a percent sign"):
        modules()
