"""A ratchet for a project that has breaches already: what it had is accepted, and may only become less.

An entry has no line numbers, so that code may move within its file; it has a count. The layers that had looked when the
file was made are written down: one that looks for the first time may add its own. What cannot be read (E001) is never
accepted: all that stands behind it would be.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extraction.boundaries.codes import layer_of
from extraction.boundaries.findings import Finding
from extraction.boundaries.run import Looked, touched

VERSION = 1
UNREAD = "boundaries.E001"
FIELDS = ("layer", "code", "module", "other", "path", "what")

Entry = tuple[str, str, str, str, str, str]
"""The FIELDS, `what` without its further lines."""


class BadBaseline(Exception):
    """The file is no baseline of this version; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was accepted."""

    counts: Counter[Entry] = field(default_factory=Counter)
    layers: frozenset[str] = frozenset()
    """Which had looked everywhere."""


@dataclass(frozen=True, slots=True)
class Held:
    """A run against a baseline."""

    new: tuple[Finding, ...]
    """Not in the baseline, and E001. Of one that occurs more often, all occurrences: which is new, nobody knows."""
    accepted: int
    """Findings that the baseline has."""
    gone: Counter[Entry]
    """Entries, and how many of each, that no longer occur."""
    after: Baseline
    """With what is gone taken out, and with the findings of layers that had never looked."""


def read(file: Path) -> Baseline:
    """Raises FileNotFoundError, BadBaseline."""
    try:
        said = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadBaseline(f"{file} is no JSON ({error}); take it from version control again") from error
    version = said.get("version") if isinstance(said, dict) else None
    if version is None:
        raise BadBaseline(f"{file} is no baseline: it has no version; name another file")
    if version != VERSION:
        raise BadBaseline(
            f"{file} is a baseline of version {version}, and this reads version {VERSION}: "
            + (
                "run the version of the tooling that wrote it"
                if isinstance(version, int) and version > VERSION
                else "delete it and make it anew with --update-baseline"
            )
        )
    try:
        counts = Counter({_entry_of(each): _positive(each["count"]) for each in said["findings"]})
        return Baseline(counts, frozenset(_list(said["layers"])))
    except (KeyError, TypeError, ValueError) as error:
        raise BadBaseline(
            f"{file} has an entry that cannot be read ({error!r}); take it from version control"
        ) from error


def write(file: Path, baseline: Baseline) -> None:
    """Sorted, an entry to a line, so that two branches that take out different ones merge."""
    entries = [
        json.dumps({**dict(zip(FIELDS, entry, strict=True)), "count": count}, ensure_ascii=False)
        for entry, count in sorted(baseline.counts.items())
    ]
    listed = "[\n" + ",\n".join(f"  {each}" for each in entries) + "\n ]" if entries else "[]"
    file.write_text(
        f'{{"version": {VERSION},\n "layers": {json.dumps(sorted(baseline.layers))},\n "findings": {listed}}}\n',
        "utf-8",
        errors="backslashreplace",  # of a file's name that is not UTF-8, as JSON has it
    )


def hold(baseline: Baseline, looked: Iterable[Looked], modules: frozenset[str] = frozenset()) -> Held:
    """This run against what was accepted. With `modules` only what touches one of them was looked at."""
    looked = list(looked)
    found = [(entry(one.layer, each), each) for one in looked for each in one.findings]
    now = Counter(key for key, each in found if each.code != UNREAD)
    whole = frozenset(one.layer for one in looked if not one.skipped)
    first_time = frozenset() if modules else whole - baseline.layers
    gone = Counter(
        {
            key: count - now[key]
            for key, count in baseline.counts.items()
            if count > now[key]
            and layer_of(key[1], key[0]) in whole
            and (not modules or modules & touched(key[2], key[3]))
        }
    )
    taken_in = Counter({key: count for key, count in now.items() if key[0] in first_time})
    new = tuple(sorted(each for key, each in found if each.code == UNREAD or now[key] > baseline.counts[key]))
    return Held(
        new=new,
        accepted=len(found) - len(new),
        gone=gone,
        after=Baseline((baseline.counts | taken_in) - gone, baseline.layers | first_time),
    )


def entry(layer: str, finding: Finding) -> Entry:
    """What a finding is known by."""
    return (
        layer_of(finding.code, layer),
        finding.code,
        finding.module,
        finding.other,
        finding.path,
        finding.what.partition("\n")[0],
    )


def _entry_of(said: dict[str, Any]) -> Entry:
    layer, code, module, other, path, what = (str(said[name]) for name in FIELDS)
    return layer, code, module, other, path, what


def _list(said: object) -> list[str]:
    if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
        raise TypeError(f"layers {said!r}")
    return said


def _positive(count: object) -> int:
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"count {count!r}")
    return count
