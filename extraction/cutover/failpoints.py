"""Places where the coordinator may be made to die, so that a test sees what it leaves behind.

EXTRACT_FAILPOINT=cutover.locked        the process kills itself there (SIGKILL)
EXTRACT_FAILPOINT=cutover.locked:stop   it stops there (SIGSTOP), as on a machine that hangs
"""

import os
import signal

from extraction.cutover.errors import UnknownFailpoint

VARIABLE = "EXTRACT_FAILPOINT"
FAILPOINTS = {
    "replicate.copying": "while rows are copied",
    "ramp.step": "after a share of reads was set, before it is recorded",
    "cutover.before_lock": "after the checks that hold nobody up",
    "cutover.locked": "writers are refused, nothing is proven",
    "cutover.before_commit": "the row is handed over and not committed",
    "cutover.after_commit": "the home has moved, nobody was told",
    "complete.begun": "there is no way back, and nothing is taken away",
    "complete.parted": "the streams are gone",
    "complete.retired": "the old tables are put aside",
    "abort.parted": "streams and fence are gone, the unit is there",
    "abort.retired": "the unit is gone, and the migration still open",
}


def failpoint(name: str) -> None:
    """Die here if the environment asks for it. Raises UnknownFailpoint, whatever the name of this one."""
    asked, _, action = os.environ.get(VARIABLE, "").partition(":")
    if not asked:
        return
    if asked not in FAILPOINTS or action not in ("", "stop"):
        raise UnknownFailpoint(
            f"{VARIABLE} is {os.environ[VARIABLE]!r} and may be one of {', '.join(FAILPOINTS)}, each also with :stop; "
            f"run: unset {VARIABLE}"
        )
    if asked == name:
        os.kill(os.getpid(), signal.SIGSTOP if action else signal.SIGKILL)
