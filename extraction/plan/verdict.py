"""Extract it or not: rules with a figure and a threshold each. docs/plan.md gives the reasons of the thresholds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from extraction.boundaries.keys import Key
from extraction.deploys.records import Deploy
from extraction.plan.coupling import Coupling
from extraction.plan.rates import Rates
from extraction.plan.sizes import Moves

Word = Literal["extract", "extract after the staircase", "do not extract", "has moved"]

KEYS_PER_TABLE = 2.0
CO_CHANGE_SHARE = 0.5
LEAST_COMMITS = 20
SPANNING_PER_TABLE = 1.0
TINY_ROWS = 10_000
LEAST_WRITE_SHARE = 0.01
LEAST_ROWS_SEEN = 1_000
DOUBTS = 2
"""So many doubts together are a no; one is a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    weight: Literal["decides", "doubt"]
    speaks_against: bool | None
    """None where it could not be judged; `figure` says why."""
    figure: str
    threshold: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    word: Word
    reason: str
    rules: tuple[Rule, ...]
    evidence: tuple[str, ...]
    """What is known beside, which decides nothing."""


def verdict_of(
    *,
    keys: list[Key],
    tables: int,
    views: int,
    moves: Moves | None,
    rates: Rates | None,
    coupling: Coupling | None,
    deploys: list[Deploy],
    module: str,
    home: str,
    has_steps: bool,
    has_obstacles: bool,
) -> Verdict:
    """`home`: where it lives if it has moved. `has_steps`, `has_obstacles`: what `extract` requires to be gone."""
    rules = (
        _keys(keys, tables),
        _co_change(coupling),
        _spanning(keys, views, tables),
        _idle(moves, rates),
        _load(rates),
    )
    against = [rule for rule in rules if rule.speaks_against]
    decisive = [rule for rule in against if rule.weight == "decides"]
    word: Word
    if home:
        word, reason = "has moved", f"it lives in {home}"
    elif decisive or len(against) >= DOUBTS:
        word, reason = "do not extract", "; ".join(rule.name for rule in (decisive or against))
    elif has_steps:
        word, reason = "extract after the staircase", "the required steps come first"
    else:
        word, reason = "extract", "no rule speaks against it" if not against else f"with one doubt: {against[0].name}"
        if moves is None:
            reason += ", as far as the code shows: its database was not read"
        if has_obstacles:
            reason += "; mend the obstacles first"
    return Verdict(word=word, reason=reason, rules=rules, evidence=tuple(_evidence(coupling, deploys, module=module)))


def _keys(keys: list[Key], tables: int) -> Rule:
    count = len(keys)
    out = sum(key.is_outgoing for key in keys)
    return Rule(
        name="many keys across",
        weight="doubt",
        speaks_against=count / tables > KEYS_PER_TABLE if tables else None,
        figure=f"{out} out and {count - out} in, {count / tables:.2f} per table" if tables else "it has no tables",
        threshold=f"more than {KEYS_PER_TABLE:g} per table",
        because="each becomes a plain id, and its joins and checks become calls",
    )


def _co_change(coupling: Coupling | None) -> Rule:
    rule = {
        "name": "changed together with others",
        "weight": "decides",
        "threshold": f"more than {CO_CHANGE_SHARE:.0%} of at least {LEAST_COMMITS} commits",
        "because": "what changes together would be two deploys in step instead of one",
    }
    if coupling is None:
        return Rule(speaks_against=None, figure="not known, see what was left out", **rule)  # type: ignore[arg-type]
    if coupling.commits < LEAST_COMMITS:
        figure = f"{coupling.shared} of {coupling.commits} commits: too few to judge"
        return Rule(speaks_against=None, figure=figure, **rule)  # type: ignore[arg-type]
    share = coupling.share or 0.0
    figure = f"{coupling.shared} of {coupling.commits} commits touch another module too, {share:.0%}"
    return Rule(speaks_against=share > CO_CHANGE_SHARE, figure=figure, **rule)  # type: ignore[arg-type]


def _spanning(keys: list[Key], views: int, tables: int) -> Rule:
    cascades = sum(key.is_cascade for key in keys)
    count = cascades + views
    return Rule(
        name="transactions across",
        weight="doubt",
        speaks_against=count / tables > SPANNING_PER_TABLE if tables else None,
        figure=f"{cascades} cascades and {views} views, {count / tables:.2f} per table" if tables else "no tables",
        threshold=f"more than {SPANNING_PER_TABLE:g} per table",
        because="what is one transaction today becomes a saga that can stop half way",
    )


def _idle(moves: Moves | None, rates: Rates | None) -> Rule:
    known = moves is not None and rates is not None
    figure = "not known: its database was not read"
    if moves is not None and rates is not None:
        since = f"since {rates.written_since:%Y-%m-%d}" if rates.written_since else "since the server was made"
        figure = f"{moves.rows:,} rows, {rates.written_ever:,} written {since}"
    return Rule(
        name="nothing to gain",
        weight="doubt",
        speaks_against=(moves.rows < TINY_ROWS and rates.written_ever == 0) if known and moves and rates else None,
        figure=figure,
        threshold=f"under {TINY_ROWS:,} rows and never written",
        because="a table that is small and only read costs the monolith nothing, and a service its upkeep",
    )


def _load(rates: Rates | None) -> Rule:
    is_known = rates is not None and rates.share is not None and rates.server_rows_seen >= LEAST_ROWS_SEEN
    if rates is None:
        figure = "not known: its database was not read"
    elif not is_known:
        figure = f"{rates.server_rows_seen:,} rows written in {rates.watched_s:g} s: too few to judge"
    else:
        figure = f"{rates.share:.1%} of {rates.server_rows_seen:,} rows written in {rates.watched_s:g} s"
    return Rule(
        name="little load leaves with it",
        weight="doubt",
        speaks_against=rates.share < LEAST_WRITE_SHARE if is_known and rates and rates.share is not None else None,
        figure=figure,
        threshold=f"under {LEAST_WRITE_SHARE:.0%} of at least {LEAST_ROWS_SEEN:,} rows",
        because="the server that stays has as much to do as before",
    )


def _evidence(coupling: Coupling | None, deploys: list[Deploy], *, module: str) -> Iterator[str]:
    if coupling is not None and coupling.commits:
        partners = ", ".join(f"{name} {count}" for name, count in coupling.with_others[:5]) or "none"
        yield f"Commits that changed others too, by module: {partners}."
        yield f"{coupling.authors} people changed it, {coupling.authors_elsewhere} of them others in the same commit."
        if coupling.left_out:
            yield f"{coupling.left_out} commits with very many files were left out."
    own = [deploy for deploy in deploys if module in deploy.modules]
    if own:
        failed = sum(deploy.outcome == "failed" for deploy in own)
        seconds = sorted(deploy.seconds for deploy in own)[len(own) // 2]
        restarted = sum(deploy.modules_restarted for deploy in own) / len(own)
        yield (
            f"{len(own)} deploys on record carried it, {failed} failed; half of them took over {seconds:.1f} s, and "
            f"each restarted {restarted:.1f} modules."
        )
