"""Part the databases of a migration, so that nothing of it stays on the side where the module lives."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.platform.database import connect
from extraction.platform.errors import ServerUnreachable
from extraction.replicate.copying.copy import clear_source, clear_target
from extraction.replicate.ddl_guard import unguard
from extraction.replicate.errors import Blocked, NotHome
from extraction.replicate.fence import unfence
from extraction.replicate.pair import Pair, Side, Stream
from extraction.replicate.patience import TIMEOUT_S
from extraction.replicate.queries import replicate
from extraction.replicate.roles import drop_role, shut_out
from extraction.replicate.slots import copying_slots, drop_slots
from extraction.replicate.subscriptions import drop_subscription

Admin = Connection[Any]


def remove(pair: Pair, *, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Take away all that `prepare`, `start` and `follow` made. Returns what is left, and where.

    The target keeps its fence: it is not home, and a request that was under way to it must not be written there, where
    nobody looks any more. A server that is away is left as it is, and named. Raises NotHome.
    """
    left: list[str] = []
    with ExitStack() as stack:
        admins: dict[str, Admin] = {}
        for side in (pair.source, pair.target):
            try:
                admins[side.unit] = stack.enter_context(connect(side.url))
            except ServerUnreachable as error:
                left.append(_left_behind(pair, side, error))
        _require_source_is_home(pair, admins)
        left += take_streams_away(pair, admins, timeout_s=timeout_s)
        if pair.source.unit in admins:
            left += _tried(_open, pair, pair.back, admins[pair.source.unit], timeout_s)
    return left


def take_streams_away(pair: Pair, admins: dict[str, Admin], *, timeout_s: float = TIMEOUT_S) -> list[str]:
    """All but the fence, on the sides that these connections reach, by unit. Returns what is left, and where."""
    left: list[str] = []
    for admin in admins.values():
        left += _tried(_let_change, pair, pair.out, admin, timeout_s)
    for stream in (pair.out, pair.back):
        for side, part in ((stream.subscriber, _unsubscribe), (stream.publisher, _unpublish)):
            if side.unit in admins:
                left += _tried(part, pair, stream, admins[side.unit], timeout_s)
    return left


def _unsubscribe(pair: Pair, stream: Stream, subscriber: Admin, timeout_s: float) -> None:
    if stream == pair.out:
        clear_target(pair, subscriber)
    found = subscriber.execute(replicate("subscription"), {"subscription": stream.name}).fetchone()
    copying = "^$"
    if found is not None:
        copying = f"^pg_{found[0]}(_[0-9]+)?$"
        drop_subscription(stream, subscriber)
    origins = subscriber.execute(
        replicate("origins_like"), {"origin": f"{pair.name}_tool", "copying": copying}
    ).fetchall()
    for (origin,) in origins:
        subscriber.execute(replicate("drop_origin"), {"origin": origin})
    drop_role(pair, stream.writer, subscriber, timeout_s=timeout_s)


def _unpublish(pair: Pair, stream: Stream, publisher: Admin, timeout_s: float) -> None:
    if stream == pair.out:
        clear_source(pair, publisher)
    # First nobody may come again: a subscriber that we do not reach would reconnect between the steps.
    shut_out(stream.reader, publisher)
    noted = publisher.execute(replicate("noted_subscriber"), {"publication": stream.name}).fetchone()
    subscription, _, system = ((noted and noted[0]) or "").partition(" ")
    copying = copying_slots(int(subscription), system) if subscription.isdigit() else None
    drop_slots(stream, publisher, copying=copying, timeout_s=timeout_s)
    publisher.execute(replicate("drop_publication", publication=sql.Identifier(stream.name)))
    drop_role(pair, stream.reader, publisher, timeout_s=timeout_s)


def _let_change(pair: Pair, stream: Stream, admin: Admin, timeout_s: float) -> None:
    unguard(pair, admin, timeout_s=timeout_s)


def _open(pair: Pair, stream: Stream, source: Admin, timeout_s: float) -> None:
    unfence(pair, source, timeout_s=timeout_s)


def _tried(
    part: Callable[[Pair, Stream, Admin, float], None], pair: Pair, stream: Stream, admin: Admin, timeout_s: float
) -> list[str]:
    try:
        part(pair, stream, admin, timeout_s)
    except (Blocked, psycopg.Error) as error:
        return [f"{stream.name} at {admin.info.host}:{admin.info.port}/{admin.info.dbname}: {error}"]
    return []


def _require_source_is_home(pair: Pair, admins: dict[str, Admin]) -> None:
    for admin in admins.values():
        row = admin.execute(pair.objects.query("read")).fetchone()
        if row is not None and row[0] != pair.source.unit:
            raise NotHome(
                f"{pair.module} lives in {row[0]}, and what was written there would stay behind; first run: "
                f"manage.py extract rollback {pair.module}"
            )


def _left_behind(pair: Pair, side: Side, error: ServerUnreachable) -> str:
    own, other = (pair.out, pair.back) if side is pair.source else (pair.back, pair.out)
    closed = f", and the fence, with which it refuses writes of {pair.module}" if side is pair.source else ""
    return (
        f"the server of {side.unit} is away ({error}); it still has subscription {other.name}, slot and publication "
        f"{own.name}, roles {own.reader} and {other.writer}{closed}; when it is back, run: "
        f"manage.py extract abort {pair.module}"
    )
