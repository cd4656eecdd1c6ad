"""`manage.py modules`: what each module answers, tells, asks, hears and owns, whose it is, and where it lives."""

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from extraction import project
from extraction.boundaries import pages
from extraction.boundaries.canvas import Catalogue, catalogue
from extraction.boundaries.mermaid import flowchart
from extraction.boundaries.sizes import Unread, sizes_of
from extraction.management.modules_text import Found, details, overview
from extraction.placement import where

VERSION = 1
"""Of the JSON."""


class Command(BaseCommand):
    """The pages need no database, and of the rest a database that does not answer is said."""

    help = "Shows the modules of this unit; --write and --check take care of their pages."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="one module, with every call, event and table")
        parser.add_argument("--format", choices=("text", "json", "mermaid"), default="text")
        pages = parser.add_mutually_exclusive_group()
        pages.add_argument("--write", action="store_true", help="write a page for each module, and an index")
        pages.add_argument("--check", action="store_true", help="fail if a page is not as --write would write it")
        parser.add_argument("--pages", metavar="DIR", help="where the pages stand; docs/modules by default")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = catalogue()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if not found.modules:
            raise CommandError(f'EXTRACTION names no module; write: "modules": {{"orders": {project.EXAMPLE}}}')
        name = options["name"]
        names = [canvas.name for canvas in found.modules]
        if name and name not in names:
            raise CommandError(f"there is no module {name!r} in this unit; there are {', '.join(names)}")
        if options["write"] or options["check"]:
            self._pages(found, options)
        elif options["format"] == "mermaid":
            self.stdout.write(flowchart(found, around=name or ""))
        else:
            self._show(found, name, as_json=options["format"] == "json")

    def _pages(self, found: Catalogue, options: dict[str, Any]) -> None:
        if options["name"]:
            raise CommandError("pages are written and checked together; leave the name out")
        if found.elsewhere:
            raise CommandError(
                f"{', '.join(found.elsewhere)}: not in this unit; write and check the pages where all modules are"
            )
        folder = Path(options["pages"] or Path(getattr(settings, "BASE_DIR", ".")) / "docs" / "modules")
        try:
            changed = pages.stale(found, folder) if options["check"] else pages.write(found, folder)
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}; name a folder for the pages") from error
        except pages.Handwritten as error:
            names = ", ".join(os.path.relpath(path) for path in error.paths)
            raise CommandError(
                f"{names}: not written by this command, and nothing was written; delete it, or name another folder: "
                "--pages DIR"
            ) from error
        shown = [os.path.relpath(path) for path in changed]
        if options["check"] and changed:
            to = f" --pages {shlex.quote(options['pages'])}" if options["pages"] else ""
            raise CommandError(f"not fresh: {', '.join(shown)}; run: manage.py modules --write{to}")
        if options["check"]:
            self.stdout.write(f"{len(pages.pages(found))} pages are fresh.")
        else:
            self.stdout.write("\n".join(f"wrote {path}" for path in shown) or "Nothing to write: all are fresh.")

    def _show(self, found: Catalogue, name: str | None, *, as_json: bool) -> None:
        os.environ.setdefault("PGCONNECT_TIMEOUT", "3")  # seconds; of aliases that name none
        shown = [canvas for canvas in found.modules if name in (None, canvas.name)]
        databases = {canvas.name: _found(project.modules()[canvas.name]) for canvas in shown}
        if as_json:
            modules = [{**asdict(canvas), **asdict(databases[canvas.name])} for canvas in shown]
            edges = {"calls": list(map(asdict, found.calls)), "events": list(map(asdict, found.events))}
            document = {"version": VERSION, "unit": project.unit(), "modules": modules, **edges}
            self.stdout.write(json.dumps(document, indent=2))
        elif name:
            self.stdout.write("\n".join(details(shown[0], found, databases[name])))
        else:
            self.stdout.write("\n".join(overview(found, databases, project.unit())))


def _found(module: project.Module) -> Found:
    try:
        sizes = sizes_of(module)
    except Unread as error:
        return Found(place=None, sizes=(), why_not=str(error))
    gone = sorted(set(project.model_tables(module.name)) - {size.table for size in sizes})
    missing = f"schema {module.schema} has no {', '.join(gone)}; run: manage.py migrate --database {module.alias}"
    try:
        return Found(place=where.place_now(module.name), sizes=sizes, why_not=missing if gone else "")
    except (DatabaseError, InterfaceError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        why_not = f"where it lives is not known: {reason}; run: manage.py migrate --database {module.alias}"
        return Found(place=None, sizes=sizes, why_not=why_not)
