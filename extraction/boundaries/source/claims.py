"""What each module of a house is known by in code: read from its files, so that nothing has to be imported.

A name that two modules claim is nobody's for either of them. A table is a module's if a class of its models files has
that name under one of its labels, or else if a model says so with `db_table`; tables that Django makes for a
ManyToManyField begin with that of their model. A schema or a database alias counts where one module alone has it. A
URL's name counts without a namespace too, where the URL conf that holds it has no `app_name`; of what a router of
Django REST framework registers, `payment-list` and `payment-detail`. A namespace is that of the `app_name`, or of an
`include` of the module's URL conf by its dotted path, in one of its own or in a `urls.py` beside the modules.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from extraction.boundaries.house import House, Member
from extraction.boundaries.source.files import Unreadable, read

Claimed = Mapping[str, set[str]]
"""The modules that claim each name."""

SHARED_SCHEMAS = {"", "public"}
SHARED_ALIASES = {"", "default"}
_CLASS = re.compile(rb"^class\s+(\w+)", re.MULTILINE)
_TABLE = re.compile(rb"""^\s+db_table\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)
_APP_NAME = re.compile(rb"""^app_name\s*(?::\s*str\s*)?=\s*["'](\w+)["']""", re.MULTILINE)
_URL = re.compile(rb"""\bname\s*=\s*["']([\w.-]+)["']""")
_REGISTERED = re.compile(
    rb"""\.register\(\s*r?["']([\w/-]+)["']\s*,\s*[\w.]+(?:\s*,\s*(?:base_?name\s*=\s*)?["']([\w.-]+)["'])?"""
)
_INCLUDED = re.compile(
    rb"""\binclude\(\s*\(?\s*["']([\w.]+)["'](?:\s*,\s*["'](\w+)["'])?(?:\s*,?\s*\))?"""
    rb"""(?:\s*,\s*namespace\s*=\s*["'](\w+)["'])?"""
)
TEMPLATES = {"templates", "jinja2"}
_MOST_ATTRIBUTES = 3


class Claims:
    """Of a house whose files are given by member."""

    def __init__(self, house: House, files: Mapping[str, Iterable[Path]]) -> None:
        self.house = house
        self._stands: dict[str, bool] = {}
        self._declared: dict[str, set[str]] = defaultdict(set)
        """Tables that a `db_table` names."""
        self._included: dict[str, set[str]] = defaultdict(set)
        """Namespaces that an `include` gives."""
        self.commands: dict[str, set[str]] = defaultdict(set)
        self.libraries: dict[str, set[str]] = defaultdict(set)
        """Of template tags."""
        self.templates: dict[str, set[str]] = defaultdict(set)
        self.fixtures: dict[str, set[str]] = defaultdict(set)
        """By their names with and without the suffix."""
        self.tables: dict[str, set[str]] = defaultdict(set)
        self.namespaces: dict[str, set[str]] = defaultdict(set)
        self.urls: dict[str, set[str]] = defaultdict(set)
        """Names of URLs that stand in no namespace."""
        for member in house.members:
            for label in member.labels:
                self.namespaces[label].add(member.name)
            for path in files.get(member.name, ()):
                self._read(member, path)
        for path in (house.root / "urls.py", *sorted(house.root.glob("*/urls.py"))):
            if house.owner_of(path) is None:
                self._read_includes(_data(path))
        for table, members in self._declared.items():
            if table not in self.tables:
                self.tables[table] = members
        for namespace, members in self._included.items():
            if namespace not in self.namespaces and len(members) == 1:
                self.namespaces[namespace] = members

    @cached_property
    def schemas(self) -> dict[str, set[str]]:
        return self._alone((member.schema, member) for member in self.house.members if member.schema)

    @cached_property
    def aliases(self) -> dict[str, set[str]]:
        return self._alone((member.alias, member) for member in self.house.members if member.alias)

    @cached_property
    def named(self) -> dict[str, set[str]]:
        """Names of modules and labels of their apps, in lower case."""
        found: dict[str, set[str]] = defaultdict(set)
        for member in self.house.members:
            for name in (member.name, *member.labels):
                found[name.lower()].add(member.name)
        return found

    @cached_property
    def forms(self) -> dict[str, set[str]]:
        """The same in singular and plural."""
        found: dict[str, set[str]] = defaultdict(set)
        for name, members in self.named.items():
            for form in forms(name):
                found[form] |= members
        return found

    @cached_property
    def parents(self) -> frozenset[str]:
        """Packages that are no module's and hold a module's: `modules`."""
        above = {str(parent) for package in self.house.by_package for parent in _above(package)}
        return frozenset(name for name in above if self.house.owner(name) is None)

    def stands(self, dotted: str) -> bool:
        """Whether a file or a package has this name, or a file that names what remains of it."""
        if dotted not in self._stands:
            self._stands[dotted] = _stands(self.house, dotted)
        return self._stands[dotted]

    def _read(self, member: Member, path: Path) -> None:
        parts = ("", *path.relative_to(self.house.root).parts)
        folder, is_python = parts[-2], path.suffix == ".py"
        if is_python and parts[-3:-1] == ("management", "commands") and not path.stem.startswith("_"):
            self.commands[path.stem].add(member.name)
        if is_python and folder == "templatetags" and path.stem != "__init__":
            self.libraries[path.stem].add(member.name)
        if is_python and (path.name == "models.py" or "models" in parts[:-1]):
            self._read_models(member, path)
        if is_python and (path.name == "urls.py" or folder == "urls"):
            self._read_urls(member, path)
        if not is_python and "fixtures" in parts[:-1]:
            self.fixtures[path.name].add(member.name)
            self.fixtures[path.name.partition(".")[0]].add(member.name)
        if not is_python and (name := template_name(path, self.house.root)):
            self.templates[name].add(member.name)

    def _read_models(self, member: Member, path: Path) -> None:
        data = _data(path)
        for match in _CLASS.finditer(data):
            for label in member.labels:
                self.tables[f"{label}_{match[1].decode()}".lower()].add(member.name)
        for match in _TABLE.finditer(data):
            self._declared[match[1].decode(errors="replace").replace('"', "").rpartition(".")[2].lower()].add(
                member.name
            )

    def _read_urls(self, member: Member, path: Path) -> None:
        data = _data(path)
        self._read_includes(data)
        if found := _APP_NAME.search(data):
            self.namespaces[found[1].decode()].add(member.name)
            return
        for match in _URL.finditer(data):
            self.urls[match[1].decode()].add(member.name)
        for match in _REGISTERED.finditer(data):
            prefix = match[1].decode().strip("/").rpartition("/")[2]
            for name in {match[2].decode()} if match[2] else forms(prefix):  # by default, that of the model
                self.urls[f"{name}-list"].add(member.name)
                self.urls[f"{name}-detail"].add(member.name)

    def _read_includes(self, data: bytes) -> None:
        for match in _INCLUDED.finditer(data):
            if owner := self.house.owner(match[1].decode()):
                for namespace in filter(None, (match[2], match[3])):
                    self._included[namespace.decode()].add(owner.name)

    def _alone(self, claimed: Iterable[tuple[str, Member]]) -> dict[str, set[str]]:
        pairs = [pair for pair in claimed if pair[0] not in SHARED_SCHEMAS | SHARED_ALIASES]
        times = Counter(name for name, _ in pairs)
        return {name: {member.name} for name, member in pairs if times[name] == 1}


def forms(word: str) -> set[str]:
    """A word in singular and plural: `payments` and `payment`, `inventory` and `inventories`."""
    if word.endswith("ies"):
        return {word, f"{word[:-3]}y"}
    if word.endswith(("sses", "xes", "shes", "ches")):
        return {word, word[:-2]}
    if word.endswith("s") and not word.endswith("ss"):
        return {word, word[:-1]}
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return {word, f"{word[:-1]}ies"}
    return {word, f"{word}es" if word.endswith(("ss", "x", "sh", "ch")) else f"{word}s"}


def template_name(path: Path, root: Path) -> str:
    """What a template is loaded by: its path from the `templates` or `jinja2` that holds it; empty if none does."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    for index, part in enumerate(parts[:-1]):
        if part in TEMPLATES:
            return str(PurePosixPath(*parts[index + 1 :]))
    return ""


def _above(package: str) -> Iterable[str]:
    parts = package.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts)))


def _stands(house: House, dotted: str) -> bool:
    parts = dotted.split(".")
    for end in range(len(parts), max(0, len(parts) - _MOST_ATTRIBUTES - 1), -1):
        path = house.directory(".".join(parts[:end]))
        file = path.with_suffix(".py")
        if not file.is_file():
            if not path.is_dir():
                continue
            file = path / "__init__.py"
        return end == len(parts) or re.search(rf"\b{parts[end]}\b".encode(), _data(file)) is not None
    return False


def _data(path: Path) -> bytes:
    try:
        return read(path)
    except Unreadable:
        return b""
