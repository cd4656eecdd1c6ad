"""A deploy on this machine: new processes beside the old, and the old ones end when the new ones have taken over."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import psutil

from extraction.deploys.records import Deploy, Outcome, record
from extraction.platform.errors import PlatformError
from extraction.platform.local.ports import free_port
from extraction.platform.protocol import Tell
from extraction.route.errors import RouteError
from shop import edge
from shop.machine import Machine
from shop.records import Unit

DEPLOYS = "deploys.jsonl"
DRAIN_S = 15.0
"""As long as the edge lets a request take."""


def roll_out(machine: Machine, name: str, *, tell: Tell) -> Deploy:
    """Replace the unit's processes by a new release, from the code and the variables as they are now.

    A release that does not start is an outcome: the former one goes on. Raises PlatformError when there is nothing to
    replace or another deploy of the unit is under way.
    """
    machine.records.get(name)
    with machine.alone(name):
        old = machine.records.get(name)
        if old.stage != "started":
            raise PlatformError(f"the unit {name} was not started yet; go on with: extract provision {name}")
        _settle(machine, old)
        new = old.next(port=free_port())
        began_at, began = datetime.now(UTC), time.monotonic()
        outcome: Outcome = "done"
        reason = ""
        try:
            _replace(machine, old, new, tell)
        except (PlatformError, RouteError) as error:
            outcome, reason = "failed", str(error)
            machine.records.keep(old)
            machine.end([*new.processes])
        return record(
            Deploy(
                unit=name,
                release=new.release,
                modules=new.modules,
                began_at=began_at,
                ended_at=datetime.now(UTC),
                seconds=round(time.monotonic() - began, 3),
                units_restarted=1,
                modules_restarted=len(new.modules),
                outcome=outcome,
                reason=reason,
            ),
            machine.state / DEPLOYS,
        )


def _settle(machine: Machine, unit: Unit) -> None:
    """What a deploy that was killed left: requests go to the release on record, and the other one ends."""
    at = (edge.endpoint(unit),)
    if machine.envoy().routing().units.get(unit.name) != at:
        machine.envoy().change(lambda routing: routing.with_unit(unit.name, *at))
    left = replace(unit, second=not unit.second)
    if set(left.processes) & set(machine.supervisor.pids()):
        machine.end([*left.processes])


def _replace(machine: Machine, old: Unit, new: Unit, tell: Tell) -> None:
    tell(f"Release {new.release} of {new.name} starts beside {old.release}")
    # It reads its imports while the migrations run, and opens its port when they are done.
    migrated = machine.supervisor.run / f"{new.web}.migrated"
    migrated.unlink(missing_ok=True)
    machine.start_web(new, wait_for=migrated)
    machine.migrate(new.name)
    migrated.touch()
    machine.start_workers(new)
    machine.wait_for_web(new)
    machine.wait_for_workers(new)
    tell("Requests go to it")
    machine.envoy().change(lambda routing: routing.with_unit(new.name, edge.endpoint(new)))
    machine.records.keep(new)
    tell(f"Release {old.release} finishes what it began")
    _drain(old.port)
    machine.end([*old.processes])


def _drain(port: int) -> None:
    """Return when nobody is connected to this port any more, or the time for a request is over."""
    end = time.monotonic() + DRAIN_S
    while _connected(port) and time.monotonic() < end:
        time.sleep(0.02)


def _connected(port: int) -> bool:
    return any(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr and connection.laddr.port == port
        for connection in psutil.net_connections("tcp")
    )
