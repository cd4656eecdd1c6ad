"""`verify` as it is typed: what it keeps, what it records, what it opens."""

import json
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from extraction.cutover.verify import Verification, repairing, verify
from extraction.models import ComparedChunk, Migration
from extraction.replicate.pair import Pair
from extraction.stages import verify as stage
from tests.extraction.commands import Project, Shell, shell
from tests.extraction.conftest import Servers, as_owner, connect, rows, wait_for
from tests.extraction.test_verify import meddling

SLOWLY = ("--max-rows-s", "60", "--workers", "1")


@pytest.fixture
def typing(moving: Project, servers: Servers) -> Iterator[Shell]:
    with shell(moving, servers) as opened:
        yield opened


def test_shows_then_repairs_and_records_the_keys(moving: Project) -> None:
    moving.do("provision", "replicate", "verify")
    with meddling(moving.pair.target) as target:
        target.execute("update inventory.product set price = price + 1 where id between 1 and 30")
        target.execute("delete from inventory.product where id = 31")
    before = rows(moving.pair.target, "product")

    status, out, err = moving.type("verify")
    assert status == 1
    assert "20 of 31 rows that differ" in out
    assert err.endswith("see what would make both sides equal: manage.py extract verify inventory --repair")
    assert "not verified" in moving.refused("ramp")

    status, out, err = moving.type("verify", "--repair")
    assert status == 1
    assert "would product: update price where id = 1\n" in out
    assert err.endswith("manage.py extract verify inventory --repair --yes")
    assert rows(moving.pair.target, "product") == before

    done = json.loads(moving.type("verify", "--repair", "--yes", "--json")[1])
    assert done["outcome"] == "done", done
    assert done["evidence"]["repaired"] == {"inserted": 1, "updated": 30, "deleted": 0}
    assert rows(moving.pair.target, "product") == rows(moving.pair.source, "product")
    noted = [record.evidence["repairing"] for record in moving.records() if "repairing" in record.evidence]
    assert sorted(key for note in noted for key in note["keys"]) == sorted(f"{{{n}}}" for n in range(1, 32))
    assert not ComparedChunk.objects.exists()
    moving.do("ramp")


def test_a_sample_opens_no_gate(moving: Project) -> None:
    moving.do("provision", "replicate")
    status, out, err = moving.type("verify", "--sample", "50", "--seed", "5")
    assert (status, err) == (0, "")
    assert "opens no gate: 6 of 6 chunks, --seed 5" in out
    assert Migration.objects.get().verified_at is None
    assert moving.refused("ramp").endswith("next: manage.py extract verify inventory")
    moving.do("verify")
    verified_at = Migration.objects.get().verified_at
    assert moving.type("verify", "--sample", "50")[0] == 0
    assert Migration.objects.get().verified_at == verified_at


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--sample", "101"), "--sample takes a percentage"),
        (("--sample", "5", "--repair"), "leave --sample out"),
        (("--yes",), "--yes says that --repair may write"),
        (("--max-snapshot-s", "0"), "--max-snapshot-s takes seconds"),
        (("--workers", "0"), "--workers takes"),
        (("--max-rows-s", "nan"), "--max-rows-s takes"),
        (("--seed", "1"), "--seed is that of a --sample"),
    ],
)
def test_refuses_options_that_mean_nothing(moving: Project, options: tuple[str, ...], why: str) -> None:
    assert why in moving.refused("verify", *options)


def test_what_was_found_counts_for_an_hour(moving: Project) -> None:
    moving.do("provision", "replicate")
    with meddling(moving.pair.target) as target:
        target.execute("update inventory.product set price = 0 where id = 7")

    def kept(*options: str) -> Any:
        return json.loads(moving.type("verify", "--json", *options)[1])["evidence"]["chunks_kept"]

    assert [kept(), kept(), kept("--anew"), kept()] == [0, 5, 0, 5]
    for chunk in ComparedChunk.objects.all():
        ComparedChunk.objects.update(changed_at=chunk.changed_at - timedelta(hours=1))
    assert [kept(), kept()] == [0, 5]
    moving.do("abort")
    assert not ComparedChunk.objects.exists()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_goes_on_after_a_kill(typing: Shell) -> None:
    pair: Pair = typing.project.pair
    with as_owner(pair.source) as owner:
        owner.execute("insert into product (name, price) select 'many', n from generate_series(1, 400) n")
    typing.do("provision")
    typing.do("replicate")
    process = typing.start("verify", *SLOWLY)
    with psycopg.connect(typing.records_url, autocommit=True) as records:
        equal = "select count(*) from extraction_comparedchunk where equal_at is not null"
        wait_for(lambda: records.execute(equal).fetchone()[0] >= 3, within_s=100)  # type: ignore[index]
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = "select count(*) from extraction_comparedchunk where equal_at is null"
        assert records.execute(left).fetchone()[0]  # type: ignore[index]

    evidence = typing.do("verify")["evidence"]

    assert evidence["equal"]
    assert evidence["chunks_kept"] >= 3
    assert evidence["rows"] == 903
    assert [what for stage, what in typing.records() if stage == "verify"] == ["began", "resumed", "step", "done"]
    assert typing.do("verify")["evidence"]["chunks_kept"] == 0


def test_a_difference_closes_the_gate_also_where_its_repair_fails(
    moving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.do("provision", "replicate", "verify")
    with meddling(moving.pair.target) as target:
        target.execute("update inventory.product set price = 0 where id = 7")
    monkeypatch.setattr(repairing, "MOST_KEYS", 0)
    assert "1 rows of inventory differ, and 0 are the most" in moving.refused("verify", "--repair", "--yes")
    assert "not verified" in moving.refused("ramp")


def test_a_migration_while_it_compares_asks_for_another_comparison(
    moving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.do("provision", "replicate")
    for side in (moving.pair.source, moving.pair.target):
        with connect(side) as admin:
            admin.execute("create table public.django_migrations (app text, applied timestamptz not null)")

    def migrated(*given: Any, **more: Any) -> Verification:
        found = verify(*given, **more)
        with connect(moving.pair.source) as admin:
            admin.execute("insert into public.django_migrations values ('inventory', clock_timestamp())")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(stage, "verify", migrated)
        moving.do("verify")
    assert "migrated in monolith since it was verified" in moving.refused("ramp")
    moving.do("verify", "ramp")
