"""What meets a module that moved and is no request and no task: commands, cron jobs, scripts, migrations, threads."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connections
from django.db import transaction as django_transaction
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from contracts.runtime import transaction
from contracts.runtime.models import OutboxEvent
from extraction.boundaries.operations import Operation, Refusal
from extraction.placement.ending import sentence
from tests.following.conftest import ELSEWHERE, Moving
from tests.following.urls import rows, write

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.urls("tests.following.test_entry_points"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]
MOVED = f"inventory lives in {ELSEWHERE}, not in {settings.UNIT}, and takes no writes here."
problems: list[BaseException] = []


@csrf_exempt
def writes_after_commit(request: HttpRequest) -> HttpResponse:
    with transaction("orders"):
        write("orders")
        django_transaction.on_commit(lambda: write("inventory"), using="orders", robust=True)
    return HttpResponse("written")


@csrf_exempt
def writes_in_a_thread(request: HttpRequest) -> HttpResponse:
    def work() -> None:
        try:
            write("inventory")
        except DatabaseError as error:
            problems.append(error)
        finally:
            connections["inventory"].close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return HttpResponse("done")


urlpatterns = [
    path("api/orders/after-commit/", writes_after_commit),
    path("api/inventory/in-a-thread/", writes_in_a_thread),
]


@pytest.fixture(autouse=True)
def quiet() -> None:
    problems.clear()


def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A program of this project, on this test's databases."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=settings.BASE_DIR,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_management_command_ends_with_the_sentence_that_says_where_to_run_it(inventory: Moving) -> None:
    inventory.leave()
    ended = run("manage.py", "shell", "-c", "from tests.following.urls import write; write('inventory')")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"{MOVED} Nothing was committed; run it there, in the environment of {ELSEWHERE}: manage.py shell"
    )
    assert "Traceback" not in ended.stderr
    assert rows("inventory") == 0


def test_a_cron_job_that_has_committed_is_told_so(inventory: Moving, tmp_path: Path) -> None:
    job = tmp_path / "nightly.py"
    job.write_text(
        "import os, sys; sys.path.insert(0, os.getcwd())\n"
        "import django; django.setup()\n"
        "from tests.following.urls import write\n"
        "write('orders'); write('orders'); write('inventory')\n"
    )
    inventory.leave()
    ended = run(str(job), "--password=x1y2", DJANGO_SETTINGS_MODULE="shop.settings")
    assert ended.returncode == 1
    said = ended.stderr.splitlines()[-1]
    assert "those that this process committed before are not: orders 2. See which part is done, then run it" in said
    assert said.endswith(": nightly.py")
    assert "x1y2" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (rows("orders"), rows("inventory")) == (2, 0)


def test_who_asks_for_the_traceback_gets_it(inventory: Moving) -> None:
    inventory.leave()
    code = "from tests.following.urls import write; write('inventory')"
    ended = run("manage.py", "shell", "--traceback", "-c", code)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def test_a_program_with_an_old_snapshot_is_told_too(inventory: Moving, tmp_path: Path) -> None:
    """Outside of READ COMMITTED the error names no module."""
    code = (
        "import time, pathlib\n"
        "from django.db import connections, transaction\n"
        "from tests.following.urls import write\n"
        "here = pathlib.Path(os.environ['MEET_AT'])\n"
        "with transaction.atomic(using='inventory'), connections['inventory'].cursor() as cursor:\n"
        "    cursor.execute('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')\n"
        "    cursor.execute('SELECT 1')\n"
        "    (here / 'began').touch()\n"
        "    while not (here / 'moved').exists(): time.sleep(0.01)\n"
        "    write('inventory')"
    )

    def move() -> None:
        while not (tmp_path / "began").exists():
            time.sleep(0.01)
        inventory.leave()
        (tmp_path / "moved").touch()

    mover = threading.Thread(target=move, daemon=True)
    mover.start()
    ended = run("manage.py", "shell", "-c", f"import os\n{code}", MEET_AT=str(tmp_path))
    mover.join(timeout=10)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False), ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(MOVED)


def test_a_table_that_is_nowhere_is_no_motion(inventory: Moving) -> None:
    with Operation("request", "test") as operation, pytest.raises(DatabaseError):
        with transaction("inventory"), connections["inventory"].cursor() as cursor:
            cursor.execute("SELECT * FROM misspelt")
    assert operation.refusal is None


def test_another_error_ends_a_program_as_ever() -> None:
    ended = run("manage.py", "shell", "-c", "1 / 0")
    assert (ended.returncode, "ZeroDivisionError" in ended.stderr, "Traceback" in ended.stderr) == (1, True, True)


def test_a_motion_is_told_as_one() -> None:
    told = sentence(Refusal("inventory"), {}, command="manage.py seed")
    assert told.endswith("Nothing was committed; run it again in a few seconds: manage.py seed")


def test_a_data_migration_is_refused_and_not_recorded(inventory: Moving, tmp_path: Path) -> None:
    package = tmp_path / "late"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "0099_data.py").write_text(
        "from django.db import migrations\n"
        "from tests.following.urls import write\n"
        "class Migration(migrations.Migration):\n"
        "    dependencies = []\n"
        "    operations = [\n"
        "        migrations.RunSQL('CREATE TABLE half_of_it (id int)'),\n"
        "        migrations.RunPython(lambda apps, editor: write('inventory')),\n"
        "    ]\n"
    )
    (tmp_path / "late_settings.py").write_text(
        "from shop.settings import *\nMIGRATION_MODULES = {'orders': 'late'}\nGUARDS = 'off'\n"
        "EXTRACTION = {**EXTRACTION, 'guards': 'off'}\n"
    )
    inventory.leave()
    ended = run(
        *("manage.py", "migrate", "orders", "0099"),
        PYTHONPATH=f"{tmp_path}{os.pathsep}{settings.BASE_DIR}",
        DJANGO_SETTINGS_MODULE="late_settings",
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stderr.splitlines()[-1].endswith(f"in the environment of {ELSEWHERE}: manage.py migrate")
    assert "Traceback" not in ended.stderr
    applied = MigrationRecorder(connections["orders"]).applied_migrations()
    assert ("orders", "0099_data") not in applied
    with connections["orders"].cursor() as cursor:
        cursor.execute("SELECT to_regclass('half_of_it')")
        assert cursor.fetchone() == (None,)


def test_psql_reads_whose_it_is_and_what_to_do(inventory: Moving) -> None:
    epoch = inventory.leave()
    with pytest.raises(DatabaseError) as caught:
        write("inventory")
    told: Any = caught.value.__cause__
    assert told.diag.sqlstate == "MV001"
    assert told.diag.message_primary == f"inventory lives in {ELSEWHERE}, not in {settings.UNIT}"
    assert f'"epoch" : {epoch}' in told.diag.message_detail


def test_a_bulk_job_that_catches_each_error_does_nothing_by_halves(inventory: Moving) -> None:
    """Outside of an operation each transaction stands for itself: what came before stays, nothing comes after."""
    refused = 0
    for number in range(6):
        if number == 2:
            inventory.leave()
        try:
            with transaction("inventory"):
                write("inventory")
                write("inventory")
        except DatabaseError:
            refused += 1
    assert (rows("inventory"), refused) == (4, 4)


def test_a_cursor_that_is_open_reads_on_what_was_there(inventory: Moving) -> None:
    """Reads are not fenced: rows come as of the cursor's snapshot, and the first write ends it."""
    for _ in range(3):
        write("inventory")
    seen = 0
    with pytest.raises(DatabaseError, match="inventory lives in"), transaction("inventory"):
        for event in OutboxEvent.objects.using("inventory").filter(type="test").iterator(chunk_size=1):
            seen += 1
            if seen == 2:
                inventory.leave()
                OutboxEvent.objects.using("inventory").filter(pk=event.pk).update(key="seen")
    assert seen == 2
    assert not OutboxEvent.objects.using("inventory").filter(key="seen").exists()


def test_a_hook_after_the_commit_that_is_refused_makes_the_request_ambiguous(inventory: Moving) -> None:
    inventory.leave()
    response = Client().post("/api/orders/after-commit/")
    assert (response.status_code, response.json()["code"], rows("orders")) == (503, "ambiguous", 1)


def test_a_thread_of_a_request_is_refused_by_itself(inventory: Moving) -> None:
    """It is no part of the request, which is neither repeated nor told."""
    inventory.leave()
    response = Client().post("/api/inventory/in-a-thread/")
    assert (response.status_code, response.content) == (200, b"done")
    assert [f"inventory lives in {ELSEWHERE}" in str(error) for error in problems] == [True]
    assert rows("inventory") == 0
