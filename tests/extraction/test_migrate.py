"""`manage.py migrate` in a unit whose module is on its way, or has left for good."""

import subprocess
import sys
from typing import Any

import psycopg
import pytest

from extraction.placement.database import DDL_SETTING
from extraction.platform.database import with_login
from extraction.replicate.ddl_guard import guard_side
from extraction.replicate.fence import fence
from extraction.replicate.pair import Pair
from extraction.replicate.removal import take_streams_away
from extraction.replicate.retiring import Archive, retire
from extraction.replicate.roles import provide_publisher
from tests.embedded import unembedded
from tests.extraction.commands import ROOT
from tests.extraction.conftest import PASSWORD, ROLE, connect


def migrate(pair: Pair, *words: str, **environment: str) -> tuple[int, str]:
    """As the role that owns the tables. Exit status and what it says."""
    url = with_login(pair.source.url, role=ROLE, password=PASSWORD, database=pair.source.url.rpartition("/")[2])
    told = {"DJANGO_SETTINGS_MODULE": "tests.extraction.migrating", "TEST_SOURCE_URL": url, "TEST_DEFAULT_URL": url}
    command = [sys.executable, "manage.py", "migrate", "goods", *words, "--database", "inventory"]
    done = subprocess.run(command, cwd=ROOT, env=unembedded() | told | environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("has_guard", [True, False], ids=["event-trigger", "none"])
def test_a_module_on_its_way_is_migrated_only_by_who_says_so(pair: Pair, has_guard: bool) -> None:
    assert migrate(pair, "0001")[0] == 0
    with connect(pair.source) as admin:
        fence(pair, admin, timeout_s=10)
        provide_publisher(pair, pair.out, admin, timeout_s=10)
        if has_guard:
            guard_side(pair, admin)

        status, said = migrate(pair)

        assert status == 1
        assert "CommandError: inventory is on its way to another unit" in said
        assert f"PGOPTIONS='-c {DDL_SETTING}={pair.id}', then run: manage.py extract replicate inventory" in said
        assert columns(admin) == ["id"]
        assert migrate(pair, "0001")[0] == 0, "nothing to apply"

        status, said = migrate(pair, PGOPTIONS=f"-c {DDL_SETTING}={pair.id}")
        assert (status, columns(admin)) == (0, ["colour", "id"]), said

        take_streams_away(pair, {pair.source.unit: admin})
        assert migrate(pair, "0001")[0] == 0, "backwards, when it is over"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_module_that_left_for_good_gets_no_tables(pair: Pair) -> None:
    assert migrate(pair, "0001")[0] == 0
    with connect(pair.source) as admin:
        retire(Archive.of(pair), admin, home="inventory")
        assert columns(admin) == []

        status, said = migrate(pair)

        assert (status, columns(admin)) == (0, []), said
        applied = "select name from inventory.django_migrations where app = 'goods' order by 1"
        assert admin.execute(applied).fetchall() == [("0001_initial",), ("0002_colour",)]
        with pytest.raises(psycopg.errors.UndefinedTable):
            admin.execute("select from inventory.goods_good")


def columns(admin: Any) -> list[str]:
    found = admin.execute(
        "select attname from pg_attribute where attrelid = to_regclass('inventory.goods_good') and attnum > 0"
        " and not attisdropped order by 1"
    ).fetchall()
    return [name for (name,) in found]
