"""Everything that can stand in the way, by its code; docs/obstacles.md has a line for each."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["blocks", "decide", "note"]
"""`blocks`: it cannot be replicated, or would lose rows or hold writers up. `decide`: it works, but something changes,
and an operator may accept that. `note`: nothing has to be done."""

SETTING = "it counts after a restart of the server"

KINDS: dict[str, tuple[Severity, str]] = {
    "version": ("blocks", "without `origin = none` a change would go round in circles"),
    "in_recovery": ("blocks", "a standby takes neither publications nor writes"),
    "read_only": ("blocks", "sessions there may not write unless they say so, neither ours nor those of the streams"),
    "privilege": ("blocks", "a stage would fail halfway without it"),
    "wal_level": ("blocks", f"row changes are not in the write-ahead log; {SETTING}"),
    "idle_slots": ("blocks", f"a side that is seldom written would lose its slot while nobody looks; {SETTING}"),
    "max_replication_slots": (
        "blocks",
        f"each stream, and each table that is copied by a worker, takes a slot; {SETTING}",
    ),
    "max_wal_senders": ("blocks", f"each slot that is read takes a sender; {SETTING}"),
    "max_logical_replication_workers": ("blocks", f"each stream that arrives takes a worker; {SETTING}"),
    "max_active_replication_origins": ("blocks", f"each stream that arrives takes an origin; {SETTING}"),
    "max_worker_processes": ("blocks", f"the workers of replication are among them and would not start; {SETTING}"),
    "same_server": ("note", "CREATE SUBSCRIPTION would wait for itself there; the slot is therefore made first"),
    "text_hash": ("note", "hashes and the texts of values may differ between major versions; verify compares texts"),
    "slot_keep_size": (
        "decide",
        "a copy or an outage that writes more than this costs the slot, and all is copied anew",
    ),
    "slot_holds_wal": ("decide", "nobody reads it, and the log that it holds fills the disk, the sooner during a copy"),
    "standby": (
        "decide",
        "it may be behind the stream: promoted after a cutover it does not know of it, and both sides take writes",
    ),
    "transaction": ("blocks", "a new slot waits for every transaction of the server that has written"),
    "prepared_transaction": ("blocks", "a new slot waits for it, and a switch too if it has written to the module"),
    "isolation": ("note", "when the module moves its writers see 40001 once before MV001; both are to be tried again"),
    "encoding": ("blocks", "texts would be converted on their way or refused, and both sides never compare equal"),
    "collation": (
        "decide",
        "texts sort and pages break differently after the move, and ranges over text find other rows",
    ),
    "collation_version": ("decide", "indexes over text were built in another order: they miss rows and let doubles in"),
    "extension": ("blocks", "a type, an operator class or a function of these tables comes from it"),
    "enum": ("blocks", "a row with that label is refused where it is lacking, and the stream stops"),
    "enum_order": ("decide", "rows sort and compare differently after the move"),
    "type": ("blocks", "values of the one do not fit the other, and the stream stops"),
    "not_installed": ("blocks", "there is no row that says where the module lives, so nothing can be fenced or moved"),
    "unit": ("blocks", "a side that takes itself for the other would accept its writes"),
    "homes": ("blocks", "both sides would accept writes"),
    "rows": ("blocks", "the copy would meet them, and nobody says whose they are"),
    "migrations": ("decide", "the same tables may mean different things to the code on either side"),
    "tables": ("blocks", "rows of it have nowhere to go"),
    "columns": ("blocks", "a value has nowhere to go or is refused, and the stream stops"),
    "constraints": ("blocks", "the stricter side refuses rows of the other, and the stream stops"),
    "key": ("blocks", "once published it would refuse every UPDATE and DELETE of its own writers"),
    "key_full": ("decide", "each UPDATE and DELETE that arrives reads the whole table"),
    "generated": ("blocks", "generated columns are not sent: published, it would refuse UPDATE and DELETE"),
    "generated_column": ("note", "it is not sent, each side computes its own; a copy leaves it out"),
    "incomparable": ("blocks", "a row is found by comparing all columns, and these types have no equality"),
    "unlogged": ("blocks", "its rows are not in the write-ahead log, so none would arrive"),
    "row_security": ("blocks", "policies would hide rows from the copy, or refuse rows that arrive"),
    "bypass": (
        "blocks",
        "whoever may set session_replication_role writes past the fence, on the side that is not home",
    ),
    "trigger": ("blocks", "it would run a second time where the row arrives"),
    "rule": ("decide", "it does not run where the row arrives, and what it writes elsewhere stays behind"),
    "large_object": ("decide", "large objects are not replicated: the number arrives, the object does not"),
    "partition_foreign": ("blocks", "its rows are on another server and cannot be published"),
    "parent": ("blocks", "one part would move and the other stay"),
    "foreign_key": (
        "decide",
        "rows that arrive are not checked and do not cascade; a cascade or SET NULL from outside is refused once the "
        "module has moved",
    ),
    "foreign_key_target": (
        "blocks",
        "emptying the tables for the copy, and every row that arrives early, would be refused",
    ),
    "view": ("decide", "it joins what will stand in two databases: it lags after the move and breaks after `complete`"),
    "function": ("decide", "its writes are refused once the module has moved, and its reads lag"),
    "function_names": ("note", "if it does use the table, its writes are refused once the module has moved"),
    "sequence_owner": (
        "blocks",
        "no switch would move it on, and the other side would hand out numbers that are taken",
    ),
    "sequence_shared": (
        "decide",
        "each side draws its own numbers after the move, so they are no longer unique across both",
    ),
    "sequence_cache": ("note", "numbers that a session holds are left out by a switch; the order of numbers has gaps"),
    "sequence_end": ("decide", "every switch leaves out 32 numbers, and INSERT fails when none is left"),
    "publication": (
        "decide",
        "its subscribers get what arrives from the other side too, and nothing more after `complete`",
    ),
    "subscription": ("blocks", "it writes past the fence, also on the side that is not home"),
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way. Its code is stable."""

    code: str
    unit: str
    """On whose side."""
    what: str
    why: str
    """What would happen."""
    mend: str
    """What to type: statements for that side's database when it ends with a semicolon, else a sentence."""
    severity: Severity

    @property
    def is_sql(self) -> bool:
        return self.mend.endswith(";")

    def __str__(self) -> str:
        return f"{self.unit}: {self.what}; {'run there: ' if self.is_sql else ''}{self.mend}"


def obstacle(code: str, unit: str, what: str, mend: str) -> Obstacle:
    """One of this kind."""
    severity, why = KINDS[code]
    return Obstacle(code=code, unit=unit, what=what, why=why, mend=mend, severity=severity)
