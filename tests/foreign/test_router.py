"""Where a project that is not ours finds its rows while a module has a database of its own."""

import ast
from typing import Any

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django.db import router as routers
from django.db.utils import ConnectionRouter

from extraction.placement.retired import note
from extraction.placement.routers import ModuleRouter, RetiredRouter
from extraction.plan.database_steps import ROUTERS
from tests.foreign.healthchecks import lines


class StatsRouter:
    """Of the project: content types are kept in a database of their own."""

    def db_for_read(self, model: type[Any], **hints: Any) -> str | None:
        return "analytics" if model._meta.app_label == "contenttypes" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "analytics" if app_label == "contenttypes" else None


@pytest.fixture
def router(settings: Any) -> ModuleRouter:
    module = {"apps": ["django.contrib.sessions"], "database": "away", "schema": "public"}
    # Taken back in the opposite order: routers are made anew from the modules that are in force then.
    settings.DATABASE_ROUTERS = ["extraction.placement.routers.ModuleRouter"]
    settings.EXTRACTION = {"modules": {"sessions": module}}
    return ModuleRouter()


def test_a_module_is_read_and_written_in_its_database(router: ModuleRouter) -> None:
    assert (router.db_for_read(Session), router.db_for_write(Session)) == ("away", "away")
    assert router.db_for_read(ContentType) is None


def test_what_a_key_of_the_module_refers_to_is_looked_for_where_it_is(router: ModuleRouter) -> None:
    assert router.db_for_read(ContentType, instance=Session()) == "default"
    assert router.db_for_write(ContentType, instance=Session()) == "default"
    assert router.db_for_read(ContentType, instance=ContentType()) is None


def test_tables_are_made_where_they_are_read(router: ModuleRouter) -> None:
    assert [router.allow_migrate(alias, "sessions") for alias in ("default", "away")] == [False, True]
    assert [router.allow_migrate(alias, "contenttypes") for alias in ("default", "away")] == [None, False]


def test_of_what_is_no_modules_the_projects_own_routers_decide(router: ModuleRouter, settings: Any) -> None:
    settings.DATABASE_ROUTERS = ["extraction.placement.routers.ModuleRouter", f"{__name__}.StatsRouter"]
    made = [routers.allow_migrate(alias, "contenttypes") for alias in ("default", "analytics", "away")]
    assert made == [False, True, False]
    assert [routers.allow_migrate(alias, "sessions") for alias in ("default", "analytics")] == [False, False]
    for ask in (routers.db_for_read, routers.db_for_write):
        assert (ask(ContentType), ask(ContentType, instance=Session())) == ("analytics", "analytics")
        assert ask(Session) == "away"


def test_the_page_for_other_projects_says_both_routers_in_their_order() -> None:
    said = {
        target.id: statement.value
        for statement in ast.parse(lines()).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    assert ast.literal_eval(said["DATABASE_ROUTERS"]) == list(ROUTERS)
    assert [type(each) for each in ConnectionRouter(ROUTERS).routers] == [RetiredRouter, ModuleRouter]


def test_an_app_is_known_by_its_label_and_not_by_its_path(
    router: ModuleRouter, settings: Any, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    monkeypatch.setattr(apps.get_app_config("sessions"), "label", "site_sessions")
    assert [router.allow_migrate(alias, "site_sessions") for alias in ("default", "away")] == [False, True]
    assert router.allow_migrate("default", "sessions") is None, "somebody else's app of that label"

    with connection.cursor() as cursor:
        cursor.execute("select current_schema()")
        module = settings.EXTRACTION["modules"]["sessions"] | {"database": "default", "schema": cursor.fetchone()[0]}
        cursor.execute("create table sessions_placement ()")
        cursor.execute(f"comment on table sessions_placement is '{note('away')}'")
    settings.EXTRACTION = {"modules": {"sessions": module}}
    assert RetiredRouter().allow_migrate("default", "site_sessions") is False
    assert RetiredRouter().allow_migrate("default", "sessions") is None
