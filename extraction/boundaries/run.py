"""Every layer, one after another: what each found, how long it took, and what one did not see.

"layers"    the project's own: dotted paths of functions without arguments that return Django's check messages
"offers"    what its modules publish, so that a finding names the call or the event to use (extraction.boundaries.
            catalogue)
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extraction.boundaries.codes import ASK_OR_TELL, CODES
from extraction.boundaries.findings import Finding, Layer, Partly, Skipped
from extraction.boundaries.house import House

if TYPE_CHECKING:
    from extraction.boundaries.catalogue import Offer

STATIC = {
    "imports": "extraction.boundaries.imports.findings",
    "source": "extraction.boundaries.source.findings",
}
"""What needs the source alone."""
IN_DJANGO = {
    "checks": "extraction.boundaries.checks.findings",
    "database": "extraction.boundaries.audit.findings",
}
"""What needs the project to be set up."""
MOST_NAMED = 5
"""Calls, and events, that one finding names."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of one layer."""

    layer: str
    findings: tuple[Finding, ...]
    """Sorted, each once."""
    took_s: float
    skipped: str = ""
    """Why it did not look, or not everywhere."""
    unseen: str = ""
    """What it cannot see as the project stands; it has looked all the same."""


def layers_of_project() -> dict[str, Layer]:
    """Of the project whose settings are in force, in their order, by name. Raises ImproperlyConfigured."""
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    layers = {name: _layer(path) for name, path in (STATIC | IN_DJANGO).items()}
    own = settings.EXTRACTION.get("layers") or ()
    if not isinstance(own, list | tuple) or not all(isinstance(path, str) for path in own):
        raise ImproperlyConfigured(f'EXTRACTION["layers"] is {own!r}; it takes a list of names: ["shop.gates.told"]')
    for path in own:
        name = path.partition(".")[0]
        layers[path if name in layers else name] = _of_project(path)
    return layers


def static_layers() -> dict[str, Layer]:
    """For a checkout that is not set up here."""
    return {name: _layer(path) for name, path in STATIC.items()}


def look(house: House, layers: Mapping[str, Layer], offers: "Mapping[str, Offer] | None" = None) -> list[Looked]:
    """All layers. A file that several cannot read is told once."""
    unreadable: set[str] = set()
    looked = []
    for name, layer in layers.items():
        began, found, skipped, unseen = time.monotonic(), set[Finding](), "", ""
        try:
            for finding in layer(house):
                if finding.code != "boundaries.E001" or finding.path not in unreadable:
                    found.add(finding)
        except Partly as reason:
            unseen = str(reason)
        except Skipped as reason:
            skipped = str(reason)
        unreadable.update(each.path for each in found if each.code == "boundaries.E001")
        looked.append(Looked(name, tuple(sorted(found)), time.monotonic() - began, skipped, unseen))
    return looked if offers is None else [with_ways_out(one, offers) for one in looked]


def with_ways_out(looked: Looked, offers: "Mapping[str, Offer]") -> Looked:
    """Each finding with what to do instead: as the layer says, else the other module's calls and events, else CODES."""
    return replace(
        looked,
        findings=tuple(
            each if each.instead else replace(each, instead=_instead(each, offers)) for each in looked.findings
        ),
    )


def only(looked: Iterable[Looked], modules: frozenset[str]) -> list[Looked]:
    """What touches one of these modules; all where none is named."""
    return [
        replace(one, findings=tuple(each for each in one.findings if modules & touched(each.module, each.other)))
        if modules
        else one
        for one in looked
    ]


def touched(module: str, other: str) -> set[str]:
    """The names by which a finding between these two is asked for; a published file goes by its own: contracts.x."""
    return {module, other, module.rpartition(".")[2]}


def _layer(path: str) -> Layer:
    """Imported when it looks; what it leans on may not be installed."""

    def layer(house: House) -> Iterable[Finding]:
        module, _, name = path.rpartition(".")
        try:
            found: Layer = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise Skipped(
                f"{error.name} is not installed. Type: pip install import-linter tree-sitter tree-sitter-python"
            ) from error
        return found(house)

    return layer


def _of_project(path: str) -> Layer:
    from django.core.exceptions import ImproperlyConfigured
    from django.utils.module_loading import import_string

    def layer(house: House) -> Iterable[Finding]:
        try:
            tell: Callable[[], Sequence[Any]] = import_string(path)
        except ImportError as error:
            raise ImproperlyConfigured(
                f'EXTRACTION["layers"]: {error}; it has dotted paths of functions that return check messages'
            ) from error
        return [_of_message(message, house) for message in tell() if not message.is_silenced()]

    return layer


def _of_message(message: Any, house: House) -> Finding:
    """Its `obj` tells whose it is: a module's name, which may have a `path` and a `line`, or a file."""
    obj, path, line = message.obj, "", 0
    if isinstance(obj, Path):
        path = house.shown(obj)
    elif isinstance(obj, str):
        path, line = str(getattr(obj, "path", "")), int(getattr(obj, "line", 0))
    owner = house.owner_of(Path(path)) if path else None
    return Finding(
        path=path,
        line=line,
        code=message.id or "project",
        module=str(obj) if obj in house.names else owner.name if owner else "",
        other="",
        what=message.msg,
        instead=message.hint or "",
    )


def _instead(finding: Finding, offers: "Mapping[str, Offer]") -> str:
    code = CODES.get(finding.code)
    if code is None or code.instead != ASK_OR_TELL or (offer := offers.get(finding.other)) is None:
        return code.instead if code else ""
    ways = []
    if offer.calls:
        ways.append(f"ask it with a contract call ({_list([each.name for each in offer.calls])})")
    if offer.publishes:
        ways.append(f"hear an event of it ({_list([each.type for each in offer.publishes])})")
    return ", or ".join(ways) or f"{finding.other} publishes no call and no event; let it publish one"


def _list(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
