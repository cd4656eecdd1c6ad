"""What was found, for a reader: as text, as JSON for programs, as annotations for GitHub."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from extraction.boundaries.baseline import Entry, Held
from extraction.boundaries.codes import CODES
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House
from extraction.boundaries.run import Looked

VERSION = 1
"""Of the JSON: it grows within a version."""
DOCS = "docs/boundaries.md"
FORMATS = ("text", "json", "github")
MOST_WAYS = 10
"""Of ways_in, in the text."""


def text(
    house: House, looked: Sequence[Looked], held: Held | None, notes: Sequence[str], failures: Sequence[str]
) -> Iterator[str]:
    """Each finding with the question, the way out and where to read on; then counts, times, what was skipped."""
    shown, has_docs = _shown(looked, held), (house.root / DOCS).is_file()
    for finding in shown:
        first, *further = finding.what.splitlines() or [""]
        yield " ".join(filter(None, (finding.place or "-", finding.code, _between(finding), first)))
        yield from (f"    {line}" for line in further)
        question = question_of(finding, house)
        if question:
            yield f"    {question}"
        if finding.instead:
            yield f"    {'If it should' if question else 'Instead'}: {finding.instead}"
        if finding.code in CODES and has_docs:
            yield f"    {anchor(finding.code)}"
        yield ""
    for code, count in sorted(Counter(each.code for each in shown).items()):
        yield f"{count:6}  {code}  {CODES[code].title if code in CODES else ''}".rstrip()
    between = Counter((each.module, each.other) for each in shown if each.other in house.names)
    for (module, other), count in sorted(between.items(), key=lambda pair: (-pair[1], pair[0])):
        yield f"{count:6}  {module} → {other}"
    ways = ways_in(shown)
    for way, count in ways[:MOST_WAYS]:
        yield f"{count:6}  by way of {way}"
    if len(ways) > MOST_WAYS:
        yield f"{sum(count for _, count in ways[MOST_WAYS:]):6}  by {len(ways) - MOST_WAYS} more ways"
    if shown:
        yield ""
    width = max((len(one.layer) for one in looked), default=0)
    for one in looked:
        yield f"{one.layer:{width}}  {len(one.findings):5} findings  {one.took_s:6.2f} s".rstrip()
        if one.skipped:
            yield f"{'':{width}}  skipped: {one.skipped}"
        if one.unseen:
            yield f"{'':{width}}  not seen: {one.unseen}"
    for note in (*notes, *failures):
        yield from note.splitlines()
    yield _sum(looked, held)


def as_json(
    house: House, looked: Sequence[Looked], held: Held | None, notes: Sequence[str], failures: Sequence[str]
) -> str:
    """One object: `version`, `findings` (a list), `ways_in`, `layers`, `gone` (entries of the baseline), `accepted`,
    `notes`."""
    return json.dumps(
        {
            "version": VERSION,
            "findings": [
                {
                    **asdict(finding),
                    "layer": finding.layer,
                    "question": question_of(finding, house),
                    "docs": anchor(finding.code) if finding.code in CODES else "",
                }
                for finding in _shown(looked, held)
            ],
            "ways_in": [{"way": way, "findings": count} for way, count in ways_in(_shown(looked, held))],
            "accepted": held.accepted if held else 0,
            "gone": [_of_entry(key, count) for key, count in sorted(held.gone.items())] if held else [],
            "layers": [
                {
                    "name": one.layer,
                    "findings": len(one.findings),
                    "took_s": round(one.took_s, 3),
                    "skipped": one.skipped,
                    "unseen": one.unseen,
                }
                for one in looked
            ],
            "notes": [*notes, *failures],
        },
        indent=1,
    )


def github(
    house: House, looked: Sequence[Looked], held: Held | None, notes: Sequence[str], failures: Sequence[str]
) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines; paths are from the current directory."""
    for finding in _shown(looked, held):
        where = {}
        if finding.path:
            where["file"] = Path(os.path.relpath(house.root / finding.path)).as_posix()
            where["line"] = str(finding.line or 1)
        where["title"] = f"{finding.code} {_between(finding)}".strip()
        told = "\n".join(filter(None, (finding.what, question_of(finding, house), finding.instead)))
        yield f"::error {','.join(f'{key}={_property(value)}' for key, value in where.items())}::{_data(told)}"
    for one in looked:
        if one.skipped:
            yield f"::warning title=boundaries::{_data(f'{one.layer} skipped: {one.skipped}')}"
        if one.unseen:
            yield f"::notice title=boundaries::{_data(f'{one.layer} does not see: {one.unseen}')}"
    for note in notes:
        yield f"::notice title=boundaries::{_data(note)}"
    for failure in failures:
        yield f"::error title=boundaries::{_data(failure)}"
    yield _sum(looked, held)


def question_of(finding: Finding, house: House) -> str:
    """Whether this module should know the other at all; empty where it is not about two modules."""
    if finding.other in house.names and finding.module != finding.other:
        module = finding.module if finding.module in house.names else "the published language"
        return f"Should {module} know of {finding.other} at all?"
    return ""


def ways_in(found: Iterable[Finding]) -> list[tuple[str, int]]:
    """The imports by which helpers lead into a module, and how many findings of E102 pass there, the most first:
    `shop/helper.py:1 → modules.payments.models`. One of them taken away is as many findings less."""
    ways = Counter(" → ".join(each.what.split(" → ")[-2:]) for each in found if each.code == "boundaries.E102")
    return sorted(ways.items(), key=lambda way: (-way[1], way[0]))


def anchor(code: str) -> str:
    """Where a code has its paragraph."""
    return f"{DOCS}#{code.replace('.', '').lower()}"


def listed(gone: Counter[Entry]) -> Iterator[str]:
    """Entries of a baseline that no longer occur."""
    for (_, code, module, other, path, what), count in sorted(gone.items()):
        yield f"{path or '-'} {code} {module or '?'} → {other or '?'} {what}" + f" ({count} times)" * (count > 1)


def _shown(looked: Iterable[Looked], held: Held | None) -> list[Finding]:
    return list(held.new) if held else sorted(each for one in looked for each in one.findings)


def _between(finding: Finding) -> str:
    if not finding.module and not finding.other:
        return ""
    return f"{finding.module or '?'} → {finding.other}" if finding.other else finding.module


def _sum(looked: Sequence[Looked], held: Held | None) -> str:
    number = sum(len(one.findings) for one in looked)
    took = sum(one.took_s for one in looked)
    said = f"{number} finding{'s' * (number != 1)} in {took:.2f} s"
    if held:
        said += f", {held.accepted} of them in the baseline"
    return said + "."


def _of_entry(key: Entry, count: int) -> dict[str, Any]:
    layer, code, module, other, path, what = key
    return {"layer": layer, "code": code, "module": module, "other": other, "path": path, "what": what, "count": count}


def _data(said: str) -> str:
    return said.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(said: str) -> str:
    return _data(said).replace(":", "%3A").replace(",", "%2C")
