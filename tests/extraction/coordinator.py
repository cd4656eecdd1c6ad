"""A coordinator in a process of its own, which a failpoint may kill or stop: python -m tests.extraction.coordinator"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from extraction.cutover.errors import CutoverError
from extraction.cutover.failpoints import VARIABLE
from extraction.cutover.switch import switch
from extraction.replicate.pair import Pair, Side

ROOT = Path(__file__).parents[2]


@contextmanager
def coordinator(pair: Pair, *, failpoint: str = "", **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that switches; ended at the end, also when it is stopped. It prints the Switch or its error."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {VARIABLE: failpoint},
    )
    try:
        assert process.stdin is not None
        # By its input: the URLs hold passwords, and everybody may read arguments.
        process.stdin.write(json.dumps([asdict(pair), options]))
        process.stdin.close()
        process.stdin = None
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    given, options = json.load(sys.stdin)
    pair = Pair(**given | {name: Side(**given[name]) for name in ("source", "target")})
    try:
        print(json.dumps(asdict(switch(pair, **options)), default=str))
    except CutoverError as error:
        print(f"{type(error).__name__}: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
