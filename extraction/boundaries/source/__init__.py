"""The layer of static rules: what the source of one module says of another, without running any of it.

It reads Python by tree-sitter, so that syntax newer than this interpreter is no obstacle, and templates, fixtures and
SQL files by what they are. Files of modules are read, and of those beside them what `beside` tells. A file that cannot
be read is reported as E001, and so is a rule that dies of one; what can be read of it is judged all the same. `files`
tells how a comment accepts a finding.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House
from extraction.boundaries.source import (
    beside,
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
from extraction.boundaries.source.files import Unreadable, acceptances, in_comment, in_yaml_comment, read
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code

Rule = Callable[[Code, Neighbours], Iterator[Found]]
RULES: tuple[Rule, ...] = (
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
OF_HELPERS: tuple[Rule, ...] = (dynamic.found, chains.found, registry.found, dotted.imported)
_SUFFIXES = (".py", ".sql", *templates.SUFFIXES, *fixtures.SUFFIXES)


def findings(house: House) -> Iterator[Finding]:
    """Of all modules, each file's by line; then of what stands beside them. Raises Skipped."""
    files = {member.name: list(house.files(member, *_SUFFIXES)) for member in house.members}
    for member, path in beside.pages(house):
        files[member.name].append(path)
    claims = Claims(house, files)
    for member in house.members:
        neighbours = Neighbours(claims, member)
        for path in files[member.name]:
            if not house.is_published(house.dotted(path)):
                yield from _findings(path, neighbours, member.name)
    for stranger, of_package in groupby(beside.published(house, _SUFFIXES), itemgetter(0)):
        neighbours = Neighbours(claims, stranger)
        for _, path in of_package:
            yield from _findings(path, neighbours, house.dotted(path))
    nobody = Neighbours(claims, beside.NOBODY)
    in_helpers = {path: _in_file(path, nobody, OF_HELPERS) for path in beside.helpers(house, claims.parents)}
    known = {
        path: sorted(each for each in found if each.other or each.code == "E001") for path, found in in_helpers.items()
    }
    yield from beside.reached(house, {path: found for path, found in known.items() if found})


def _findings(path: Path, neighbours: Neighbours, module: str) -> Iterator[Finding]:
    for found in sorted(_in_file(path, neighbours, RULES), key=lambda found: (found.line, found.code, found.what)):
        yield Finding(
            path=neighbours.house.shown(path),
            line=found.line,
            code=f"boundaries.{found.code}",
            module=module,
            other=found.other,
            what=found.what,
        )


def _in_file(path: Path, neighbours: Neighbours, rules: Iterable[Rule]) -> set[Found]:
    if path.suffix not in (".py", ".sql") and not _is_fixture(path, neighbours) and not _is_template(path, neighbours):
        return set()
    try:
        data = read(path)
    except Unreadable as error:
        return {Found("E001", "", f"cannot be read: {error}", error.line)}
    judged: Iterable[Found]
    if path.suffix == ".py":
        code = _code(path, data, neighbours)
        accepted, judged = acceptances(data, code.in_comment), _in_python(code, neighbours, rules)
    else:
        in_its_comment = in_yaml_comment if path.suffix in fixtures.YAML else in_comment
        accepted, judged = acceptances(data, in_its_comment), _in_text(path, data, neighbours)
    return {*accepted.broken, *(found for found in judged if not accepted.cover(found))}


def _in_text(path: Path, data: bytes, neighbours: Neighbours) -> Iterable[Found]:
    if path.suffix == ".sql":
        return _unless_it_dies("statements", lambda: statements.in_file(data, neighbours))
    if _is_fixture(path, neighbours):
        return _unless_it_dies("fixtures", lambda: fixtures.in_file(data, path, neighbours))
    return _unless_it_dies("templates", lambda: templates.in_file(data, path, neighbours))


def _is_fixture(path: Path, neighbours: Neighbours) -> bool:
    return path.suffix in fixtures.SUFFIXES and "fixtures" in path.relative_to(neighbours.house.root).parts[:-1]


def _is_template(path: Path, neighbours: Neighbours) -> bool:
    return path.suffix in templates.SUFFIXES and bool(template_name(path, neighbours.house.root))


def _code(path: Path, data: bytes, neighbours: Neighbours) -> Code:
    package = ".".join(path.relative_to(neighbours.house.root).parent.parts)
    return Code(data, neighbours.house.dotted(path), neighbours.words, package=package)


def _in_python(code: Code, neighbours: Neighbours, rules: Iterable[Rule]) -> Iterator[Found]:
    if line := code.broken:
        yield Found("E001", "", "cannot be read as Python from here on", line)
    for rule in rules:
        yield from _unless_it_dies(rule.__module__.rpartition(".")[2], partial(rule, code, neighbours))


def _unless_it_dies(name: str, rule: Callable[[], Iterable[Found]]) -> Iterator[Found]:
    """What a rule finds until it dies, and then that it did: the other rules and files go on."""
    try:
        yield from rule()
    except Exception as error:
        yield Found("E001", "", f"has what the rule {name!r} died of: {type(error).__name__}: {error}", 0)
