"""Join the databases of a migration: each side fenced and published, and each subscribed to the other.

`prepare`, `start` and `follow` may each be killed at any moment and called again. The stream out begins with a copy;
the one back begins when that is done, without one, and waits for the day on which the module moves.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from extraction.platform.database import connect
from extraction.platform.protocol import Tell
from extraction.replicate.errors import NoStream, NotCopied, NotHome, Unfit
from extraction.replicate.fence import fence, tables
from extraction.replicate.pair import Pair, Stream
from extraction.replicate.patience import TIMEOUT_S, patiently
from extraction.replicate.prechecks import unfit_tables
from extraction.replicate.progress import Copying, Progress, Reconnecting, is_complete, progress
from extraction.replicate.queries import replicate
from extraction.replicate.roles import provide_publisher, provide_subscriber
from extraction.replicate.slots import make_slot

POLL_S = 0.1
TELL_S = 2.0


def prepare(pair: Pair, *, timeout_s: float = TIMEOUT_S) -> None:
    """Fences, publications and roles on both sides. Raises Unfit, Blocked, ServerUnreachable."""
    # Also the second time: a table that came since and has no key would refuse its writers once it is published.
    if unfit := unfit_tables(pair):
        raise Unfit(f"{'; '.join(map(str, unfit))}; then run: manage.py extract replicate {pair.module}")
    with ExitStack() as stack:
        # Target first: what is not home is closed before anything can arrive there.
        admin = {side.unit: stack.enter_context(connect(side.url)) for side in (pair.target, pair.source)}
        for connection in admin.values():
            fence(pair, connection, timeout_s=timeout_s)
        for stream in (pair.out, pair.back):
            provide_publisher(pair, stream, admin[stream.publisher.unit], timeout_s=timeout_s)
            provide_subscriber(pair, stream, admin[stream.subscriber.unit], timeout_s=timeout_s)


def start(pair: Pair, *, timeout_s: float = TIMEOUT_S) -> None:
    """Begin to copy, or to copy tables that came since. Raises Blocked, NotHome, NoStream, ServerUnreachable."""
    _join(pair, pair.out, before=_empty_target, copy_data=sql.SQL("true"), timeout_s=timeout_s)


def follow(
    pair: Pair,
    *,
    tell: Tell,
    timeout_s: float = 3600.0,
    watch: Callable[[Progress], None] = lambda now: None,
) -> Progress:
    """Wait until all is copied, begin the stream back, and wait until both sides follow each other.

    `watch` sees the progress ten times a second. Raises NotCopied, and what `start` raises.
    """
    end, told_at = time.monotonic() + timeout_s, -TELL_S
    while not (now := progress(pair)).is_copied:
        watch(now)
        if time.monotonic() > told_at + TELL_S:
            told_at = time.monotonic()
            tell(now.sentence())
        if time.monotonic() > end:
            raise NotCopied(
                f"{now.sentence()} after {timeout_s:g} s; the copy goes on by itself: "
                f"manage.py extract replicate {pair.module}"
            )
        time.sleep(POLL_S)
    watch(now)
    tell(now.sentence())
    _join(pair, pair.back, before=lambda *_: None, copy_data=sql.SQL("false"), timeout_s=max(end - time.monotonic(), 1))
    while reasons := is_complete(pair):
        watch(now)
        if lasting := [reason for reason in reasons if not isinstance(reason, Copying | Reconnecting)]:
            raise NoStream(f"{'; '.join(lasting)}; look again: manage.py extract replicate {pair.module}")
        if time.monotonic() > told_at + TELL_S:
            told_at = time.monotonic()
            tell("; ".join(reasons))
        if time.monotonic() > end:
            raise NotCopied(f"{'; '.join(reasons)}; look again: manage.py extract replicate {pair.module}")
        time.sleep(POLL_S)
    return progress(pair)


def _join(
    pair: Pair,
    stream: Stream,
    *,
    before: Callable[[Pair, Connection[Any], list[str], float], None],
    copy_data: sql.SQL,
    timeout_s: float,
) -> None:
    """Subscribe, unless that is done, and to the tables that came since."""
    with connect(stream.publisher.url) as publisher, connect(stream.subscriber.url) as subscriber:
        found = _subscription(stream, subscriber)
        if found is None:
            _require_source_is_home(pair)
            before(pair, subscriber, [], timeout_s)
            make_slot(stream, publisher, timeout_s=timeout_s)
            _subscribe(pair, stream, publisher, copy_data)
            found = _subscription(stream, subscriber)
        published = publisher.execute(replicate("publication"), {"publication": stream.name}).fetchone()
        if found is None or published is None:
            raise NoStream(f"{stream.name} is taken away again; run: manage.py extract replicate {pair.module}")
        subscription, system, subscribed = found
        if missing := sorted(set(published[0]) - set(subscribed)):
            _require_source_is_home(pair)
            if with_rows := [table for table in missing if _has_rows(pair, subscriber, table)]:
                before(pair, subscriber, with_rows, timeout_s)
            refresh = replicate("refresh_subscription", subscription=sql.Identifier(stream.name), copy_data=copy_data)
            subscriber.execute(refresh)
        note = sql.Literal(f"{subscription} {system}")
        publisher.execute(replicate("note_subscriber", publication=sql.Identifier(stream.name), note=note))


def _subscription(stream: Stream, subscriber: Connection[Any]) -> Any:
    return subscriber.execute(replicate("subscription"), {"subscription": stream.name}).fetchone()


def _subscribe(pair: Pair, stream: Stream, publisher: Connection[Any], copy_data: sql.SQL) -> None:
    """Make the subscription as its owner, with a password that nobody else learns and nothing logs."""
    password = secrets.token_urlsafe(32)
    verifier = publisher.pgconn.encrypt_password(password.encode(), stream.reader.encode(), b"scram-sha-256").decode()
    publisher.execute(replicate("set_password", role=sql.Identifier(stream.reader), verifier=sql.Literal(verifier)))
    statement = replicate(
        "make_subscription",
        subscription=sql.Identifier(stream.name),
        publication=sql.Identifier(stream.name),
        conninfo=sql.Literal(_conninfo(stream, password)),
        slot=sql.Literal(stream.name),
        copy_data=copy_data,
        streaming=sql.SQL("parallel"),
    )
    with connect(stream.subscriber.url) as quiet:
        quiet.execute(replicate("hide_password"))
        rights = {"role": sql.Identifier(stream.writer), "database": sql.Identifier(quiet.info.dbname)}
        try:
            with quiet.transaction():
                quiet.execute(replicate("let_subscribe", **rights))
                quiet.execute(statement)
                quiet.execute(replicate("no_longer_subscribe", **rights))
        except psycopg.Error as error:
            # Without its cause, whose text shows the statement.
            raise NoStream(
                f"the server of {stream.subscriber.unit} does not subscribe to {stream.publisher.unit} "
                f"({error.diag.message_primary or type(error).__name__}); mend that and run: "
                f"manage.py extract replicate {pair.module}"
            ) from None


def _conninfo(stream: Stream, password: str) -> str:
    """How the subscriber's server reaches the publisher's: as we do, but as the reader."""
    given = conninfo_to_dict(stream.publisher.url)
    kept = {name: value for name, value in given.items() if name not in ("passfile", "service", "options")}
    login = {"user": stream.reader, "password": password, "application_name": stream.name}
    return make_conninfo("", **{**kept, **login})


def _require_source_is_home(pair: Pair) -> None:
    """A stream begins only while the target accepts no write. Raises NotHome."""
    rows = []
    for side in (pair.source, pair.target):
        with connect(side.url) as admin:
            rows.append(admin.execute(pair.objects.query("read")).fetchone())
    source, target = rows
    if not source or not target or {source[0], target[0]} != {pair.source.unit} or target[1] > source[1]:
        raise NotHome(
            f"{pair.module} has to live in {pair.source.unit} on both sides while a stream begins; the rows say "
            f"{source} and {target}; see: manage.py extract status {pair.module}"
        )


def _has_rows(pair: Pair, subscriber: Connection[Any], table: str) -> bool:
    query = replicate("has_rows", table=sql.Identifier(pair.schema, table))
    return subscriber.execute(query).fetchone() is not None


def _empty_target(pair: Pair, target: Connection[Any], only: list[str], timeout_s: float) -> None:
    """Take away what a copy that was broken off has left, or what migrations put into tables that came since.

    There is no subscription to them, so nothing follows from it.
    """
    names = only or [*tables(pair, target), pair.objects.heartbeat]
    found = [sql.Identifier(pair.schema, table) for table in names]
    statements = (
        [replicate("empty_table", table=table) for table in found]
        if only
        else [replicate("empty_tables", tables=sql.SQL(", ").join(found))]
    )
    origin = {"origin": f"{pair.name}_tool"}
    if target.execute(replicate("origins_like"), {**origin, "copying": "^$"}).fetchone() is None:
        target.execute(replicate("make_origin"), origin)

    def empty() -> None:
        target.execute(replicate("as_replication"))
        for statement in statements:
            target.execute(statement)

    target.execute(replicate("take_origin"), origin)
    try:
        patiently(target, empty, schema=pair.schema, timeout_s=timeout_s)
    finally:
        target.execute(replicate("leave_origin"))
    target.execute(replicate("drop_origin"), origin)  # an idle one takes one of the server's places
