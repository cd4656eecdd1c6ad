"""Copies of the project: the source alone, in a directory that goes away."""

import os
import shutil
from pathlib import Path

SOURCE = ("contracts", "extraction", "modules", "shop", "manage.py", "pyproject.toml")


def copy_of_project(root: Path, to: Path) -> Path:
    """The project as it stands at `root`, uncommitted changes included."""
    to.mkdir(parents=True)
    for name in SOURCE:
        if (root / name).is_dir():
            shutil.copytree(root / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(root / name, to / name)
    for path in to.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)  # a checkout may be read-only
    return to


def copy_of_copy(base: Path, to: Path) -> Path:
    """All of a copy: what was compiled and kept there is valid in the next, since it has the same times.

    The source is linked, not copied, so whoever changes a file there makes a new one in its place.
    """
    to.mkdir()
    for entry in base.iterdir():
        linked = entry.name in SOURCE
        if entry.is_dir():
            shutil.copytree(entry, to / entry.name, copy_function=os.link if linked else shutil.copy2)
        else:
            shutil.copy2(entry, to / entry.name)
    return to
