"""Fixtures of the embedded server, here because a plugin's would lose against pytest-django's of the same name."""

from tests.embedded import django_db_setup, server_url

__all__ = ["django_db_setup", "server_url"]
