"""A module whose migration was completed: its tables are gone from here, and whoever asks for them follows it."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from psycopg import sql

from contracts.runtime.errors import Refused
from contracts.runtime.following import operation
from extraction.placement import where
from extraction.replicate.retiring import Archive, kept, retire
from modules.users.seed import seed as seed_users
from tests.following.conftest import ELSEWHERE, Moving
from tests.following.urls import rows

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.urls("tests.following.urls"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]


@pytest.fixture
def gone(inventory: Moving) -> Iterator[int]:
    """The epoch in which it lives elsewhere."""
    archive = Archive(inventory.objects, "inventory_test_retired")
    epoch = inventory.leave()
    retire(archive, inventory.admin, home=ELSEWHERE)
    inventory.unfence()
    where.forget()
    yield epoch
    for each in kept(archive, inventory.admin):
        moved = sql.Identifier(archive.name, each.name)
        inventory.admin.execute(sql.SQL("alter {} {} set schema inventory").format(sql.SQL(each.kind), moved))
    inventory.admin.execute("drop schema inventory_test_retired")
    inventory.admin.execute("comment on table inventory.inventory_placement is null")
    inventory.fence()


def test_a_write_is_sent_where_the_module_lives(gone: int) -> None:
    response = Client().post("/api/inventory/writes/", "{}", content_type="application/json")
    assert response.status_code == 307
    assert response["Location"] == f"http://e{gone}.{ELSEWHERE}.inventory.internal/api/inventory/writes/"


def test_a_read_outside_a_transaction_is_refused_as_a_write_is(gone: int) -> None:
    with pytest.raises(Refused) as refused, operation("call", "stock"):
        rows("inventory")
    assert (refused.value.home, refused.value.in_motion) == (ELSEWHERE, False)


@pytest.mark.urls("shop.urls")
def test_the_admin_says_where_it_is_administered_now(gone: int) -> None:
    seed_users(amounts={"customers": 0})
    client = Client()
    client.post("/admin/login/", {"username": "admin@shop.example", "password": "demo"})
    page = client.get("/admin/inventory/product/")
    assert page.status_code == 410
    assert f"inventory lives in unit {ELSEWHERE}, and its tables are no longer here" in page.content.decode()
    assert client.get("/admin/orders/order/").status_code == 200


def test_a_shop_that_starts_again_seeds_what_lives_there(gone: int) -> None:
    said = StringIO()
    call_command("seed", "--noinput", "--products", "1", "--customers", "0", stdout=said)
    assert "inventory: lives in another unit" in said.getvalue()
    assert "users: " in said.getvalue()


def test_a_table_that_no_module_has_is_an_error_as_before(inventory: Moving, caplog: Any) -> None:
    from django.db import ProgrammingError, connections

    with pytest.raises(ProgrammingError), operation("call", "stock"), connections["inventory"].cursor() as cursor:
        cursor.execute("select from nobody")
