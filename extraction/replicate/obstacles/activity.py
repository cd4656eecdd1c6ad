"""Transactions, slots and standbys of a whole server."""

from psycopg import sql

from extraction.replicate.obstacles.asked import Asked, Found, beside, say

_queries = beside(__file__)

LONG_S = 30
"""A transaction that has been open for so long may stay so; a slot waits for it."""
HELD_BYTES = 256 * 2**20
"""Of the write-ahead log, by a slot that nobody reads."""
SETTING = "default_transaction_isolation"


def activity(asked: Asked) -> Found:
    """What goes on in the server."""
    for pid, role, database, age_s in asked.rows(_queries, "transactions", seconds=LONG_S):
        yield asked.finds(
            "transaction",
            f"pid {pid} of {role} in database {database} has been writing for {age_s} s",
            f"SELECT pg_terminate_backend({pid});",
        )
    for gid, role, database, age_s in asked.rows(_queries, "prepared", seconds=LONG_S):
        statement = f"ROLLBACK PREPARED {sql.Literal(gid).as_string()};"
        if database != asked.connection.info.dbname:
            statement = f"in database {database}, unless it is to be committed: {statement.rstrip(';')}"
        yield asked.finds(
            "prepared_transaction", f"{gid} of {role} in database {database} is prepared since {age_s} s", statement
        )
    for slot, held in asked.rows(_queries, "held", bytes=HELD_BYTES):
        yield asked.finds(
            "slot_holds_wal",
            f"nobody reads slot {slot}, which holds {held / 2**20:.0f} MB of the write-ahead log",
            f"SELECT pg_drop_replication_slot({sql.Literal(slot).as_string()});",
        )
    yield from _standbys(asked)
    for role, database in asked.rows(_queries, "isolations"):
        where = f"of role {role} " * bool(role) + f"in database {database} " * bool(database)
        yield asked.finds("isolation", f"{SETTING} {where}is above READ COMMITTED", _reset(role, database))


def _standbys(asked: Asked) -> Found:
    for slot, name, waited, is_able in asked.rows(_queries, "standbys"):
        if not is_able:
            mend = "upgrade to PostgreSQL 17, where streams wait for standbys, or make it synchronous"
        elif not slot:
            mend = (
                f"give it a slot: SELECT pg_create_physical_replication_slot('standby'); set its primary_slot_name and "
                f"name the slot in synchronized_standby_slots of {asked.unit}"
            )
        else:
            names = ", ".join(filter(None, (waited, sql.Identifier(slot).as_string())))
            mend = (
                f"ALTER SYSTEM SET synchronized_standby_slots = {sql.Literal(names).as_string()}; "
                "SELECT pg_reload_conf();"
            )
        yield asked.finds("standby", f"standby {name or slot} is not waited for by streams", mend)


def _reset(role: str, database: str) -> str:
    if role and database:
        return say(f"ALTER ROLE {{}} IN DATABASE {{}} RESET {SETTING}", role, database)
    if role:
        return say(f"ALTER ROLE {{}} RESET {SETTING}", role)
    if database:
        return say(f"ALTER DATABASE {{}} RESET {SETTING}", database)
    return f"ALTER SYSTEM SET {SETTING} = 'read committed'; SELECT pg_reload_conf();"
