"""Cutovers and rollbacks of a module in one process, so that a start of Python weighs on none of them.

    python -m tests.benchmarks.to_and_fro --module inventory --rounds 50 --pause-s 1

Prints what `manage.py extract --json` does, a line each.
"""

import argparse
import sys
import time

import django
from django.core.management import call_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--pause-s", type=float, required=True)
    options = parser.parse_args()
    django.setup()
    for _ in range(options.rounds):
        for stage in ("cutover", "rollback"):
            call_command("extract", stage, options.module, "--json")
            sys.stdout.flush()
            time.sleep(options.pause_s)


if __name__ == "__main__":
    main()
