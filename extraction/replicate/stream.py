"""Join the databases of a migration: each side fenced and published, and each subscribed to the other.

`prepare`, `start` and `follow` may each be killed at any moment and called again. The stream out begins where the
snapshot of the first copy ends; the one back begins when that is done, and waits for the day on which the module moves.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from extraction.platform.database import connect
from extraction.platform.protocol import Tell
from extraction.replicate.copying.copy import Copied, clear_source, clear_target, copy
from extraction.replicate.copying.limits import Limits
from extraction.replicate.copying.queries import copying
from extraction.replicate.emptying import empty
from extraction.replicate.errors import NoStream, NotCopied, NotHome, Unfit
from extraction.replicate.fence import fence
from extraction.replicate.pair import Pair, Stream
from extraction.replicate.patience import TIMEOUT_S
from extraction.replicate.prechecks import unfit_tables
from extraction.replicate.progress import Copying, Progress, Reconnecting, beat, has_arrived, is_complete, progress
from extraction.replicate.queries import replicate
from extraction.replicate.renewing import part_lost_stream, require_leads_home
from extraction.replicate.roles import provide_publisher, provide_subscriber
from extraction.replicate.slots import knows_failover, make_slot

POLL_S = 0.1
TELL_S = 2.0
LOOK_S = 0.5


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


def start(
    pair: Pair,
    *,
    limits: Limits = Limits(),  # noqa: B008
    watch: Callable[[Progress], None] = lambda now: None,
    tell: Tell = lambda sentence: None,
    timeout_s: float = TIMEOUT_S,
) -> Copied:
    """Copy all rows and begin the stream, or go on with that, or begin to copy tables that came since.

    `watch` sees the progress some times a second and may raise to stop. `timeout_s` is for locks and open transactions,
    not for the copy. Raises Blocked, NotHome, NoStream, NotCopied, ServerUnreachable.
    """

    copied = Copied()

    def begin(publisher: Connection[Any], subscriber: Connection[Any]) -> None:
        nonlocal copied
        copied = copy(pair, limits, watch=_Seen(pair, watch), tell=tell, timeout_s=timeout_s)
        published = publisher.execute(replicate("publication"), {"publication": pair.out.name}).fetchone()
        # Tables that came meanwhile, or were rewritten, are published again below and then copied by the subscription.
        tables = [sql.Identifier(pair.schema, table) for table in copied.tables if published and table in published[0]]
        publisher.execute(
            replicate("set_publication", publication=sql.Identifier(pair.out.name), tables=sql.SQL(", ").join(tables))
        )
        _subscribe(pair, pair.out, publisher)
        provide_publisher(pair, pair.out, publisher, timeout_s=timeout_s)

    _join(pair, pair.out, begin=begin, before=empty, copy_data=sql.SQL("true"), timeout_s=timeout_s)
    with connect(pair.source.url) as source, connect(pair.target.url) as target:
        clear_source(pair, source)
        clear_target(pair, target)
    return copied


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
    command = f"manage.py extract replicate {pair.module}"
    while not (now := progress(pair)).is_copied:
        watch(now)
        if time.monotonic() > told_at + TELL_S:
            told_at = time.monotonic()
            tell(now.sentence())
        if time.monotonic() > end:
            raise NotCopied(f"{now.sentence()} after {timeout_s:g} s; it goes on by itself: {command}")
        time.sleep(POLL_S)
    watch(now)
    tell(now.sentence())
    left_s = max(end - time.monotonic(), 1)

    def begin(publisher: Connection[Any], subscriber: Connection[Any]) -> None:
        make_slot(pair.back, publisher, timeout_s=left_s)
        _subscribe(pair, pair.back, publisher)

    _join(pair, pair.back, begin=begin, before=lambda *_: None, copy_data=sql.SQL("false"), timeout_s=left_s)
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
    # What was written during the copy may take as long again.
    last = beat(pair, pair.out)
    while not has_arrived(pair, pair.out, last):
        watch(now := progress(pair))
        if time.monotonic() > told_at + TELL_S:
            told_at = time.monotonic()
            tell(now.sentence())
        if time.monotonic() > end:
            raise NotCopied(f"{now.sentence()} after {timeout_s:g} s; it goes on by itself: {command}")
        time.sleep(POLL_S)
    return progress(pair)


def renew_out(pair: Pair, *, timeout_s: float = TIMEOUT_S) -> None:
    """Begin a lost stream out again while the target is home. Raises NotHome, Blocked, NoStream, ServerUnreachable."""
    stream = pair.out
    part_lost_stream(pair, stream)
    with connect(stream.publisher.url) as publisher, connect(stream.subscriber.url) as subscriber:
        if _subscription(stream, subscriber) is None:
            require_leads_home(pair, stream, publisher, subscriber)
            make_slot(stream, publisher, timeout_s=timeout_s)
            _subscribe(pair, stream, publisher)


def _join(
    pair: Pair,
    stream: Stream,
    *,
    begin: Callable[[Connection[Any], Connection[Any]], None],
    before: Callable[[Pair, Connection[Any], list[str], float], None],
    copy_data: sql.SQL,
    timeout_s: float,
) -> None:
    """Subscribe, unless that is done, and to the tables that came since."""
    with connect(stream.publisher.url) as publisher, connect(stream.subscriber.url) as subscriber:
        found = _subscription(stream, subscriber)
        if found is None:
            _require_source_is_home(pair)
            begin(publisher, subscriber)
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


def _subscribe(pair: Pair, stream: Stream, publisher: Connection[Any]) -> None:
    """Subscribe to what is copied, as the subscription's owner, with a password that nobody learns and nothing logs."""
    password = secrets.token_urlsafe(32)
    verifier = publisher.pgconn.encrypt_password(password.encode(), stream.reader.encode(), b"scram-sha-256").decode()
    publisher.execute(replicate("set_password", role=sql.Identifier(stream.reader), verifier=sql.Literal(verifier)))
    with connect(stream.subscriber.url) as quiet:
        statement = replicate(
            "make_subscription",
            subscription=sql.Identifier(stream.name),
            publication=sql.Identifier(stream.name),
            conninfo=sql.Literal(_conninfo(stream, password)),
            slot=sql.Literal(stream.name),
            copy_data=sql.SQL("false"),
            streaming=sql.SQL("parallel"),
            failover=sql.SQL(", failover = true" if knows_failover(publisher) and knows_failover(quiet) else ""),
        )
        quiet.execute(replicate("hide_password"))
        quiet.execute(copying("without_limits"))
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


class _Seen:
    """Looks at the progress twice a second, for who is called more often."""

    def __init__(self, pair: Pair, watch: Callable[[Progress], None]) -> None:
        self._pair, self._watch, self._now, self._looked_at = pair, watch, progress(pair), time.monotonic()

    def __call__(self, resting: str) -> None:
        if time.monotonic() > self._looked_at + LOOK_S:
            self._now, self._looked_at = progress(self._pair), time.monotonic()
        self._watch(replace(self._now, resting=resting))
