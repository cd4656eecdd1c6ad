"""What is known of each deploy: one line of JSON in a file that is only added to."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """A unit's processes replaced by new ones."""

    unit: str
    release: str
    modules: tuple[str, ...]
    """Those whose code the unit runs."""
    began_at: datetime
    ended_at: datetime
    seconds: float
    units_restarted: int
    modules_restarted: int
    outcome: Outcome
    """After `failed` the former release still serves."""
    reason: str = ""
    """Why it failed."""


def record(deploy: Deploy, file: Path) -> Deploy:
    """Add it to the file, for good."""
    line = {**asdict(deploy), "began_at": deploy.began_at.isoformat(), "ended_at": deploy.ended_at.isoformat()}
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as output:
        output.write(f"{json.dumps(line)}\n")
        output.flush()
        os.fsync(output.fileno())
    return deploy


def deploys_in(file: Path) -> list[Deploy]:
    """Those on record, the oldest first; none where there is no file. A line that a kill cut off is left out."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return []
    return [deploy for line in lines if (deploy := _deploy(line)) is not None]


def _deploy(line: str) -> Deploy | None:
    try:
        known: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    times = {name: datetime.fromisoformat(known[name]) for name in ("began_at", "ended_at")}
    return Deploy(**{**known, **times, "modules": tuple(known["modules"])})
