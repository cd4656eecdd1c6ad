"""The project's own contracts of import-linter, held in this process on the graph that is read anyway.

Found where import-linter looks: setup.cfg, .importlinter or pyproject.toml, in the root or the current directory.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extraction.boundaries import import_graph
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House
from extraction.boundaries.import_graph import Imports

if TYPE_CHECKING:
    import grimp

FILES = ("setup.cfg", ".importlinter", "pyproject.toml")
BUILT_IN = {
    "acyclic_siblings": "importlinter.contracts.acyclic_siblings.AcyclicSiblingsContract",
    "forbidden": "importlinter.contracts.forbidden.ForbiddenContract",
    "independence": "importlinter.contracts.independence.IndependenceContract",
    "layers": "importlinter.contracts.layers.LayersContract",
    "protected": "importlinter.contracts.protected.ProtectedContract",
}
"""Types of contracts; a project's own stand in its `contract_types`."""

Link = Mapping[str, Any]
"""Of a chain: importer, imported, line_numbers."""


@dataclass(frozen=True)
class Contracts:
    """What a project has written down for import-linter."""

    file: Path | None = None
    session: Mapping[str, Any] = field(default_factory=dict)
    contracts: Sequence[Mapping[str, Any]] = ()
    problem: str = ""
    """Why the file cannot be read."""

    @property
    def external(self) -> bool:
        """Whether they speak of packages from elsewhere."""
        return self._says("include_external_packages")

    @property
    def type_checking(self) -> bool:
        """Whether imports for a type checker alone count."""
        return not self._says("exclude_type_checking_imports")

    def _says(self, option: str) -> bool:
        return str(self.session.get(option)).lower() == "true"


def contracts_of(house: House) -> Contracts:
    """Empty where the project has none."""
    for folder in dict.fromkeys((house.root, Path.cwd())) if _is_here(house) else (house.root,):
        for file in (folder / name for name in FILES):
            if file.is_file() and b"importlinter" in file.read_bytes():
                try:
                    import importlinter.api

                    said = importlinter.api.read_configuration(str(file))
                except FileNotFoundError:  # it is named there, and has no section
                    continue
                except Exception as error:  # of tomllib, configparser, a key or a package that is missing
                    return Contracts(file, problem=f"{type(error).__name__}: {error}")
                return Contracts(file, said["session_options"], said["contracts_options"])
    return Contracts()


def broken(contracts: Contracts, imports: Imports, *, known: set[tuple[str, int]]) -> Iterator[Finding]:
    """E104 for each way in which a contract is broken, unless it begins at a place that is known."""
    if contracts.file is None:
        return
    file = imports.house.shown(contracts.file)
    if contracts.problem:
        yield _cannot(file, 0, f"cannot be read: {contracts.problem}")
    if not contracts.contracts:
        return
    try:
        graph = _graph(contracts, imports)
        own = contracts.session.get("contract_types", ())
        types = BUILT_IN | dict(each.split(": ", 1) for each in ([own] if isinstance(own, str) else own))
    except Exception as error:  # of grimp's, for a package that is not there, or of a setting of another kind
        yield _cannot(file, 0, f"has contracts that cannot be held: {_why(error)}")
        return
    for said in contracts.contracts:
        name = str(said.get("name", "?"))
        line = _line(contracts.file, name)
        try:
            yield from _ways(said, contracts, graph, types, imports, known, (file, line))
        except Exception as error:  # a type of contract may be the project's own
            yield _cannot(file, line, f'has a contract "{name}" that cannot be held: {_why(error)}')


def _ways(
    said: Mapping[str, Any],
    contracts: Contracts,
    graph: "grimp.ImportGraph",
    types: Mapping[str, str],
    imports: Imports,
    known: set[tuple[str, int]],
    stands: tuple[str, int],
) -> list[Finding]:
    from django.utils.module_loading import import_string
    from importlinter.application.output import console

    name = said["name"]
    contract = import_string(types[said["type"]])(
        name=name, session_options=dict(contracts.session), contract_options=dict(said)
    )
    check = contract.check(graph=deepcopy(graph), verbose=False)
    if check.kept:
        return []
    found, has_place = [], False
    for chain in sorted(_chains(check.metadata), key=str):
        has_place = True
        first, last = chain[0], chain[-1]
        path, line = imports.file(first["importer"]), min(first["line_numbers"], default=0) or 0
        if any((path, each) in known for each in first["line_numbers"]):
            continue
        found.append(
            Finding(
                path=path,
                line=line,
                code="boundaries.E104",
                module=_whose(imports.house, first["importer"]),
                other=_whose(imports.house, last["imported"]),
                what=f'breaks "{name}": {first["importer"]} reaches {last["imported"]}\n{_shown(imports, chain)}',
            )
        )
    for module in sorted(check.metadata.get("undeclared_modules", ())):
        has_place = True
        found.append(
            Finding(
                path=imports.file(module),
                line=1,
                code="boundaries.E104",
                module=_whose(imports.house, module),
                other="",
                what=f'breaks "{name}": {module} is on none of its layers',
            )
        )
    if not has_place:
        with console.capture() as captured:
            contract.render_broken_contract(check)
        told = " ".join(captured.get().split())
        path, line = stands
        found.append(
            Finding(path=path, line=line, code="boundaries.E104", module="", other="", what=f'breaks "{name}"\n{told}')
        )
    return found


def _graph(contracts: Contracts, imports: Imports) -> "grimp.ImportGraph":
    """That of the packages which the project names, as import-linter would read it."""
    named = [str(each) for each in contracts.session["root_packages"]]
    if not contracts.type_checking or not set(named) <= set(imports.packages):
        read = import_graph.read(
            imports.house, named, external=contracts.external, type_checking=contracts.type_checking
        )
        return read.graph
    graph = deepcopy(imports.graph)
    for module in imports.graph.modules:
        top = module.partition(".")[0]
        if top not in named and (top in imports.packages or not contracts.external):
            graph.remove_module(module)
    return graph


def _chains(found: object) -> Iterator[list[Link]]:
    """Every chain of imports in what a contract tells of its check; each type of contract tells it in its own form."""
    if isinstance(found, Mapping) and "chain" in found:
        first, *rest = found["chain"]
        for each in (first, *found.get("extra_firsts", ())):
            yield [each, *rest]
    elif _is_link(found):
        yield [found]  # type: ignore[list-item]
    elif isinstance(found, Mapping):
        for each in found.values():
            yield from _chains(each)
    elif isinstance(found, list | tuple):
        if found and all(map(_is_link, found)) and _hangs_together(found):
            yield list(found)
        else:
            for each in found:
                yield from _chains(each)
    elif hasattr(found, "__dict__"):
        yield from _chains(vars(found))


def _is_link(found: object) -> bool:
    return isinstance(found, Mapping) and {"importer", "imported", "line_numbers"} <= found.keys()


def _hangs_together(links: Sequence[Link]) -> bool:
    return all(one["imported"] == next_["importer"] for one, next_ in pairwise(links))


def _shown(imports: Imports, chain: Sequence[Link]) -> str:
    """`modules/orders/service.py:3 → shop/wiring.py:1 → modules.payments.models`."""
    places = [f"{imports.file(link['importer'])}:{min(link['line_numbers'], default=0) or '?'}" for link in chain]
    return " → ".join((*places, chain[-1]["imported"]))


def _whose(house: House, dotted: str) -> str:
    owner = house.owner(dotted)
    return owner.name if owner else dotted.partition(".")[0]


def _cannot(path: str, line: int, what: str) -> Finding:
    return Finding(path=path, line=line, code="boundaries.E104", module="", other="", what=what)


def _why(error: Exception) -> str:
    return str(getattr(error, "errors", None) or error) or type(error).__name__


def _line(file: Path, name: str) -> int:
    """Where a contract's name stands in its file; 0 where it is written another way."""
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        if name in line and "name" in line:
            return number
    return 0


def _is_here(house: House) -> bool:
    """Whether this process runs in the project that it looks at."""
    here = Path.cwd()
    return house.root.is_relative_to(here) or here.is_relative_to(house.root)
