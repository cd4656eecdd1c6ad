"""What it would take to move a module out, and whether to: read from the project, its history and its database."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from django.conf import settings

from extraction import project
from extraction.boundaries.keys import Key, keys_of, models_of
from extraction.deploys.records import Deploy, deploys_in
from extraction.placement.database import Objects
from extraction.plan.coupling import Coupling, coupling_of
from extraction.plan.errors import Elsewhere, Unknown
from extraction.plan.estimates import Estimates, estimates_of
from extraction.plan.obstacles import Found, obstacles_of
from extraction.plan.rates import Rates, rates_of, sees_others
from extraction.plan.sizes import Moves, moves_of
from extraction.plan.source import Source, source_of
from extraction.plan.staircase import staircase_of
from extraction.plan.steps import Step
from extraction.plan.verdict import Verdict, verdict_of
from extraction.project import Module


@dataclass(kw_only=True)
class Plan:
    module: Module
    unit: str
    """The one that it would leave."""
    home: str = ""
    """Where the module lives, if that is another."""
    server: str = ""
    """Version, database and role, as they answered; empty where nobody did."""
    moves: Moves | None = None
    rates: Rates | None = None
    estimates: Estimates | None = None
    obstacles: tuple[Found, ...] | None = None
    """None where they could not be looked for."""
    keys: tuple[Key, ...] = ()
    steps: tuple[Step, ...] = ()
    coupling: Coupling | None = None
    verdict: Verdict
    skipped: tuple[str, ...] = field(default=())
    """What could not be found out, and what to do about it."""


def plan_of(
    module: Module, *, watch_s: float, source_url: str = "", target_url: str = "", deploys_file: str = ""
) -> Plan:
    """Look at everything that can be had; what cannot is in `skipped`. Writes nothing. Takes `watch_s` and some."""
    skipped: list[str] = []
    server, home, moves, rates, estimates, obstacles = "", "", None, None, None, None
    keys = keys_of(module)
    with ExitStack() as stack:
        source: Source | None = None
        try:
            source = stack.enter_context(source_of(module, url=source_url))
            server = _server(source)
            moves = moves_of(source)
        except Unknown as error:
            skipped.append(f"the database of {module.name}: {error}")
            home = error.home if isinstance(error, Elsewhere) else ""
        if source is not None:
            rates = _rates(source, watch_s, skipped) if moves else None
            estimates = _estimates(source, moves, rates, skipped) if moves else None
            try:
                obstacles = obstacles_of(module, source_url=source.url, target_url=target_url)
            except Unknown as error:
                skipped.append(f"obstacles: {error}")
        steps = staircase_of(module, source, skipped=skipped)
    try:
        coupling = coupling_of(module)
    except Unknown as error:
        coupling = None
        skipped.append(f"changes together with others: {error}")
    verdict = verdict_of(
        keys=keys,
        tables=len(models_of(module)) or (len(moves.tables) if moves else 0),
        views=sum(len(step.why) for step in steps if step.code == "view"),
        moves=moves,
        rates=rates,
        coupling=coupling,
        deploys=_deploys(deploys_file, skipped),
        module=module.name,
        home=home,
        has_steps=any(step.is_required for step in steps),
        has_obstacles=any(found.severity == "blocks" for found in obstacles or ()),
    )
    return Plan(
        module=module,
        unit=project.unit(),
        home=home,
        server=server,
        moves=moves,
        rates=rates,
        estimates=estimates,
        obstacles=obstacles,
        keys=tuple(keys),
        steps=tuple(steps),
        coupling=coupling,
        verdict=verdict,
        skipped=tuple(skipped),
    )


def _server(source: Source) -> str:
    version, database, role, is_standby = source.one("of_server")
    module = source.module
    objects = Objects(module.name, module.schema)
    if source.one("has_placement", {"schema": module.schema, "placement": objects.placement})[0]:
        try:
            row = source.connection.execute(objects.query("read")).fetchone()
        except psycopg.Error:
            row = None
        if row and row[0] != project.unit():
            raise Elsewhere(module.name, row[0])
    standby = ", a standby that only reads" if is_standby else ""
    return f"PostgreSQL {version}, database {database}, as {role}{standby}"


def _rates(source: Source, watch_s: float, skipped: list[str]) -> Rates | None:
    try:
        if not sees_others(source):
            role = source.connection.info.user
            skipped.append(
                f"old transactions of other roles: {role} does not see them; as an administrator run: "
                f'GRANT pg_read_all_stats TO "{role}";'
            )
        return rates_of(source, watch_s=watch_s)
    except Unknown as error:
        skipped.append(f"write rate: {error}")
        return None


def _estimates(source: Source, moves: Moves, rates: Rates | None, skipped: list[str]) -> Estimates | None:
    try:
        return estimates_of(source, moves, rates)
    except Unknown as error:
        skipped.append(f"estimates: {error}")
        return None


def _deploys(file: str, skipped: list[str]) -> list[Deploy]:
    chosen = file or str(settings.EXTRACTION.get("deploys", ""))
    if not chosen:
        return []
    try:
        found = deploys_in(Path(chosen))
    except (OSError, ValueError, KeyError, TypeError) as error:
        skipped.append(f"deploys: {chosen}: {error}")
        return []
    if not found and file:
        skipped.append(f"deploys: {file} has none")
    return found
