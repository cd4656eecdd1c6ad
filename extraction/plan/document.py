"""A plan as one JSON object."""

from dataclasses import asdict
from typing import Any

from extraction.plan.plan import Plan
from extraction.plan.text import following


def document_of(plan: Plan) -> dict[str, Any]:
    """What the command prints with --json."""
    return {
        "module": plan.module.name,
        "unit": plan.unit,
        "home": plan.home or plan.unit,
        "server": plan.server,
        "verdict": asdict(plan.verdict),
        "moves": None
        if plan.moves is None
        else {**asdict(plan.moves), "rows": plan.moves.rows, "bytes": plan.moves.bytes},
        "rates": None if plan.rates is None else asdict(plan.rates),
        "estimates": None if plan.estimates is None else asdict(plan.estimates),
        "obstacles": None if plan.obstacles is None else [asdict(one) for one in plan.obstacles],
        "keys": [
            {
                "field": key.name,
                "to": key.to._meta.label,
                "is_outgoing": key.is_outgoing,
                "place": str(key.place) if key.place else None,
            }
            for key in plan.keys
        ],
        "staircase": [asdict(step) for step in plan.steps],
        "coupling": None if plan.coupling is None else {**asdict(plan.coupling), "share": plan.coupling.share},
        "skipped": list(plan.skipped),
        "next": following(plan),
    }
