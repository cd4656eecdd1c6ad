"""The catalogue of breaches proves the layers: all are caught, and none of the rules could be left out."""

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import models
from django.test.utils import isolate_apps

from extraction.boundaries import guards, source
from extraction.boundaries.checks import relations
from extraction.boundaries.house import House, Member
from shop.breaches import without
from shop.breaches.breach import Append, Breach, Change, Create, NotApplicable, Replace, apply, diff
from shop.breaches.catalogue import CATALOGUE
from shop.breaches.judging import RULES, catches, traces
from shop.breaches.scratch import SOURCE, copy_of_copy, copy_of_project
from shop.management.commands import breaches as command
from tests.embedded import unembedded

ROOT = Path(settings.BASE_DIR)
FIRST = [breach for breach in CATALOGUE if not breach.is_variant]


@pytest.fixture(scope="module")
def proven() -> dict[str, list[dict[str, Any]]]:
    """What the command says of all breaches, and of all rules."""
    done = subprocess.run(
        [sys.executable, "manage.py", "breaches", "--prove", "--json"],
        cwd=ROOT,
        env=unembedded() | {"SECRET_KEY": os.environ["SECRET_KEY"]},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.stdout, done.stderr[-3000:]
    return cast(dict[str, list[dict[str, Any]]], json.loads(done.stdout))


@pytest.fixture(scope="module")
def told(proven: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Of each breach and each variant, by label."""
    return {each["label"]: each for first in proven["breaches"] for each in (first, *first["variants"])}


@pytest.mark.slow
@pytest.mark.timeout(960)
def test_every_breach_is_caught_and_the_message_says_where(told: dict[str, dict[str, Any]]) -> None:
    escaped = {label: each["message"] for label, each in told.items() if each["caught_by"] is None}
    assert not escaped
    assert [each["number"] for each in told.values() if "number" in each] == list(range(1, 40))
    nowhere = {
        label
        for label, each in told.items()
        if each["caught_by"] not in ("database", "contracts") and not re.match(r"\S+\.\w+:\d+ ", each["message"])
    }
    assert nowhere == {"18b", "28b"}  # a class that no line writes, a library as a whole: their files are named


@pytest.mark.slow
@pytest.mark.timeout(960)
@pytest.mark.parametrize("code", RULES)
def test_without_this_rule_a_breach_escapes(proven: dict[str, list[dict[str, Any]]], code: str) -> None:
    (rule,) = (each for each in proven["rules"] if each["code"] == code)
    assert rule["escapes"], rule["message"]


@pytest.mark.slow
@pytest.mark.timeout(960)
def test_other_linters_see_imports_and_little_else(told: dict[str, dict[str, Any]]) -> None:
    seen = {tool: {each["number"] for each in told.values() if "number" in each and each[tool]} for tool in TOOLS}
    assert {1, 2, 3} <= seen["import_linter"] & seen["tach"]
    assert not {12, 15, 16, 17, 20, 24, 30, 35} & (seen["import_linter"] | seen["tach"])


TOOLS = ("import_linter", "tach")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_breach_that_no_layer_catches_ends_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = Breach(label="1", title="a comment", changes=(Append("modules/orders/tasks.py", "# harmless\n"),))
    optional = Breach(
        label="2", title="a library that is missing", changes=(Create("modules/orders/api/pdf.py", "import no_such\n"),)
    )
    broken = Breach(label="3", title="what fails beside all modules too", run="raise KeyError\n")
    monkeypatch.setattr(command, "CATALOGUE", (harmless, optional, broken))
    output = StringIO()
    with pytest.raises(CommandError, match="Not caught: 1, 2, 3") as escaped:
        call_command("breaches", stdout=output)
    assert escaped.value.returncode == 1
    assert output.getvalue().count("NOT CAUGHT") == 3
    assert "what it runs fails, and no guard says why: KeyError" in output.getvalue()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rule_that_could_be_left_out_ends_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = next(breach for breach in CATALOGUE if breach.label == "8")
    monkeypatch.setattr(command, "CATALOGUE", (by_name,))
    output = StringIO()
    with pytest.raises(CommandError, match=r"Nothing escapes without: boundaries\.E201") as left_out:
        call_command("breaches", prove=True, only="8", stdout=output)
    assert left_out.value.returncode == 1
    assert "8: caught by boundaries.E202" in output.getvalue()


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test takes away is there for the next."""
    for owner, name in ((source, "RULES"), (source, "OF_HELPERS"), (guards, "_report"), *without.READERS.values()):
        monkeypatch.setattr(owner, name, getattr(owner, name))


@pytest.mark.usefixtures("as_before")
def test_what_a_rule_took_the_next_may_have_when_it_is_away(tmp_path: Path) -> None:
    for name, text in {"a": "import_module('b.models')\n", "b": "", "b/models": ""}.items():
        (tmp_path / name).with_suffix(".py").parent.mkdir(exist_ok=True)
        (tmp_path / name).with_suffix(".py").write_text(text)
    members = tuple(Member(name=name, packages=(name,), labels=(name,)) for name in "ab")
    house = House(tmp_path, members)
    assert [each.code for each in source.findings(house)] == ["boundaries.E201"]
    without.take_away("boundaries.E201")
    assert [each.code for each in source.findings(house)] == ["boundaries.E202"]


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(("code", "field"), [("boundaries.E302", "base"), ("boundaries.E303", "kind")])
def test_what_is_left_to_a_rule_e301_tells_when_it_is_away(
    code: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with isolate_apps():

        class Licence(Permission):
            base = models.OneToOneField(Permission, models.CASCADE, parent_link=True, related_name="+")
            kind = models.ForeignKey(ContentType, models.CASCADE, related_name="+")

            class Meta:
                app_label = "a"

    a = Member(name="a", packages=(), labels=("a",))
    house = House(ROOT, (a, Member(name="b", packages=(), labels=("auth", "contenttypes"))))
    monkeypatch.setattr(relations, "models_of_members", lambda house: [(a, Licence)])
    assert not list(relations.findings(house))
    without.take_away(code)
    assert [each.what.rpartition(".")[2] for each in relations.findings(house)] == [field]


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize(("code", "guard"), without.GUARDS.items())
def test_a_guard_that_is_away_refuses_nothing(code: str, guard: type[guards.GuardError]) -> None:
    others = set(without.GUARDS.values()) - {guard}
    without.take_away(code)
    guards._report(guard, "orders", "payments", "nobody hears of it")
    for other in others:
        with pytest.raises(other):
            guards._report(other, "orders", "payments", "refused")


def test_the_catalogue_has_each_number_once_and_variants_behind_it() -> None:
    assert [breach.number for breach in FIRST] == list(range(1, 40))
    labels = [breach.label for breach in CATALOGUE]
    assert len(labels) == len(set(labels))
    assert {breach.number for breach in CATALOGUE} == {breach.number for breach in FIRST}


def rows_of_page() -> list[list[str]]:
    """Of the table in docs/breaches.md: label, title, who catches it, import-linter, tach."""
    lines = re.findall(r"^\| (\d+[a-z]? \| .*) \|$", (ROOT / "docs/breaches.md").read_text(), re.MULTILINE)
    return [[cell.replace("\\|", "|") for cell in re.split(r" (?<!\\)\| ", line)] for line in lines]


def test_the_page_lists_what_the_catalogue_has() -> None:
    listed = [(label, title.replace("`", "")) for label, title, *_ in rows_of_page()]
    assert listed == [(breach.label, breach.title) for breach in CATALOGUE]


@pytest.mark.slow
@pytest.mark.timeout(960)
def test_the_page_says_who_catches_what(told: dict[str, dict[str, Any]]) -> None:
    said = {label: caught for label, _, *caught in rows_of_page()}
    assert said == {
        label: [
            f"{each['caught_by']} {each['code'].rpartition('.')[2]}",
            *("yes" if each[tool] else "–" for tool in TOOLS),
        ]
        for label, each in told.items()
    }


def test_every_page_says_the_same_number_of_breaches() -> None:
    said = {
        (path.name, int(number))
        for path in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md")
        for number in re.findall(r"\b(\d+)(?: of \d+)? breaches", path.read_text())
    }
    assert said
    assert {number for _, number in said} == {len(FIRST)}, said


@pytest.mark.parametrize("breach", CATALOGUE, ids=lambda breach: breach.label)
def test_a_patch_fits_the_project_as_it_stands(breach: Breach) -> None:
    assert diff(breach, ROOT)


def test_a_patch_is_a_diff_that_git_applies(tmp_path: Path) -> None:
    output = StringIO()
    call_command("breaches", show="26", stdout=output)
    patch = tmp_path / "26.patch"
    patch.write_text("".join(line for line in output.getvalue().splitlines(keepends=True) if not line.startswith("# ")))
    subprocess.run(["git", "apply", "--check", "--include=modules/*", str(patch)], cwd=ROOT, check=True)


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="no breach is numbered 40, x; they are 1 to 39") as refused:
        call_command("breaches", only="1,40,x")
    assert refused.value.returncode == 2


@pytest.mark.parametrize(
    "change", [Create("a.py", "new"), Append("b.py", "more"), Replace("a.py", "y", "z"), Replace("a.py", "x", "z")]
)
def test_a_change_that_does_not_fit_is_refused(tmp_path: Path, change: Change) -> None:
    (tmp_path / "a.py").write_text("x x\n")
    with pytest.raises(NotApplicable, match=change.path):
        apply(Breach(label="1", title="", changes=(change,)), tmp_path)


def test_changes_of_one_file_are_made_one_after_another(tmp_path: Path) -> None:
    changes = (Create("a/b.py", "x\n"), Append("a/b.py", "y\n"), Replace("a/b.py", "y", "z"))
    apply(Breach(label="1", title="", changes=changes), tmp_path)
    assert (tmp_path / "a/b.py").read_text() == "x\n\n\nz\n"


def test_a_copy_of_a_read_only_checkout_can_be_patched(tmp_path: Path) -> None:
    for name in SOURCE:
        (tmp_path / "project" / name).mkdir(parents=True)
        (tmp_path / "project" / name).chmod(0o500)
    copy = copy_of_copy(copy_of_project(tmp_path / "project", tmp_path / "base"), tmp_path / "copy")
    assert {path.stat().st_mode & 0o700 for path in copy.iterdir()} == {0o700}


BREACH = Breach(label="1", title="")


def told_of(**changed: Any) -> dict[str, Any]:
    """A finding as the program in a copy tells it."""
    found = {"path": "modules/orders/a.py", "line": 1, "code": "boundaries.E101", "instead": ""}
    return found | {"module": "orders", "other": "payments", "what": "imports x\na.py:1 → b.py:2 → x"} | changed


def test_what_was_found_without_the_patch_does_not_count() -> None:
    moved = told_of(line=7, what="imports x\na.py:7 → b.py:2 → x")
    assert not catches(BREACH, [moved], [told_of()])
    assert len(catches(BREACH, [moved, told_of()], [told_of()])) == 1


def test_a_finding_between_other_modules_does_not_count() -> None:
    assert not catches(BREACH, [told_of(module="users"), told_of(other="inventory")], [])
    assert len(catches(BREACH, [told_of(other="")], [])) == 1


def test_who_says_that_a_breach_escapes_looks_at_each_finding_but_a_schema_not_written_anew() -> None:
    between_others = told_of(module="users", other="inventory")
    assert len(traces([between_others, told_of(), told_of(code="contracts.E006")], [told_of()])) == 1


def test_the_layer_that_comes_first_is_who_caught_it() -> None:
    found = catches(BREACH, [told_of(code="boundaries.E503"), told_of(code="boundaries.E301"), told_of()], [])
    assert [each.layer for each in found] == ["imports", "checks", "runtime"]
