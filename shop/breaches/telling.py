"""What became of the breaches: as text for a reader, as objects for a program."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House
from extraction.boundaries.report import question_of
from shop.breaches.judging import Outcome
from shop.breaches.others import TOOLS


def text(outcomes: Sequence[Outcome], house: House, *, width: int) -> Iterator[str]:
    """Number and breach, who caught it and how, and what the other linters say."""
    for outcome in outcomes:
        caught = outcome.caught
        layer = f"{caught.layer} {caught.code}" if caught else "NOT CAUGHT"
        yield f"{outcome.breach.label:<4} {outcome.breach.title:<{max(width - 32, 20)}} {layer}"
        told = message(caught, house) if caught else outcome.error or "by no layer"
        yield from _indented(told, width)
        if further := [code for code in _codes(outcome.catches) if caught and code != caught.code]:
            yield from _indented(f"also: {', '.join(further)}", width)
        for tool in TOOLS:
            if said := outcome.others.get(tool):
                yield from _indented(f"{tool}: {said[0]}" + f" (and {len(said) - 1} more)" * (len(said) > 1), width)
        yield ""


def as_objects(outcomes: Sequence[Outcome], house: House) -> list[dict[str, Any]]:
    """One for each number; its other forms are its `variants`. Where only a variant was asked for, it stands alone."""
    objects: dict[int, dict[str, Any]] = {}
    for outcome in outcomes:
        number = outcome.breach.number
        if number in objects:
            objects[number]["variants"].append(_object(outcome, house))
        else:
            objects[number] = {"number": number, **_object(outcome, house), "variants": []}
    return list(objects.values())


def message(finding: Finding, house: House) -> str:
    """In one line: place, code, both modules, what it does, whether they should know each other, and what to do."""
    between = " → ".join(filter(None, (finding.module, finding.other)))
    question = question_of(finding, house)
    instead = f"{'If it should' if question else 'Instead'}: {finding.instead.rstrip(';.')}." if finding.instead else ""
    what = f"{' '.join(finding.what.split())}."
    return " ".join(filter(None, (finding.place, finding.code, between, what, question, instead)))


def escaped(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Breaches that no layer caught, and those that could not be judged."""
    return [outcome for outcome in outcomes if outcome.caught is None]


def total(outcomes: Sequence[Outcome], *, took_s: float, processes: int) -> str:
    """How many were caught, by whom."""
    first = [outcome for outcome in outcomes if not outcome.breach.is_variant]
    variants = [outcome for outcome in outcomes if outcome.breach.is_variant]
    counted = [
        f"{len(some) - len(escaped(some))} of {len(some)} {name}"
        for some, name in ((first, "breaches caught"), (variants, "variants"))
        if some
    ]
    others = [
        f"{tool} {sum(bool(outcome.others.get(tool)) for outcome in first)} of the {len(first)}"
        for tool in TOOLS
        if first
    ]
    return f"{', '.join([*counted, *others])}; {took_s:.0f} s on {processes} processes."


def _object(outcome: Outcome, house: House) -> dict[str, Any]:
    caught = outcome.caught
    return {
        "label": outcome.breach.label,
        "breach": outcome.breach.title,
        "caught_by": caught.layer if caught else None,
        "code": caught.code if caught else None,
        "message": message(caught, house) if caught else outcome.error or "caught by no layer",
        "catches": [
            {"layer": each.layer, "code": each.code, "message": message(each, house)} for each in outcome.catches
        ],
        **{tool.replace("-", "_"): list(outcome.others.get(tool, ())) for tool in TOOLS},
        "took_s": round(outcome.took_s, 2),
    }


def _codes(catches: Iterable[Finding]) -> list[str]:
    return list(dict.fromkeys(each.code for each in catches))


def _indented(told: str, width: int) -> list[str]:
    return [
        line
        for part in told.splitlines()
        for line in textwrap.wrap(
            part, width, initial_indent="     ", subsequent_indent="     ", break_long_words=False
        )
    ]
