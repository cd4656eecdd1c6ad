"""What became of the breaches: as text for a reader, as objects for a program."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from extraction.boundaries.codes import CODES
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House
from extraction.boundaries.report import question_of
from shop.breaches.judging import RULES, Outcome, Proof
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


def proofs_as_text(proofs: Sequence[Proof], *, width: int) -> Iterator[str]:
    """Each rule with the breach that escapes without it; else what became of those that it alone had caught."""
    if proofs:
        yield "Without a rule escapes:"
        yield ""
    for proof in proofs:
        yield f"{proof.code:<16} {proof.escaped or 'NOTHING'}"
        if proof.escaped is None:
            yield from _indented(_why_none(proof), width)
    if proofs:
        yield ""


def proof_briefly(proof: Proof) -> str:
    return f"without {proof.code} escapes {proof.escaped.label if proof.escaped else 'NOTHING'}"


def proofs_as_objects(proofs: Sequence[Proof]) -> list[dict[str, Any]]:
    """One for each rule: its code, the label of what escapes, and what became of what was tried before that."""
    return [
        {
            "code": proof.code,
            "rule": CODES[proof.code].title if proof.code in CODES else "",
            "escapes": proof.escaped.label if proof.escaped else None,
            "message": "" if proof.escaped else _why_none(proof),
            "took_s": round(sum(each.took_s for each in proof.tried), 2),
        }
        for proof in proofs
    ]


def to_prove(outcomes: Sequence[Outcome]) -> list[str]:
    """The rules that are alone in catching one of these."""
    return [code for code in RULES if any(outcome.codes == {code} for outcome in outcomes)]


def _why_none(proof: Proof) -> str:
    return "\n".join(map(_why, proof.tried)) or "it catches nothing that no other rule catches"


def _why(tried: Outcome) -> str:
    how = f"could not be tried: {_about(tried.error)}" if tried.error else f"caught by {_list(tried)}"
    return f"{tried.breach.label}: {how}"


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


def total(outcomes: Sequence[Outcome], proofs: Sequence[Proof], *, took_s: float, processes: int) -> str:
    """How many were caught, by whom, and how many rules are needed for it."""
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
    needed = [f"{sum(proof.escaped is not None for proof in proofs)} of {len(proofs)} rules needed"] if proofs else []
    return f"{', '.join([*counted, *others, *needed])}; {took_s:.0f} s on {processes} processes."


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


def _list(outcome: Outcome) -> str:
    return ", ".join(_codes(outcome.catches))


def _about(error: str) -> str:
    """The line of a traceback that names the exception."""
    return next((line for line in reversed(error.splitlines()) if re.match(r"[\w.]+: ", line)), error)


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
