"""A wrong setting stops the start and says what to do, without showing a secret."""

from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django import Settings

from shop.settings import database


def test_a_password_that_breaks_its_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://shop_orders:open#sesame@db/shop")
    with pytest.raises(ImproperlyConfigured, match=r"ORDERS_DATABASE_URL has no number as port.*%23") as refused:
        database("ORDERS_DATABASE_URL", schema="orders")
    assert "open" not in str(refused.value)


@pytest.mark.parametrize("password", ["12/open", "12/34?open", "/open", "12/open#56"])
def test_a_slash_in_a_password_does_not_make_another_host(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", f"postgresql://shop_orders:{password}@db/shop")
    with pytest.raises(ImproperlyConfigured, match=r"ORDERS_DATABASE_URL .*%2F") as refused:
        database("ORDERS_DATABASE_URL", schema="orders")
    assert "open" not in str(refused.value)
    monkeypatch.setenv("ORDERS_DATABASE_URL", f"postgresql://shop_orders:{quote(password, safe='')}@db/shop")
    read = database("ORDERS_DATABASE_URL", schema="orders")
    assert (read["HOST"], read["PASSWORD"], read["NAME"]) == ("db", password, "shop")


@pytest.mark.django_db
def test_behind_https_all_is_sent_there_but_the_question_whether_it_is_well(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/").status_code == 301
    assert client.get("/healthz").status_code == 200
    assert client.post("/internal/contracts/inventory/categories").status_code == 401
