"""Called off at any moment, a migration leaves the source as it was."""

import signal
from collections.abc import Iterator

import pytest

from extraction.models import Migration
from extraction.replicate.pair import Pair
from tests.extraction.commands import Project, Shell, made, project, receive, schema, shell
from tests.extraction.conftest import Servers

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def typing(pair: Pair, servers: Servers) -> Iterator[Shell]:
    with project(pair) as opened, shell(opened, servers) as terminal:
        yield terminal


@pytest.mark.parametrize("step", ["provide_database", "start"])
def test_a_unit_that_was_made_in_part_is_taken_away(moving: Project, step: str) -> None:
    before = schema(moving.pair.source), made(moving.pair)
    moving.refused("provision", TEST_BREAKS_IN=step)
    moving.do("abort")
    assert (schema(moving.pair.source), made(moving.pair)) == before
    assert Migration.objects.get().ended_at
    receive(moving.pair, "monolith")
    moving.do("provision")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "point"),
    [("replicate", "replicate.copying"), ("ramp", "ramp.step"), ("cutover", "cutover.before_commit")],
)
def test_a_stage_that_was_killed_leaves_nothing_to_an_abort(typing: Shell, stage: str, point: str) -> None:
    pair = typing.project.pair
    before = schema(pair.source), made(pair)
    stages = ["provision", "replicate", "verify", "cutover"]
    for earlier in stages[: stages.index(stage) if stage in stages else 3]:
        typing.do(earlier)
    _killed(typing, stage, *(["--override", "a test"] if stage == "cutover" else []), at=point)
    typing.do("abort")
    assert (schema(pair.source), made(pair)) == before
    receive(pair, "monolith")


@pytest.mark.slow
@pytest.mark.parametrize("point", ["abort.parted", "abort.retired"])
def test_an_abort_that_was_killed_goes_on_also_where_the_target_was_away(
    typing: Shell, servers: Servers, point: str
) -> None:
    pair = typing.project.pair
    before = schema(pair.source), made(pair)
    typing.do("provision")
    typing.do("replicate")
    servers.target.stop(how="crash")
    try:
        assert typing.type("abort")[0] == 1
        assert (schema(pair.source), made(pair)) == before
    finally:
        servers.target.start()
    _killed(typing, "abort", at=point)
    typing.do("abort")
    assert (schema(pair.source), made(pair)) == before


def _killed(typing: Shell, stage: str, *options: str, at: str) -> None:
    process = typing.start(stage, *options, EXTRACT_FAILPOINT=at)
    process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL, f"{stage} did not come to {at}"
