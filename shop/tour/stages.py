"""The stages of a tour: what each does, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A part of the tour. `why` is one sentence for somebody who watches."""

    key: str
    title: str
    why: str


MOVES = ("provision", "replicate", "verify", "ramp", "cutover", "rollback", "second_cutover")
"""Stages that are one command of `manage.py extract` each."""


def stages_of(module: str, *, deploys: int) -> dict[str, Stage]:
    """The stages in their order, by key, of a tour that takes this module out, with `deploys` before and after."""
    times = "once" if deploys == 1 else f"{deploys} times"
    stages = (
        Stage("start", "Start the shop from nothing", "everything runs in one unit, the monolith, behind the edge"),
        Stage("quiet_before", "Customers buy", "nothing else happens: what comes later is compared with this"),
        Stage(
            "deploys_before",
            f"Deploy the monolith {times}",
            "every module is restarted, whichever one was changed: that is what the extraction is to change",
        ),
        Stage(
            "provision",
            f"Provision a unit for {module}",
            "its own database, roles and processes stand by; no customer notices",
        ),
        Stage("replicate", f"Replicate {module}", "its rows are copied, then every change follows, in both directions"),
        Stage("verify", "Verify the copy", "both sides are compared row by row while customers go on writing"),
        Stage("ramp", "Send the reads over", "1, 10, 50, then 100 % of them; a failure sends them back"),
        Stage("cutover", "Cut over", "one commit moves the writes: the row that says where the module lives changes"),
        Stage("quiet_after", "Customers buy", f"{module} lives in its own unit; latency and memory are measured again"),
        Stage(
            "deploys_after",
            f"Deploy {module} alone {times}",
            "the other modules keep running: nothing of theirs is restarted",
        ),
        Stage("rollback", "Roll back", "the old unit was fed all the time: one commit moves the writes home again"),
        Stage("second_cutover", "Cut over again", "the way is open in both directions until the operator ends it"),
        Stage("end_load", "Customers go home", "requests on their way are waited for"),
        Stage("rest", "Orders come to rest", "each acknowledged order is looked at until it is confirmed or cancelled"),
        Stage("audit", "Audit the invariants", "stock, orders and payments must agree, wherever each module lives"),
        Stage("compare", "Compare the ledger with the shop", "nothing that was acknowledged is lost or there twice"),
    )
    return {stage.key: stage for stage in stages if deploys or not stage.key.startswith("deploys_")}
