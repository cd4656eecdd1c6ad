"""A worker whose database went away and came back works on."""

import psycopg
import pytest
from django.db import connections

from contracts.runtime.tasks import relay_all

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_task_takes_a_new_connection_for_one_that_was_lost(server_url: str) -> None:
    assert relay_all.apply().successful()
    with psycopg.connect(server_url, autocommit=True) as admin:
        for connection in connections.all(initialized_only=True):
            if connection.connection is not None:
                backend = connection.connection.info.backend_pid
                admin.execute("select pg_terminate_backend(%s, 5000)", [backend])
    assert relay_all.apply().successful()
