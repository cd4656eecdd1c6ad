"""What is new in a patched copy, and who saw it first."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from extraction.boundaries.codes import CODES
from extraction.boundaries.findings import Finding
from shop.breaches.breach import Breach

LAYERS = ("imports", "source", "checks", "database", "contracts", "runtime")
"""In the order in which a breach meets them."""

STALE_SCHEMA = "contracts.E006"
RULES = (*CODES, "contracts.E004", "contracts.E005", "contracts.E007", "contracts.E008")
"""Codes that catch: without any of them a breach of the catalogue escapes."""

Told = Mapping[str, Any]
"""A finding, as the program in a copy tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a breach."""

    breach: Breach
    catches: tuple[Finding, ...] = ()
    """Findings that are there with the patch and not without it, by layer, each layer in its own order."""
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What import-linter and tach say, by tool; nothing where they see nothing."""
    took_s: float = 0.0
    error: str = ""
    """Why it cannot be judged: the patch does not fit, or the patched copy does not start."""

    @property
    def caught(self) -> Finding | None:
        """The first catch; none where the breach escapes."""
        return self.catches[0] if self.catches and not self.error else None

    @property
    def codes(self) -> frozenset[str]:
        """Of all catches."""
        return frozenset(each.code for each in self.catches)


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of the breaches that one rule alone had caught, once it was taken away."""

    code: str
    tried: tuple[Outcome, ...]
    """In turn, until one escaped."""

    @property
    def escaped(self) -> Breach | None:
        """None where the rule could be left out. A breach that cannot be judged without it proves nothing."""
        return next((each.breach for each in self.tried if each.caught is None and not each.error), None)


def catches(breach: Breach, found: Iterable[Told], known: Sequence[Told]) -> tuple[Finding, ...]:
    """The findings that the patch brought, between the modules of the breach."""
    return _findings(each for each in _new(found, known) if _is_of(breach, each))


def traces(found: Iterable[Told], known: Sequence[Told]) -> tuple[Finding, ...]:
    """All findings that the patch brought: who says that a breach escapes has to look at each."""
    return _findings(each for each in _new(found, known) if each["code"] != STALE_SCHEMA)


def _new(found: Iterable[Told], known: Sequence[Told]) -> Iterator[Told]:
    """What is not known. Lines may have moved."""
    before = Counter(map(_key, known))
    for each in found:
        if before[_key(each)]:
            before[_key(each)] -= 1
        else:
            yield each


def _findings(told: Iterable[Told]) -> tuple[Finding, ...]:
    return in_order(Finding(**{name: each[name] for name in Finding.__slots__}) for each in told)


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """By layer. A file that cannot be read belongs to whoever read it first."""
    return tuple(sorted(found, key=lambda finding: LAYERS.index(finding.layer)))


def _is_of(breach: Breach, finding: Told) -> bool:
    """A module that a layer cannot know may be any. Who writes a patch writes the schemas anew: that is no catch."""
    if finding["code"] == STALE_SCHEMA:
        return False
    return finding["module"] in ("", breach.module) and (not breach.other or finding["other"] in ("", breach.other))


def _key(finding: Told) -> tuple[str, ...]:
    return (*(finding[name] for name in ("code", "module", "other", "path")), _LINE.sub("", finding["what"]))


_LINE = re.compile(r":\d+")
