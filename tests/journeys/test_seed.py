"""`manage.py seed`: the same demo each time, and never over what real people have."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from contracts.inventory import Inventory
from contracts.runtime import use
from contracts.users import Users
from modules.inventory.models import Product, Stock
from modules.users.models import User

pytestmark = pytest.mark.django_db


def test_it_plants_the_demo_and_says_so() -> None:
    said = _seed()
    assert (User.objects.count(), Product.objects.count()) == (202, 1000)
    assert "inventory: 1000 products planted, 0 were there" in said
    assert "users: 202 accounts planted, 0 were there" in said
    assert use(Users).sign_in(email="admin@shop.example", password="demo").role == "admin"
    assert use(Users).sign_in(email="customer-200@shop.example", password="demo").role == "customer"
    assert use(Inventory).stock_differences() == ()


def test_planted_again_it_changes_nothing() -> None:
    _seed()
    before = _rows()
    assert "inventory: 0 products planted, 1000 were there" in _seed()
    assert _rows() == before


def test_it_is_the_same_on_every_machine() -> None:
    _seed(products=3, customers=1)
    assert [str(id) for id in User.objects.order_by("id").values_list("id", flat=True)] == [
        "01941f29-7c00-78ec-a955-85e0152bf881",
        "01941f29-7c01-7d66-bc99-bc927a44668e",
        "01941f29-7c02-791d-8435-d50e3b64d0a9",
    ]
    assert list(Stock.objects.order_by("pk").values_list("pk", "product__price_cents", "on_hand")) == [
        ("DES-00001", 9895, 37343),
        ("OUT-00002", 3399, 23201),
        ("PLA-00003", 14490, 40068),
    ]


def test_a_larger_demo_keeps_what_a_smaller_one_planted() -> None:
    _seed(products=10, customers=5)
    small = _rows()
    _seed(products=20, customers=9)
    large = _rows()
    assert (len(large), [row for row in large if row in small]) == (len(small) + 14, small)


def test_what_was_changed_since_stays() -> None:
    _seed(products=5, customers=2)
    stock = Stock.objects.latest("on_hand")
    Stock.objects.filter(pk=stock.pk).update(on_hand=1)
    User.objects.filter(email="customer-001@shop.example").update(name="Renamed", password="!")
    _seed(products=5, customers=2)
    assert Stock.objects.get(pk=stock.pk).on_hand == 1
    assert User.objects.get(email="customer-001@shop.example").name == "Renamed"


def test_most_stock_is_plenty_and_some_is_scarce() -> None:
    _seed()
    assert Stock.objects.filter(on_hand__lte=20).count() == 25
    assert Stock.objects.filter(on_hand__gte=20_000).count() == 975


def test_it_refuses_to_plant_known_passwords_among_real_users() -> None:
    User.objects.create(email="ann@example.com", name="Ann")
    with pytest.raises(CommandError, match=r"1 real users.*Nothing was planted.*manage.py seed --noinput"):
        _seed()
    assert (User.objects.count(), Product.objects.count()) == (1, 0)


def test_it_plants_among_real_users_when_told_to() -> None:
    User.objects.create(email="ann@example.com", name="Ann")
    _seed(products=1, customers=1, interactive=False)
    assert User.objects.count() == 4


def test_real_users_who_came_after_the_demo_do_not_stop_it() -> None:
    _seed(products=1, customers=1)
    User.objects.create(email="ann@example.com", name="Ann")
    assert "users: 0 accounts planted" in _seed(products=1, customers=1)


@pytest.mark.parametrize("amounts", [{"products": -1}, {"customers": 1_000_001}])
def test_an_amount_that_cannot_be_is_refused(amounts: dict[str, int]) -> None:
    with pytest.raises(CommandError, match="between 0 and 1,000,000"):
        _seed(**amounts)


def _seed(**options: Any) -> str:
    out = StringIO()
    call_command("seed", stdout=out, **options)
    return out.getvalue()


def _rows() -> list[Any]:
    return [*User.objects.order_by("id").values(), *Stock.objects.order_by("pk").values("product__name", "on_hand")]
