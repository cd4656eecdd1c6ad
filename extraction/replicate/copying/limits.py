"""What the first copy may take of the machines, and for how long its snapshot is kept."""

import math
import os
from dataclasses import dataclass

MOST_WORKERS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Raises ValueError, whose message names the option."""

    workers: int = min(4, os.cpu_count() or 1)
    max_mb_s: float = 0.0
    """Of text, over all workers; 0 is any rate."""
    max_lag_mb: float = 1024.0
    """How much further than at the beginning others who read a server's log may fall behind."""
    keep_snapshot_s: float = 3600.0
    """For how long nobody may copy before the snapshot is given up."""
    chunk_bytes: int = 64 * 2**20
    """Larger tables are copied in parts, of about so much on the source's disk."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MOST_WORKERS:
            raise ValueError(f"--workers takes 1 to {MOST_WORKERS}")
        for option, given in (("--max-mb-s", self.max_mb_s), ("--max-lag-mb", self.max_lag_mb)):
            if not (math.isfinite(given) and given >= 0):
                raise ValueError(f"{option} takes MB, 0 or more")
        if not (math.isfinite(self.keep_snapshot_s) and self.keep_snapshot_s > 0):
            raise ValueError("--keep-snapshot-min takes minutes, more than 0")
