"""Both sides hold the same rows, proven while writers write; or the rows that differ, and how they are made equal."""

from extraction.cutover.verify.chunks import Chunk
from extraction.cutover.verify.compare import Difference, TableResult
from extraction.cutover.verify.ledger import Found, Ledger, Memory
from extraction.cutover.verify.repairing import Repaired, planned, repair
from extraction.cutover.verify.run import Sample, Verification, verify

__all__ = [
    "Chunk",
    "Difference",
    "Found",
    "Ledger",
    "Memory",
    "Repaired",
    "Sample",
    "TableResult",
    "Verification",
    "planned",
    "repair",
    "verify",
]
