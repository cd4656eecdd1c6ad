"""A process with the libraries loaded, which does each job in a fork, so that a copy is set up in no time."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

INSIDE = Path(__file__).with_name("inside.py")


class JobFailed(Exception):
    """The program that runs in a copy of the project ended with an error; the message is the end of its log."""


class Program:
    """Does one job at a time."""

    def __enter__(self) -> Self:
        # Isolated: nothing but the libraries is on its path, so that what it imports of the project is the copy's.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-W", "ignore", str(INSIDE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def wait(self) -> None:
        """Until the libraries are loaded."""
        self._line()

    def do(self, *tasks: str, root: Path, environment: Mapping[str, str], **given: Any) -> dict[str, Any]:
        """The answers of these tasks, by task. Raises JobFailed."""
        kept = _beside(root, tasks)
        job = {"root": str(root), "environment": dict(environment), "tasks": tasks, **given}
        job |= {"answer": f"{kept}.json", "log": f"{kept}.log"}
        assert self._process.stdin
        print(json.dumps(job), file=self._process.stdin, flush=True)
        if (status := self._line()) != "0":
            log = Path(job["log"]).read_text(errors="replace").strip().splitlines()
            raise JobFailed(f"{', '.join(tasks)} in a copy of the project ended with {status}: {_end_of(log)}")
        return cast(dict[str, Any], json.loads(Path(job["answer"]).read_text()))

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise JobFailed(f"{INSIDE.name} ended with {self._process.wait()}")
        return line


def _beside(root: Path, tasks: Sequence[str]) -> Path:
    return root.with_name(f"{root.name}.{'-'.join(tasks)}")


def _end_of(log: Sequence[str]) -> str:
    return "\n".join(log[-30:]) if log else "it said nothing"
