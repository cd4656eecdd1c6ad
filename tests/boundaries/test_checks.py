"""A street with a bakery and a florist that reach into each other in every way: each marked line is found, no other.

A line of `street/` says what is to be found in it: `# E301 bakery florist`, or `-` where the other is no module.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from extraction.boundaries.checks import findings
from extraction.boundaries.opening import house_of_project
from tests.embedded import unembedded

ROOT = Path(__file__).resolve().parent.parent.parent
STREET = Path(__file__).with_name("street")
MARK = re.compile(r"# (E3\d\d) (\w+) (\w+|-)$")
LOOK = """
import dataclasses, json, django
django.setup()
from extraction.boundaries.checks import findings
from extraction.boundaries.opening import house_of_project
print(json.dumps([dataclasses.asdict(each) for each in findings(house_of_project())]))
"""
WITHOUT_LINE = [
    *[("bakery/templatetags/money.py", 0, "E308", "bakery", "florist")] * 2,
    ("florist/templatetags/petals.py", 0, "E308", "florist", "-"),
    ("bakery/migrations/0002_broken.py", 0, "E001", "bakery", "-"),
]
"""A library as a whole, and what cannot be loaded."""


@dataclass(frozen=True)
class Street:
    folder: Path

    def python(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder}{os.pathsep}{ROOT}"
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=unembedded() | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": path} | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def findings(self) -> list[dict[str, Any]]:
        done = self.python("-c", LOOK)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))


def marks() -> Iterator[tuple[str, int, str, str, str]]:
    for file in sorted(STREET.rglob("*.py-tpl")):
        path = file.relative_to(STREET).with_suffix(".py").as_posix()
        for line, text in enumerate(file.read_text().splitlines(), 1):
            if found := MARK.search(text):
                yield path, line, found[1], found[2], found[3]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    folder = tmp_path_factory.mktemp("street")
    shutil.copytree(STREET, folder, dirs_exist_ok=True)
    for template in folder.rglob("*.py-tpl"):
        (template.parent / "__init__.py").touch()
        template.rename(template.with_suffix(".py"))
    return Street(folder)


@pytest.fixture(scope="module")
def found(street: Street) -> list[dict[str, Any]]:
    return street.findings()


def test_every_marked_line_is_found_and_no_other(found: list[dict[str, Any]]) -> None:
    places = [
        (each["path"], each["line"], each["code"].removeprefix("boundaries."), each["module"], each["other"] or "-")
        for each in found
    ]
    assert sorted(places) == sorted([*marks(), *WITHOUT_LINE])


def test_every_code_of_the_layer_is_on_the_street() -> None:
    codes = {code for *_, code, _, _ in marks()} | {"E308"}
    assert codes == {f"E30{number}" for number in range(1, 10)}


@pytest.mark.parametrize(
    "what",
    [
        "has a ForeignKey to florist.Flower: bakery.Cake.named",
        "has a OneToOneField to florist.Flower: bakery.Cake.imported",
        "has a ManyToManyField to florist.Flower: bakery.Cake.flowers",
        "has a ForeignKey to auth.User: bakery.Cake.baker",
        "has a ForeignKey to florist.Flower: bakery.Tart.flower",
        "is a proxy of florist.Flower: bakery.Rose",
        "inherits from florist.Flower: bakery.Lily",
        "builds on the class florist.models.Stamped: bakery.Stamp",
        "builds on the class florist.models.Scented: bakery.Soap",
        "writes a model under the label of another: florist.Disguised",
        "has a GenericForeignKey: bakery.Label.about",
        "has a ForeignKey to contenttypes.ContentType: bakery.Cake.kind",
        "has a GenericRelation to bakery.Label: market.Stall.labels",
        "hears post_save of florist.Flower with bakery.receivers.on_flower",
        "hears m2m_changed of florist.Bouquet_flowers with bakery.receivers.on_bouquet",
        "hears pre_delete of florist.Flower with bakery.receivers.on_gone",
        "hears pre_save of florist.Flower with bakery.receivers.Listener",
        "hears pre_save of market.Stall with bakery.receivers.Table.on_stall",
        "hears florist.signals.wilted with bakery.receivers.on_wilted",
        "hears post_migrate of the app florist with bakery.receivers.on_migrated",
        "includes florist.urls under 'flowers/'",
        "includes florist.urls under 'through/'",
        "answers '^show/$' with florist.views.show",
        "answers 'class/' with florist.views.Show",
        "answers 'deep/' with florist.views.show",
        "administers florist.Flower: FlowerAdmin",
        "administers florist.Bouquet: BouquetAdmin",
        "administers florist.Visit inside CakeAdmin: VisitInline",
        "reaches florist.Flower from CakeAdmin: list_filter 'named__name'",
        "reaches market.Stall from CakeAdmin: ordering '-seller__name'",
        "waits for the migration florist.0001_initial",
        "comes before the migration market.0001_initial",
        "has a template library 'money' that florist.templatetags.money hides: its templates load the other's tags",
        "registers 'petals' of another module in bakery.templatetags.money: florist/templatetags/petals.py",
        "has a template library that is built into every template: florist.templatetags.petals",
        "registers its task under the name 'florist.tasks.water'",
        "registers its task under the name 'market.sweep'",
        "has a migration that cannot be loaded: ImportError: florist",
    ],
)
def test_what_is_said_names_the_other_exactly(found: list[dict[str, Any]], what: str) -> None:
    assert [each for each in found if each["what"] == what]


def test_a_check_of_django_says_the_same_and_lets_the_project_start(
    street: Street, found: list[dict[str, Any]]
) -> None:
    done = street.python("-m", "django", "check", "--tag", "boundaries")
    assert done.returncode == 0, done.stderr
    told = [each for each in found if each["code"] != "boundaries.E001"]
    assert f"System check identified {len(told)} issues" in done.stderr + done.stdout
    models = (street.folder / "bakery" / "models.py").read_text().splitlines()
    line = next(number for number, text in enumerate(models, 1) if " named = " in text)
    assert (
        f"?: (boundaries.E301) bakery/models.py:{line}: bakery → florist: has a ForeignKey to florist.Flower"
        in done.stderr
    )
    assert "HINT: Should bakery know florist at all? Keep its id as a plain value." in done.stderr


def test_a_check_of_one_app_tells_of_its_module_alone(street: Street) -> None:
    done = street.python("-m", "django", "check", "market", "--tag", "boundaries")
    assert "boundaries.E303) quarter/market/models.py" in done.stderr
    assert "bakery/models.py" not in done.stderr


@pytest.mark.parametrize(("edges", "status", "says"), [("error", 1, "ERRORS:"), ("off", 0, "no issues")])
def test_a_project_says_whether_its_edges_stop_it(street: Street, edges: str, status: int, says: str) -> None:
    done = street.python("-m", "django", "check", "--tag", "boundaries", EDGES=edges)
    assert done.returncode == status
    assert says in done.stderr + done.stdout


def test_what_django_silences_the_layer_does_not_tell(street: Street) -> None:
    settings = street.folder / "settings.py"
    kept = settings.read_text()
    settings.write_text(f'{kept}\nSILENCED_SYSTEM_CHECKS = ["boundaries.E301"]\n')
    try:
        found = {each["code"] for each in street.findings()}
    finally:
        settings.write_text(kept)
    assert "boundaries.E302" in found
    assert "boundaries.E301" not in found


def test_a_word_that_is_none_of_these_is_refused(street: Street) -> None:
    done = street.python("-m", "django", "check", "--tag", "boundaries", EDGES="loud")
    assert "EXTRACTION[\"boundaries\"] is 'loud'; it takes error, warning, off" in done.stderr


def test_url_configurations_that_cannot_be_loaded_are_told_and_the_rest_is_looked_at(street: Street) -> None:
    urls = street.folder / "urls.py"
    kept = urls.read_text()
    urls.write_text("import nowhere_to_be_found\n")
    try:
        found = street.findings()
    finally:
        urls.write_text(kept)
    (said,) = [each["what"] for each in found if "URLs" in each["what"]]
    assert said.endswith("urls: ModuleNotFoundError: No module named 'nowhere_to_be_found'")
    assert {"boundaries.E301", "boundaries.E309"} <= {each["code"] for each in found}


def test_tasks_that_end_the_process_are_told_and_end_nothing(street: Street) -> None:
    tasks = street.folder / "florist" / "tasks.py"
    tasks.write_text("import sys\nsys.exit('no broker')\n")
    try:
        found = street.findings()
    finally:
        tasks.unlink()
    (said,) = [each for each in found if "tasks" in each["what"] and each["code"] == "boundaries.E001"]
    assert said["what"] == "has tasks that cannot be loaded: SystemExit: no broker"
    assert (said["path"], said["module"]) == ("florist/tasks.py", "florist")


def test_a_rule_that_dies_is_told_and_hides_no_other(street: Street) -> None:
    models = street.folder / "bakery" / "models.py"
    kept = models.read_text()
    models.write_text(
        f"{kept}\nCake._meta.get_field('named').remote_field.parent_link = type('Odd', (), {{'__bool__': 5}})()\n"
    )
    try:
        told = street.findings()
        done = street.python("-m", "django", "check", "--tag", "boundaries", EDGES="error")
    finally:
        models.write_text(kept)
    (said,) = [each for each in told if "died" in each["what"]]
    assert said["code"] == "boundaries.E001"
    assert said["what"] == "has what the rule 'relations' died of: TypeError: 'int' object is not callable"
    assert {each["code"] for each in told} >= {"boundaries.E302", "boundaries.E309"}
    assert "WARNINGS:\n?: (extraction.W002) the project has what the rule 'relations' died of: TypeError" in done.stderr


def test_this_project_has_none() -> None:
    assert list(findings(house_of_project())) == []
    assert run_checks(tags=["boundaries"]) == []
