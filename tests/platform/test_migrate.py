from io import StringIO

import pytest
from django.core.management import CommandError, ManagementUtility, call_command
from django.core.management.commands.migrate import Command as DjangosOwn
from django.db import connections, router


@pytest.fixture(scope="module")
def lines(django_db_setup: None, django_db_blocker: object) -> dict[str, list[str]]:
    """What migrate says of each database when everything is taken back and applied again: nothing is left to see."""
    output = StringIO()
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        for alias in connections:
            call_command(DjangosOwn(), "runtime", "zero", database=alias, interactive=False, verbosity=0)
        call_command("migrate", stdout=output, interactive=False)
    said: dict[str, list[str]] = {}
    for line in output.getvalue().splitlines():
        if line.startswith("Database "):
            said[alias := line.removeprefix("Database ").rstrip(":")] = []
        else:
            said[alias].append(line)
    return said


def test_migrate_visits_every_database(lines: dict[str, list[str]]) -> None:
    assert set(lines) == set(connections)


def test_migrate_applies_the_runtime_to_every_module(lines: dict[str, list[str]]) -> None:
    for alias in set(connections) - {"default"}:
        assert lines[alias] == ["  Applying runtime.0001_initial... OK"]


@pytest.mark.django_db(databases="__all__")  # the router asks a database whether its module has left for good
def test_migrate_says_nothing_of_what_belongs_elsewhere(lines: dict[str, list[str]]) -> None:
    assert lines["default"] == ["  No migrations to apply."]
    for alias, said in lines.items():
        for line in said:
            label = line.strip().removeprefix("Applying ").partition(".")[0]
            assert label == "No migrations to apply" or router.allow_migrate(alias, label), (alias, line)


@pytest.mark.django_db(transaction=True)
def test_one_database_can_be_migrated_alone() -> None:
    output = StringIO()
    call_command("migrate", database="orders", stdout=output, interactive=False)
    assert output.getvalue() == "Database orders:\n  No migrations to apply.\n"


def test_an_unknown_app_is_an_error() -> None:
    with pytest.raises(CommandError, match="No installed app with label 'nonsense'"):
        call_command("migrate", "nonsense")


@pytest.mark.django_db(transaction=True)
def test_the_system_checks_run_for_every_database(capsys: pytest.CaptureFixture[str]) -> None:
    ManagementUtility(["manage.py", "migrate", "--check"]).execute()
    assert capsys.readouterr().err == ""
