"""`manage.py coupling`: what the recorders wrote, added up."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from extraction import project
from extraction.boundaries.coupling import BREAKS, Cell, Coupling, NoRecording, Together, Touch, coupling_in
from extraction.boundaries.coupling_text import flowchart, lines_of, lines_of_module

VERSION = 1
"""Of the JSON."""


class Command(BaseCommand):
    """Reads files only: also those of another machine."""

    help = "Shows whose code touched whose tables, as EXTRACTION['recorder'] has recorded it."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="*", metavar="FILE", type=Path, help="of recorders; that of the settings")
        parser.add_argument("--module", help="what the extraction of this module would break, the worst first")
        parser.add_argument("--format", choices=("text", "json", "mermaid"), default="text")
        parser.add_argument("--most", type=int, default=20, metavar="N", help="places in the text; 20 of each kind")

    def handle(self, *args: Any, **options: Any) -> None:
        extraction = project.said()
        given = (extraction.get("recorder") or {}).get("file")
        files = options["files"] or ([Path(given)] if given else [])
        if not files:
            raise CommandError(
                'name a file, or record one first: EXTRACTION["recorder"] = {"share": 0.01, "file": BASE_DIR / "var" / '
                '"coupling.jsonl"}'
            )
        try:
            found = coupling_in(files)
        except NoRecording as error:
            raise CommandError(f'{error}. Is EXTRACTION["recorder"] on, with a share above 0?') from error
        module = options["module"] or ""
        known = {*extraction.get("modules", {}), *found.modules} - {""}
        if module and module not in known:
            raise CommandError(f"there is no module {module!r}; there are {', '.join(sorted(known))}")
        if options["format"] == "mermaid":
            self.stdout.write(flowchart(found, around=module))
        elif options["format"] == "json":
            self.stdout.write(json.dumps(_document(found, module), indent=2))
        else:
            most = max(0, options["most"])
            said = lines_of_module(found, module, most=most) if module else lines_of(found, most=most)
            self.stdout.write("\n".join(said))


def _document(found: Coupling, module: str) -> dict[str, Any]:
    """Estimates are what was seen, divided by the share that was looked at. A module "" is none."""
    document: dict[str, Any] = {
        "version": VERSION,
        "from": found.began,
        "to": found.ended,
        "processes": found.processes,
        "shares": found.shares,
        "operations": found.operations,
        "crowded": found.crowded,
        "unread": found.unread,
        "matrix": [
            {"code": code, "tables": owner, **_cell(cell)} for (code, owner), cell in sorted(found.matrix.items())
        ],
    }
    if module:
        breaks = found.of_module(module)
        document["module"] = module
        document["breaks"] = [
            {"kind": kind, "title": BREAKS[kind][0], "places": list(map(_touch, touches))}
            for kind, touches in breaks.items()
        ]
        document["transactions"] = [_together(one) for one in found.together if module in dict(one.modules)]
    else:
        document["places"] = list(map(_touch, found.touches))
        document["transactions"] = list(map(_together, found.together))
    return document


def _cell(cell: Cell) -> dict[str, Any]:
    return {name: counted["estimate"] for name, counted in asdict(cell).items()}


def _touch(touch: Touch) -> dict[str, Any]:
    return {**asdict(touch), "join": touch.is_join}


def _together(one: Together) -> dict[str, Any]:
    return {**asdict(one), "modules": dict(one.modules)}
