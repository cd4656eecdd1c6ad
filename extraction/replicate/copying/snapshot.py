"""The slot of a stream and the snapshot with which it begins, held by a process of its own."""

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from extraction.platform.protocol import Tell
from extraction.replicate.copying.queries import coordinator_of, copying, holder_of
from extraction.replicate.errors import Blocked, NoStream
from extraction.replicate.pair import Pair
from extraction.replicate.queries import replicate
from extraction.replicate.slots import drop_slots

POLL_S, TELL_S = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the slot sends begins at `point`; the snapshot shows what was before, while the session lives."""

    name: str
    pid: int
    since: str
    point: str
    keep_s: float
    """How long it is held while nobody copies."""

    def is_held(self, source: Connection[Any]) -> bool:
        """Asked after it was taken up it proves that it was this one."""
        found = source.execute(copying("is_held"), {"pid": self.pid, "since": self.since}).fetchone()
        return bool(found and found[0])


def make_snapshot(pair: Pair, source: Connection[Any], *, keep_s: float, timeout_s: float, tell: Tell) -> Snapshot:
    """A new slot of the stream out, which waits for transactions of the whole server. Raises Blocked, NoStream."""
    end_sessions(source, holder_of(pair))
    drop_slots(pair.out, source, copying=None, timeout_s=timeout_s)
    given = {
        "url": pair.source.url,
        "slot": pair.out.name,
        "holder": holder_of(pair),
        "coordinator": coordinator_of(pair),
        "keep_s": keep_s,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "extraction.replicate.copying.holder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
        cwd="/",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as asked, process.stdout as answered:
        # By its input: the URL holds a password, and everybody may read arguments.
        asked.write(json.dumps(given).encode() + b"\n")
        asked.flush()
        process.wait()  # it goes on as a child of nobody
        answer = _answer(pair, source, answered.fileno(), timeout_s, tell)
    if "error" in answer:
        raise NoStream(
            f"the server of {pair.source.unit} does not begin a stream ({answer['error']}); mend that and run: "
            f"manage.py extract replicate {pair.module}"
        )
    return Snapshot(**answer)


def end_sessions(connection: Connection[Any], *names: str, timeout_s: float = 10.0) -> None:
    """End the sessions of these names in this database; returns when they are gone. Raises Blocked."""
    end = time.monotonic() + timeout_s
    while connection.execute(copying("end_sessions"), {"names": list(names)}).fetchall():
        if time.monotonic() > end:
            raise Blocked(f"sessions named {', '.join(names)} do not end; run the command again")
        time.sleep(POLL_S)


def _answer(pair: Pair, source: Connection[Any], answered: int, timeout_s: float, tell: Tell) -> dict[str, Any]:
    end, told_at = time.monotonic() + timeout_s, time.monotonic()
    text = b""
    while not text.endswith(b"\n"):
        if select.select([answered], [], [], POLL_S)[0]:
            part = os.read(answered, 65536)
            if not part:
                return {"error": "the process that was to hold the snapshot ended"}
            text += part
            continue
        if time.monotonic() > end:
            end_sessions(source, holder_of(pair))
            drop_slots(pair.out, source, copying=None, timeout_s=timeout_s)
            raise Blocked(
                f"a transaction that was open kept {pair.out.name} from beginning for {timeout_s:g} s: "
                f"{_writer(source)}; let it end, or end it with SELECT pg_terminate_backend(pid), and run: "
                f"manage.py extract replicate {pair.module}"
            )
        if time.monotonic() > told_at + TELL_S:
            told_at = time.monotonic()
            tell(f"waiting for transactions that are open: {_writer(source)}")
    answer: dict[str, Any] = json.loads(text)
    return answer


def _writer(source: Connection[Any]) -> str:
    found = source.execute(replicate("oldest_writer")).fetchone()
    return f"pid {found[0]} of {found[1]} writes since {found[2]:.0f} s" if found else "none any more"
