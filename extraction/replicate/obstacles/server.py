"""Versions, settings, and places for what a migration runs in a server."""

from typing import NamedTuple

from extraction.platform.database import LEAST_VERSION_FOR_EXTRACTION
from extraction.replicate.copying.limits import Limits
from extraction.replicate.obstacles.asked import Asked, Found, beside, say
from extraction.replicate.obstacles.kinds import Obstacle
from extraction.replicate.privileges import missing

_queries = beside(__file__)

NEEDS = {
    "max_replication_slots": 2,
    "max_wal_senders": 2,
    "max_logical_replication_workers": 2,
    "max_active_replication_origins": 2,
}
"""Free on a server that sends one stream and receives one: each stream, and one table at a time that is copied."""

OTHER_PROCESSES = 8
"""Background workers that are none of replication: PostgreSQL's own number."""

LEAST_KEPT_MB = 1024
"""Of the write-ahead log for a slot that nobody reads."""


def fitness(asked: Asked) -> Found:
    """What makes it useless to ask for more."""
    (version,) = asked.one(_queries, "version")
    if version < LEAST_VERSION_FOR_EXTRACTION:
        yield asked.finds(
            "version",
            f"the server is PostgreSQL {version}",
            f"upgrade it to {LEAST_VERSION_FOR_EXTRACTION} or later",
        )
        return
    in_recovery, read_only, source, role, database = asked.one(_queries, "recovery")
    if in_recovery:
        yield asked.finds(
            "in_recovery", "the server is a standby", f"give the URL of its primary as that of {asked.unit}"
        )
        return
    if read_only:
        mend = {
            "user": say("ALTER ROLE {} RESET default_transaction_read_only", role),
            "database": say("ALTER DATABASE {} RESET default_transaction_read_only", database),
            "database user": say("ALTER ROLE {} IN DATABASE {} RESET default_transaction_read_only", role, database),
        }.get(source, _alter_system("default_transaction_read_only", "off"))
        # First for the session itself, which may not write either.
        mend = f"SET default_transaction_read_only = off; {mend}"
        yield asked.finds("read_only", "default_transaction_read_only is on", mend)
        return
    for grant in missing(asked.pair, asked.connection):
        yield asked.finds(
            "privilege", f"role {role} lacks a grant, without which this fails: {grant.why}", grant.statement
        )


def room(asked: Asked, other: Asked | None) -> Found:
    """Settings, and what is free of what they bound."""
    server = _Server(*asked.one(_queries, "server"))
    is_one = other is not None and _Server(*other.one(_queries, "server")).system == server.system
    if is_one and asked.is_source:
        yield asked.finds("same_server", "source and target stand on one server", "nothing has to be done")
    if server.wal_level != "logical":
        yield _setting(asked, "wal_level", "wal_level", server.wal_level, "logical")
    if server.idle_slots not in (None, "0"):
        yield _setting(asked, "idle_slots", "idle_replication_slot_timeout", str(server.idle_slots), "0")
    yield from _kept(asked, server)
    if asked.one(_queries, "is_joined", slot=asked.publishes.name)[0]:
        return  # what it needs is taken already, by this very migration
    for (setting, need), free in zip(NEEDS.items(), server.free(), strict=True):
        needed = need * (2 if is_one else 1)
        if setting == "max_active_replication_origins" and not asked.is_source:
            needed += Limits().workers  # each that copies takes one where it writes
        if free < needed:
            name = _setting_of(asked, setting)
            ((now,),) = asked.rows(_queries, "setting", setting=name)
            yield _setting(asked, setting, name, f"{now}, {free} free", str(int(now) + needed - free))
    if server.processes < server.replication_processes:
        enough = str(server.replication_processes + OTHER_PROCESSES)
        yield _setting(asked, "max_worker_processes", "max_worker_processes", str(server.processes), enough)


def versions_apart(source: Asked, target: Asked) -> Found:
    """Of the servers."""
    (version,), (other,) = (side.one(_queries, "version") for side in (source, target))
    if version != other:
        what = f"the server is PostgreSQL {version}, and that of {target.unit} is {other}"
        yield source.finds("text_hash", what, "nothing has to be done")


def _kept(asked: Asked, server: "_Server") -> Found:
    """Whether a slot outlives the copy."""
    (module_bytes,) = asked.one(_queries, "module_bytes")
    least_mb = max(LEAST_KEPT_MB, module_bytes // 2**20)
    if 0 <= server.kept_mb < least_mb:
        yield asked.finds(
            "slot_keep_size",
            f"max_slot_wal_keep_size is {server.kept_mb} MB, and {least_mb} would be the least",
            _alter_system("max_slot_wal_keep_size", "-1"),
        )


class _Server(NamedTuple):
    system: str
    wal_level: str
    idle_slots: str | None
    slots: int
    senders: int
    workers: int
    origins: int
    processes: int
    """Background workers of every kind, those of replication among them."""
    replication_processes: int
    kept_mb: int
    """-1: without limit."""

    def free(self) -> tuple[int, ...]:
        """In the order of NEEDS."""
        return self.slots, self.senders, self.workers, self.origins


def _setting_of(asked: Asked, setting: str) -> str:
    """The setting that bounds the same on this server: origins had none of their own before PostgreSQL 18."""
    return setting if asked.rows(_queries, "setting", setting=setting) else "max_replication_slots"


def _setting(asked: Asked, code: str, setting: str, now: str, needed: str) -> Obstacle:
    return asked.finds(code, f"{setting} is {now}", f"ALTER SYSTEM SET {setting} = '{needed}';")


def _alter_system(setting: str, value: str) -> str:
    return f"ALTER SYSTEM SET {setting} = '{value}'; SELECT pg_reload_conf();"
