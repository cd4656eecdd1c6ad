"""Large open transactions: at their commit the other side follows late, and a switch in that moment leaves no home.

It need not have written to the module: the stream reads all that its database writes. How much one transaction has
written no view says. But the slot keeps the log from the beginning of the oldest that is open, as soon as the server
has noted who is: what it keeps is what that one wrote, and what was written beside it.
"""

import time
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection

from extraction.cutover.copies import require_heard
from extraction.cutover.errors import Busy
from extraction.cutover.sessions import queries, session
from extraction.replicate.pair import Pair, Side

LARGE_BYTES = 64 * 2**20
"""What the server decodes in memory (logical_decoding_work_mem); more is sent or kept on disk before its commit."""
OLD_S = 1.0
"""A transaction that is younger cannot have written as much."""
NOTED_WITHIN_S = 1.0
AGAIN_S = 0.05


class _Writer(NamedTuple):
    who: str
    role: str
    application: str
    age_s: float
    is_here: bool
    """In the module's database: what others write is skipped."""
    end: str
    """The statement that ends it."""


def require_small(pair: Pair, home: Connection[Any], side: Side, *, command: str) -> None:
    """Raise Busy while a transaction of the home's database is open that may be large. Holds nobody up.

    Raises Copied and Away too: before it writes a heartbeat it asks whether either side is a copy.
    """
    is_asked = False
    slot = {"slot": (pair.out if side is pair.source else pair.back).name}
    end = time.monotonic() + NOTED_WITHIN_S
    while True:
        writers = [_Writer(*row) for row in home.execute(queries("old_writers"), {"old_s": OLD_S}).fetchall()]
        ours = [writer for writer in writers if writer.is_here]
        (kept,) = home.execute(queries("kept"), slot).fetchone() or (0,)
        # Where one elsewhere is older, what is kept is shared out by age.
        written = (
            (kept or 0)
            * max((writer.age_s for writer in ours), default=0)
            / max((writer.age_s for writer in writers), default=1)
        )
        if written <= LARGE_BYTES:
            return
        if time.monotonic() > end:
            break
        if not is_asked:
            _require_originals(pair, home, side, command)
            is_asked = True
        with suppress(psycopg.errors.InsufficientPrivilege):  # the server does it by itself every 15 s
            home.execute(queries("note_open_transactions"))
        home.execute(pair.objects.query("beat"))
        time.sleep(AGAIN_S)
    sessions = "; ".join(
        f"{writer.who} of {writer.role} ({writer.application or 'unnamed'}, open for {writer.age_s:.0f} s)"
        for writer in ours[:3]
    )
    raise Busy(
        f"a large transaction is open in the database of {side.unit}: up to {written / 2**20:.0f} MB by {sessions}; at "
        f"its commit {pair.module} would have no home until the other side has read it. Let it end, or end it with "
        f"{ours[0].end}; then run: {command}"
    )


def _require_originals(pair: Pair, home: Connection[Any], side: Side, command: str) -> None:
    other = pair.other(side.unit)
    with session(pair, other, command=command) as elsewhere:
        require_heard(pair, side.unit, own=home, seen=elsewhere)
        require_heard(pair, other.unit, own=elsewhere, seen=home)
