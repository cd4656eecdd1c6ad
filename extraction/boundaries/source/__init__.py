"""The layer of static rules: what the source of one module says of another, without running any of it.

It reads Python by tree-sitter, so that syntax newer than this interpreter is no obstacle, and templates, fixtures and
SQL files by what they are. Only files of modules are read. A file that cannot be read is reported as E001; what can be
read of it is judged all the same. `files` tells how a comment accepts a finding.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House
from extraction.boundaries.source import (
    caches,
    chains,
    commands,
    databases,
    dotted,
    dynamic,
    fixtures,
    permissions,
    project_settings,
    registry,
    statements,
    tasks,
    templates,
    urls,
    users,
)
from extraction.boundaries.source.claims import Claims, template_name
from extraction.boundaries.source.files import Unreadable, acceptances, read
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code

RULES: tuple[Callable[[Code, Neighbours], Iterator[Found]], ...] = (
    dynamic.found,
    chains.found,
    registry.found,
    users.found,
    permissions.found,
    urls.found,
    commands.found,
    project_settings.found,
    caches.found,
    tasks.found,
    databases.found,
    fixtures.found,
    templates.found,
    statements.found,
    dotted.found,
)
"""In this order: what a rule has taken for its own, `dotted` does not report again."""
_SUFFIXES = (".py", ".sql", *templates.SUFFIXES, *fixtures.SUFFIXES)


def findings(house: House) -> Iterator[Finding]:
    """Of all modules, each file's by line."""
    files = {member.name: list(house.files(member, *_SUFFIXES)) for member in house.members}
    claims = Claims(house, files)
    for member in house.members:
        neighbours = Neighbours(claims, member)
        for path in files[member.name]:
            for found in sorted(_in_file(path, neighbours), key=lambda found: (found.line, found.code, found.what)):
                yield Finding(
                    path=house.shown(path),
                    line=found.line,
                    code=f"boundaries.{found.code}",
                    module=member.name,
                    other=found.other,
                    what=found.what,
                )


def _in_file(path: Path, neighbours: Neighbours) -> set[Found]:
    if path.suffix not in (".py", ".sql") and not _is_fixture(path) and not _is_template(path, neighbours):
        return set()
    try:
        data = read(path)
    except Unreadable as error:
        return {Found("E001", "", f"cannot be read: {error}", error.line)}
    judged: Iterable[Found]
    if path.suffix == ".py":
        code = _code(path, data, neighbours)
        accepted, judged = acceptances(data, code.in_comment), _in_python(code, neighbours)
    else:
        accepted, judged = acceptances(data), _in_text(path, data, neighbours)
    return {*accepted.broken, *(found for found in judged if not accepted.cover(found))}


def _in_text(path: Path, data: bytes, neighbours: Neighbours) -> Iterable[Found]:
    if path.suffix == ".sql":
        return statements.in_file(data, neighbours)
    if _is_fixture(path):
        return fixtures.in_file(data, path, neighbours)
    return templates.in_file(data, path, neighbours)


def _is_fixture(path: Path) -> bool:
    return "fixtures" in path.parts[:-1] and path.suffix in fixtures.SUFFIXES


def _is_template(path: Path, neighbours: Neighbours) -> bool:
    return path.suffix in templates.SUFFIXES and bool(template_name(path, neighbours.house.root))


def _code(path: Path, data: bytes, neighbours: Neighbours) -> Code:
    parts = path.relative_to(neighbours.house.root).with_suffix("").parts
    package = ".".join(parts[:-1])
    module = package if parts[-1] == "__init__" else ".".join(parts)
    return Code(data, module, neighbours.words, package=package)


def _in_python(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    if line := code.broken:
        yield Found("E001", "", "cannot be read as Python from here on", line)
    for rule in RULES:
        yield from rule(code, neighbours)
