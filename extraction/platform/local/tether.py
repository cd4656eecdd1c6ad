"""Starts a command that ends with its parent: `tether.py --signal 15 --parent 123 [options] command …`.

A program of its own, with nothing but the standard library, so that it starts in milliseconds. On Linux the kernel
sends the signal when the parent's thread is gone, however it went; elsewhere the pid file lets the next start end
what is left. The pid file holds the pid and, where /proc tells it, the start time in clock ticks: a pid that was
given to another process since does not match.
"""

import argparse
import ctypes
import json
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True, help="its pid: it may be gone before this program runs")
    parser.add_argument("--pid-file")
    parser.add_argument("--user", help="the system user to become, by root only")
    parser.add_argument("--rest", help="a JSON file with the command and what is added to its environment")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = options.command
    if options.rest:
        with open(options.rest) as file:
            rest = json.load(file)
        command = rest["command"]
        os.environ.update(rest["environment"])
    if options.pid_file:
        write_pid_file(options.pid_file)
    if options.user:
        become(options.user)
    end_with_parent(options.signal, options.parent)  # after the change of user, which clears it
    os.execvp(command[0], command)  # noqa: S606


def end_with_parent(number: int, parent: int | None = None) -> None:
    """Get this signal when the parent (or the thread of it that made this process) ends; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if parent is not None and os.getppid() != parent:
            sys.exit("the parent ended before this process was tethered to it")


def write_pid_file(path: str) -> None:
    """Replace the file by one that names this process."""
    with open(f"{path}.new", "w") as file:
        file.write(f"{os.getpid()} {start_time(os.getpid())}\n")
    os.replace(f"{path}.new", path)


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where /proc does not tell or it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def become(user: str) -> None:
    """Give up root for this user, for good."""
    import pwd

    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main()
