#!/usr/bin/env python
import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError
from psycopg.errors import SerializationFailure


def main() -> None:
    """Run a command. What the environment lacks is said in one line; --traceback shows all of it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"{error}")
    except OperationalError as error:
        if "--traceback" in sys.argv or isinstance(error.__cause__, SerializationFailure):  # that one is an answer
            raise
        reason = " ".join(str(error).split())
        sys.exit(f"The database does not answer ({reason}).\nIs the shop running? uv run manage.py up")


if __name__ == "__main__":
    main()
