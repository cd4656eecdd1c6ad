"""Migrates and seeds, as soon as standard input says that the databases are there: `python -m shop.prepare [--seed]`.

A program of its own that reads its imports while the server is still starting.
"""

import os
import sys

import django
from django.core.management import CommandError, call_command, get_commands


def main(arguments: list[str]) -> None:
    """Wait for a line, then migrate and, if asked to, seed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    django.setup()
    commands = get_commands()
    if not sys.stdin.readline():
        sys.exit("the start was given up")
    try:
        call_command("migrate", verbosity=1, interactive=False, skip_checks=True)
        if "--seed" in arguments and "seed" in commands:
            call_command("seed", interactive=False, skip_checks=True)
    except CommandError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
