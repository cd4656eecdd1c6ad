"""What other linters say of a copy of the project: import-linter with an independence contract, and tach.

tach is given every option that lets it see more: imports for a type checker, and strings that look like imports.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class NotInstalled(Exception):
    """A linter that is to be compared with is not there."""


TOOLS = ("import-linter", "tach")

IMPORT_LINTER = """\
[importlinter]
root_packages =
    contracts
    extraction
    modules
    shop

[importlinter:contract:modules]
name = Modules do not know each other
type = independence
modules =
    modules.*
"""
_TACH = """\
source_roots = ["."]
exclude = ["var"]
ignore_type_checking_imports = false
include_string_imports = true

[[modules]]
path = "contracts"
depends_on = []
"""
_TACH_MODULE = """
[[modules]]
path = "modules.{name}"
depends_on = ["contracts"]
"""
_LINK = re.compile(r"(\S+ -> \S+ \(l\.[\d, l.]+\))")


def configure(copy: Path) -> None:
    """Let tach know the modules of a copy of the project."""
    names = sorted(path.parent.name for path in (copy / "modules").glob("*/apps.py"))
    (copy / "tach.toml").write_text(_TACH + "".join(_TACH_MODULE.format(name=name) for name in names))


def of_import_linter(copy: Path, answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The imports that it names, or the last lines that it printed, of a copy of the project."""
    if not answer["status"]:
        return ()
    printed = answer["printed"].replace(f"{copy}/", "")
    lines = [line.strip(" -") for line in printed.splitlines() if line.strip()]
    named = [match[1] for line in lines if (match := _LINK.search(line))]
    return tuple(dict.fromkeys(named)) or tuple(lines[-3:])


def of_tach(copy: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Its errors in a copy that is configured. Raises NotInstalled."""
    program = Path(sys.executable).with_name("tach")
    if not program.is_file():
        raise NotInstalled("tach is not installed beside this Python; it is of the development group: uv sync")
    done = subprocess.run(  # noqa: S603
        [str(program), "check", "--output", "json"],
        cwd=copy,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if not done.returncode:
        return ()
    try:
        said = json.loads(done.stdout)
        return tuple(_line_of_tach(each) for each in said)
    except (AttributeError, KeyError, TypeError, ValueError):  # the form of its JSON is not documented
        return tuple((done.stdout or done.stderr).strip().splitlines()[:3])


def _line_of_tach(said: Mapping[str, Any]) -> str:
    """`modules/orders/selectors.py:11: UndeclaredDependency modules.payments.models.Payment`."""
    (kind, told), *_ = said.items()
    at = f"{told['file_path']}:{told['line_number']}: " if kind == "Located" else ""
    (details,) = told["details"].values()
    (name, facts), *_ = details.items()
    return f"{at}{name} {facts.get('dependency') or facts.get('file_path') or ''}".strip()
