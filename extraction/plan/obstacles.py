"""What stands in the way of replication, as `provision` will say it: each once."""

from dataclasses import dataclass

import psycopg

from extraction import project
from extraction.plan.errors import Unknown
from extraction.platform.errors import PlatformError
from extraction.project import Module
from extraction.replicate.pair import Pair, Side
from extraction.replicate.prechecks import obstacles

SEVERITIES = ("blocks", "decide", "note")


@dataclass(frozen=True, slots=True)
class Found:
    code: str
    unit: str
    """On whose side."""
    severity: str
    what: str
    why: str
    mend: str


def obstacles_of(module: Module, *, source_url: str, target_url: str) -> tuple[Found, ...]:
    """The worst first. Without a target, those that the source alone shows. Raises Unknown."""
    pair = Pair(
        id="plan",
        module=module.name,
        schema=module.schema,
        source=Side(unit=project.unit(), url=source_url),
        target=Side(unit=module.name, url=target_url),
        only=project.tables(module.name),
    )
    try:
        found = [Found(one.code, one.unit, one.severity, one.what, one.why, one.mend) for one in obstacles(pair)]
    except (PlatformError, psycopg.Error) as error:
        raise Unknown(str(error).splitlines()[0]) from error
    return tuple(sorted(dict.fromkeys(found), key=lambda one: SEVERITIES.index(one.severity)))
