"""The gate of the contracts: what modules publish, compared with the schemas that are committed in contracts/schemas.

    contracts.E004   an event, a call or an error changed in a way that breaks who uses it
    contracts.E005   the HTTP interface of a module changed in a way that breaks its clients
    contracts.E006   a committed schema is missing, or does not say yet what was added
    contracts.E007   a committed schema cannot be read
    contracts.E008   no schema can be made of what a module publishes

`manage.py contracts` shows the same and writes the schemas; docs/contracts.md has the rules. Nothing of it runs when
Django starts.
"""

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error

from contracts.runtime.definitions import definitions
from contracts.runtime.gate.verdicts import (
    WRITE,
    Place,
    Unmade,
    Verdict,
    breach,
    contract_verdicts,
    interface_verdicts,
    place,
)


def broken() -> list[CheckMessage]:
    """All that keeps the committed schemas from being true, each with the way out."""
    try:
        known = definitions()
    except Exception as error:  # a definition file is code: anything may be wrong with it
        return [_unmade(f"a definition file cannot be read: {type(error).__name__}: {error}")]
    found = [message for verdict in contract_verdicts(known) for message in _messages(verdict)]
    try:
        found += [message for verdict in interface_verdicts(known) for message in _messages(verdict)]
    except Unmade as error:
        found.append(_unmade(str(error)))
    return found


def _messages(verdict: Verdict) -> Iterator[CheckMessage]:
    here = Place(verdict.module, verdict.path)
    if verdict.problem and verdict.file.suffix == ".py":
        yield _unmade(f"{verdict.path} {verdict.problem}", here)
        return
    if verdict.problem:
        hint = f"Take it from version control again: git checkout -- {verdict.path}"
        hint += f". One of an earlier format: delete it, and before anything else changes {WRITE}"
        yield Error(f"{verdict.path} {verdict.problem}", hint=hint, obj=here, id="contracts.E007")
        return
    breaking = [breach(each, definitions()) for each in verdict.differences if each.change.breaks]
    for each in breaking:
        code = "contracts.E005" if each.difference.kind == "operation" else "contracts.E004"
        where = place(each.difference, verdict)
        yield Error(f"{each.difference}; {each.used_by}", hint=each.way_out, obj=where, id=code)
    if not breaking and not verdict.fresh:
        added = "; ".join(str(difference) for difference in verdict.differences) or "other descriptions"
        what = "is missing" if verdict.missing else f"does not say yet: {added}"
        yield Error(f"{verdict.path} {what}", hint=f"Write and commit it: {WRITE}", obj=here, id="contracts.E006")


def _unmade(what: str, where: Place | None = None) -> CheckMessage:
    hint = "Publish plain values: str, int, bool, UUID, datetime, tuples, dicts, and frozen structs of them."
    return Error(what, hint=hint if where else "Correct it: nothing is compared.", obj=where, id="contracts.E008")
