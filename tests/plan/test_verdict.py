"""The verdict of a project whose modules are changed together, from a history that git made."""

import os
import subprocess
from pathlib import Path

import pytest

from extraction.boundaries.keys import configs_of, keys_of
from extraction.plan.coupling import coupling_of
from extraction.plan.errors import Unknown
from extraction.plan.plan import plan_of
from extraction.plan.verdict import CO_CHANGE_SHARE, LEAST_COMMITS
from extraction.project import modules
from tests.plan.conftest import Bazaar


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, *apps: str) -> None:
    """Change a file in each of these apps, together."""
    for app in apps:
        with (folder / app / "changes.txt").open("a") as file:
            file.write("again\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "change", "--no-gpg-sign")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_module_that_changes_with_others_is_to_stay(bazaar: Bazaar) -> None:
    git(bazaar.folder, "init", "-q")
    commit(bazaar.folder, "billing")
    first = bazaar.plan()
    assert first["verdict"]["word"] == "extract after the staircase"
    assert "too few to judge" in first["verdict"]["rules"][1]["figure"]
    for number in range(LEAST_COMMITS):
        commit(bazaar.folder, *(("billing", "catalog") if number % 5 else ("billing",)))
    commit(bazaar.folder, "catalog")

    document = bazaar.plan()
    rule = document["verdict"]["rules"][1]
    assert document["coupling"]["commits"] == LEAST_COMMITS + 1
    assert document["coupling"]["shared"] == LEAST_COMMITS - 3, "the first one made all apps"
    assert document["coupling"]["with_others"] == [["catalog", LEAST_COMMITS - 3], ["accounts", 1]]
    assert rule["figure"] == "17 of 21 commits touch another module too, 81%"
    assert rule["speaks_against"]
    assert document["verdict"]["word"] == "do not extract"
    assert document["verdict"]["reason"] == "changed together with others"
    assert document["next"].startswith("leave it where it is")

    for _ in range(14):
        commit(bazaar.folder, "billing")
    document = bazaar.plan()
    assert document["coupling"]["shared"] / document["coupling"]["commits"] < CO_CHANGE_SHARE
    assert document["verdict"]["word"] == "extract after the staircase"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_doubts_are_a_no(bazaar: Bazaar) -> None:
    model = bazaar.folder / "billing" / "models.py"
    more = "".join(
        f"    product_{n} = models.ForeignKey('catalog.Product', models.CASCADE, null=True, related_name='+')\n"
        for n in range(8)
    )
    model.write_text(
        model.read_text().replace("    text = models.TextField()\n", f"    text = models.TextField()\n{more}")
    )
    bazaar.manage("makemigrations", "billing")
    bazaar.manage("migrate", "billing")
    verdict = bazaar.plan()["verdict"]
    assert verdict["word"] == "do not extract"
    assert verdict["reason"] == "many keys across; transactions across"
    assert verdict["rules"][0]["figure"] == "13 out and 3 in, 3.20 per table"


def test_the_shops_modules_need_no_step(db: None) -> None:
    for module in modules().values():
        found = plan_of(module, watch_s=0)
        assert configs_of(module)
        assert keys_of(module) == []
        assert found.moves is not None, found.skipped
        assert found.steps == ()
        assert found.verdict.word == "extract"


def test_a_commit_of_form_alone_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = modules()["inventory"]
    folders = {module.apps[0]: tmp_path / "inventory", modules()["orders"].apps[0]: tmp_path / "orders"}
    for config in configs_of(module) + configs_of(modules()["orders"]):
        monkeypatch.setattr(config, "path", str(folders[config.name]))
        folders[config.name].mkdir()
    git(tmp_path, "init", "-q")
    for number in range(60):
        for folder in folders.values():
            (folder / f"{number}.py").touch()
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "format all", "--no-gpg-sign")
    (folders[module.apps[0]] / "0.py").write_text("x = 1")
    Path(os.fsdecode(bytes(folders[module.apps[0]]) + b"/not \xff utf-8")).touch()
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "inventory", "--no-gpg-sign")
    found = coupling_of(module)
    assert (found.commits, found.shared, found.left_out) == (1, 0, 1)


def test_without_a_history_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = modules()["inventory"]
    for config in configs_of(module):
        monkeypatch.setattr(config, "path", str(tmp_path))
    with pytest.raises(Unknown, match="not a git repository"):
        coupling_of(module)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unknown, match="no git on this machine"):
        coupling_of(module)
