"""The house of this project, from its EXTRACTION setting, or of any checkout, from what is said of it.

    "published"            packages of the published language: ["contracts.orders", …]
    "cache"                a directory for what is kept from run to run; by default .boundaries_cache in the root
    "modules"…["team"]     who owns a module

The root is the directory from which the packages are imported; a package that stands elsewhere (an app that was
installed) belongs to its module, but its files are not read.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from extraction.boundaries.house import House, Member
from extraction.project import owned_twice

EXAMPLE = (
    'EXTRACTION = {"modules": {"orders": {"apps": ["shop.orders"], "database": "default", "schema": "public"}}}, '
    "with a line for each module"
)
CACHE = ".boundaries_cache"
_LABEL = re.compile(r"""^\s+label\s*(?::\s*str\s*)?=\s*["'](\w+)["']""", re.MULTILINE)


class NoHouse(Exception):
    """The modules of a project cannot be told; the message says what to write."""


def house_of_project() -> House:
    """Of the project whose settings are in force; needs the app registry. Raises NoHouse."""
    from django.apps import apps
    from django.conf import settings

    said = getattr(settings, "EXTRACTION", None)
    modules = said.get("modules") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(modules, dict) or not modules:
        raise NoHouse(f"{settings.SETTINGS_MODULE or 'The settings'}: no EXTRACTION with modules. Add {EXAMPLE}")
    installed = {config.name: config for config in apps.get_app_configs()}
    of_module = {name: _apps_of(name, given) for name, given in modules.items()}
    _refuse_twice((app, name) for name, found in of_module.items() for app in found)
    for name, found in of_module.items():
        for app in found:
            if app not in installed:
                raise NoHouse(
                    f'EXTRACTION["modules"]["{name}"]["apps"] names {app!r}, which is no app of INSTALLED_APPS'
                    f"{_meant(app, installed)}"
                )
    root = _root_of((app, Path(installed[app].path)) for found in of_module.values() for app in found)
    published = (
        _names(said["published"], 'EXTRACTION["published"]', "contracts.orders") if said.get("published") else ()
    )
    for package in published:
        if not _stands(root, package):
            raise NoHouse(
                f'EXTRACTION["published"] names {package!r}, and there is no such file under {root}'
                f"{_meant(package, _beside(root, package))}"
            )
    members = tuple(
        Member(
            name=name,
            packages=of_module[name],
            labels=tuple(installed[app].label for app in of_module[name]),
            alias=str(given.get("database", "")),
            schema=str(given.get("schema", "")),
            team=str(given.get("team", "")),
        )
        for name, given in modules.items()
    )
    cache = said.get("cache") or root / CACHE
    if not isinstance(cache, str | Path):
        raise NoHouse(f'EXTRACTION["cache"] is {cache!r}; it takes the path of a directory')
    return House(root, members, published, Path(cache), settings.AUTH_USER_MODEL)


def house_at(
    root: Path,
    *,
    modules: Mapping[str, str | Iterable[str]],
    published: Iterable[str] = (),
    cache: Path | None = None,
) -> House:
    """Of a checkout that need not be importable here: its modules' packages by name. Raises NoHouse."""
    root = root.absolute()
    if not root.is_dir():
        raise NoHouse(f"{root} is no directory; give the one from which the packages are imported")
    packages = {name: (said,) if isinstance(said, str) else tuple(said) for name, said in modules.items()}
    if not packages:
        raise NoHouse("no module is named; give at least two: --modules orders=shop.orders,payments=shop.payments")
    owned = [(package, name) for name, found in packages.items() for package in found]
    _refuse_twice(owned)
    shared = tuple(published)
    for package in (*dict(owned), *shared):
        if not _stands(root, package):
            raise NoHouse(
                f"there is no package {package!r} under {root}{_meant(package, _beside(root, package))}; "
                "write it as it is imported from there: order=saleor.order"
            )
    for package in dict(owned):
        if not any(_python_of(root, package)):
            raise NoHouse(f"{package!r} holds no Python file under {root}; name the package in which the code stands")
    members = tuple(
        Member(name=name, packages=found, labels=tuple(_label(root, package) for package in found))
        for name, found in packages.items()
    )
    return House(root, members, shared, cache)


def away(house: House) -> list[str]:
    """Packages of its modules that stand elsewhere: none of their files is read."""
    return sorted(package for package in house.by_package if not _stands(house.root, package))


def _apps_of(name: str, given: Any) -> tuple[str, ...]:
    found = given.get("apps") if isinstance(given, dict) else None
    return _names(found, f'EXTRACTION["modules"]["{name}"]["apps"]', f"shop.{name}")


def _names(said: object, of: str, example: str) -> tuple[str, ...]:
    if isinstance(said, list | tuple) and said and all(isinstance(each, str) for each in said):
        return tuple(said)
    raise NoHouse(f'{of} is {said!r}; it takes a list of names: ["{example}"]')


def _refuse_twice(owned: Iterable[tuple[str, str]]) -> None:
    if twice := owned_twice(owned):
        raise NoHouse(twice)


def _root_of(found: Iterable[tuple[str, Path]]) -> Path:
    """Where most of the packages stand; those that pip installed do not count."""
    roots = Counter[Path]()
    for name, path in found:
        parts = tuple(name.split("."))
        if path.parts[-len(parts) :] == parts:
            root = path.parents[len(parts) - 1]
            roots[root] += 0 if {"site-packages", "dist-packages"} & set(root.parts) else 1
    return roots.most_common(1)[0][0].absolute() if roots else Path.cwd()


def _stands(root: Path, package: str) -> bool:
    """By this very name: some file systems do not tell upper case from lower."""
    above, _, name = package.rpartition(".")
    folder = root.joinpath(*above.split(".")) if above else root
    return name in _importable(folder) and (not above or _stands(root, above))


def _importable(folder: Path) -> list[str]:
    return sorted(
        each.stem
        for each in (folder.iterdir() if folder.is_dir() else ())
        if each.stem.isidentifier() and (each.is_dir() if not each.suffix else each.suffix == ".py" and each.is_file())
    )


def _python_of(root: Path, package: str) -> Iterator[Path]:
    at = root.joinpath(*package.split("."))
    yield from at.rglob("*.py")
    if at.with_name(f"{at.name}.py").is_file():
        yield at.with_name(f"{at.name}.py")


def _beside(root: Path, package: str) -> Iterator[str]:
    """What stands where this one was looked for, whatever it was written with: `shop/orders`, `Shop.Orders`."""
    above: list[str] = []
    for word in re.findall(r"\w+", package)[:-1]:
        above += [each for each in _importable(root.joinpath(*above)) if each.lower() == word.lower()][:1]
    for each in _importable(root.joinpath(*above)):
        yield ".".join((*above, each))


def _meant(said: str, there: Iterable[str]) -> str:
    names = list(there)
    close = [name for name in names if said.startswith(f"{name}.") or name.endswith(f".{said}")]
    close += difflib.get_close_matches(said, names, n=3)
    return f"; there is {', '.join(dict.fromkeys(close))}" if close else ""


def _label(root: Path, package: str) -> str:
    """As its apps.py says, else the end of its name."""
    apps = root.joinpath(*package.split("."), "apps.py")
    said = _LABEL.search(apps.read_text(errors="replace")) if apps.is_file() else None
    return said[1] if said else package.rpartition(".")[2]
