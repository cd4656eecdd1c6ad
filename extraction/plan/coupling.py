"""How often the module was changed together with others: from the history that git keeps."""

import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps

from extraction import project
from extraction.boundaries.keys import configs_of
from extraction.boundaries.places import shown
from extraction.plan.errors import Unknown
from extraction.project import Module

LAST_COMMITS = 500
SWEEPING_FILES = 100
"""A commit with more files than this is a matter of form (a formatter, a rename) and is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupling:
    """Of the last commits that changed the module."""

    commits: int
    shared: int
    """Those that changed another module too."""
    left_out: int
    """With too many files."""
    with_others: tuple[tuple[str, int], ...]
    """Commits shared with each, the most first."""
    authors: int
    authors_elsewhere: int
    """Of these, who also changed other modules in the same commits."""

    @property
    def share(self) -> float | None:
        return self.shared / self.commits if self.commits else None


def coupling_of(module: Module) -> Coupling:
    """Read the history of the project. Raises Unknown."""
    mine = [Path(config.path).resolve() for config in configs_of(module)]
    if not mine:
        raise Unknown(f"none of the apps of {module.name} is installed here")
    top = Path(_git(mine[0], "rev-parse", "--show-toplevel").strip())
    if _git(top, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise Unknown("this clone is shallow, so the history is cut off; run: git fetch --unshallow")
    folders = {folder.relative_to(top).as_posix(): "" for folder in mine if folder.is_relative_to(top)}
    if not folders:
        raise Unknown(f"{shown(mine[0])} is not in the repository {top}")
    folders |= {folder: name for folder, name in _others(module, top).items() if folder not in folders}
    paths = [folder for folder, name in folders.items() if not name]
    log = _git(
        top,
        *("-c", "core.quotePath=false", "log", f"-n{LAST_COMMITS}", "--no-merges", "--full-diff", "--name-only"),
        *("--format=%x00%ae", "--", *paths),
    )
    return _counted(log, folders)


def _counted(log: str, folders: dict[str, str]) -> Coupling:
    commits = shared = left_out = 0
    others: Counter[str] = Counter()
    authors: set[str] = set()
    elsewhere: set[str] = set()
    for entry in log.split("\0")[1:]:
        author, *files = [line for line in entry.splitlines() if line]
        if len(files) > SWEEPING_FILES:
            left_out += 1
            continue
        touched = {_of(file, folders) for file in files} - {None, ""}
        commits += 1
        authors.add(author)
        if touched:
            shared += 1
            elsewhere.add(author)
        others.update(str(name) for name in touched)
    return Coupling(
        commits=commits,
        shared=shared,
        left_out=left_out,
        with_others=tuple(others.most_common()),
        authors=len(authors),
        authors_elsewhere=len(elsewhere),
    )


def _of(file: str, folders: dict[str, str]) -> str | None:
    """The module whose folder the file is in, the innermost; "" is the module itself."""
    found = [folder for folder in folders if file.startswith(f"{folder}/")]
    return folders[max(found, key=len)] if found else None


def _others(module: Module, top: Path) -> dict[str, str]:
    """The project's other modules, or where it names none the other apps that stand in its repository."""
    named = {app: other.name for other in project.modules().values() if other.name != module.name for app in other.apps}
    found = {}
    for config in apps.get_app_configs():
        folder = Path(config.path).resolve()
        is_package = "site-packages" in folder.parts
        if config.name in module.apps or is_package or not folder.is_relative_to(top) or folder == top:
            continue
        if not named or config.name in named:
            found[folder.relative_to(top).as_posix()] = named.get(config.name, config.label)
    return found


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *words],  # noqa: S607
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # the name of a file is bytes
            timeout=60,
        )
    except FileNotFoundError:
        raise Unknown("there is no git on this machine; install it, or read the history elsewhere") from None
    except subprocess.TimeoutExpired:
        raise Unknown("git did not answer within 60 s") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["git failed"])[0]
        raise Unknown(f"{said}; the history of changes is not known")
    return done.stdout
