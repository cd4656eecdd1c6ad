"""The layers of the source on checkouts of healthchecks and Saleor, and beside them what Python's own parser counts.

    uv run python -m tests.foreign.boundaries --healthchecks PATH --saleor PATH [--rounds 3]

Prints the time of each run as a whole process, the first without a cache, and findings by code and by pair of modules.
Ends with status 1 where the imports of another module (E101) are not at the lines at which Python's parser has them.
"""

import argparse
import ast
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MODULES = {
    "healthchecks": {f"hc.{name}": name for name in ("accounts", "api", "front", "integrations", "logs", "payments")},
    "saleor": {f"saleor.{name}": name for name in ("order", "payment", "warehouse", "account")},
}
"""By package."""
Import = tuple[str, int, str]
"""File, line, the other module."""


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for project in MODULES:
        parser.add_argument(
            f"--{project}", type=Path, metavar="PATH", help="a checkout; left out where it is not given"
        )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default: 3)")
    options = vars(parser.parse_args())
    given = [(project, path.resolve()) for project in MODULES if (path := options[project])]
    if not given:
        parser.error("name at least one checkout: --healthchecks PATH")
    return max(_shown(project, path, options["rounds"]) for project, path in given)


def _shown(project: str, root: Path, rounds: int) -> int:
    modules, took = MODULES[project], []
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(rounds):
            began = time.monotonic()
            findings = _findings(root, modules, cache)
            took.append(time.monotonic() - began)
    warm = f", then {statistics.median(took[1:]):.2f} s" if rounds > 1 else ""
    print(f"{project}: {len(findings)} findings, {took[0]:.2f} s without a cache{warm}")
    for code, number in sorted(Counter(each["code"] for each in findings).items()):
        print(f"{number:6}  {code}")
    ours = {(each["path"], each["line"], each["other"]) for each in findings if each["code"] == "boundaries.E101"}
    theirs = set(_imports(root, modules))
    for (module, other), number in sorted(
        Counter((modules[_package(path, modules)], to) for path, _, to in ours).items()
    ):
        print(f"{number:6}  E101 {module} → {other}")
    if ours == theirs:
        print(f"{len(theirs):6}  import statements by Python's own parser, at the same lines\n")
        return 0
    print(f"differ: only here {sorted(ours - theirs)[:5]}, only there {sorted(theirs - ours)[:5]}\n")
    return 1


def _findings(root: Path, modules: Mapping[str, str], cache: str) -> list[dict[str, Any]]:
    said = ",".join(f"{name}={package}" for package, name in modules.items())
    asked = ["--modules", said, "--cache", cache, "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "extraction.boundaries", str(root), *asked], capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def _imports(root: Path, modules: Mapping[str, str]) -> Iterator[Import]:
    """Statements that import what another module has."""
    for package, name in modules.items():
        for file in sorted(root.joinpath(*package.split(".")).rglob("*.py")):
            path = file.relative_to(root)
            for node in ast.walk(ast.parse(file.read_bytes())):
                for dotted in _names(node, path.parts[:-1]):
                    other = modules.get(".".join(dotted.split(".")[:2]))
                    if other and other != name:
                        yield path.as_posix(), node.lineno, other  # type: ignore[attr-defined]


def _names(node: ast.AST, package: tuple[str, ...]) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = package[: len(package) - node.level + 1] if node.level else ()
    base = ".".join((*above, *filter(None, [node.module])))
    return [f"{base}.{each.name}" for each in node.names]


def _package(path: str, modules: Mapping[str, str]) -> str:
    return next(package for package in modules if path.startswith(f"{package.replace('.', '/')}/"))


if __name__ == "__main__":
    sys.exit(main())
