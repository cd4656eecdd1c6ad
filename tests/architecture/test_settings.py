"""A wrong setting stops the start and says what to do, without showing a secret."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from shop.settings import database


def test_a_password_that_breaks_its_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_DATABASE_URL", "postgresql://shop_orders:open#sesame@db/shop")
    with pytest.raises(ImproperlyConfigured, match=r"ORDERS_DATABASE_URL has no number as port.*%23") as refused:
        database("ORDERS_DATABASE_URL", schema="orders")
    assert "open" not in str(refused.value)
