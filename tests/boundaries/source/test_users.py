"""Accounts as rows: the user model of another module, or in another database."""

from dataclasses import replace
from pathlib import Path

import pytest

from extraction.boundaries.source import findings
from tests.boundaries.source.looking import house


def told(root: Path, source: str, *, user_model: str, alias: str = "orders") -> list[tuple[str, str]]:
    """Other module and what is said, of a source text in orders."""
    path = root / "shop/orders/accounts.py"
    path.write_text(source)
    try:
        orders, payments = house(root).members
        here = replace(house(root), members=(replace(orders, alias=alias), payments), user_model=user_model)
        return [(each.other, each.what) for each in findings(here) if each.code == "boundaries.E205"]
    finally:
        path.unlink()


GETS = "from django.contrib.auth import get_user_model\nget_user_model().objects.get(pk=1)\n"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (GETS, "calls get_user_model()"),
        ("from django.contrib import auth\nauth.get_user_model()\n", "calls auth.get_user_model()"),
        ("apps.get_model(settings.AUTH_USER_MODEL)\n", "calls apps.get_model(settings.AUTH_USER_MODEL)"),
        ("def view(request):\n    request.user.groups.all()\n", "takes request.user.groups"),
        ("def view(self):\n    self.request.user.save()\n", "takes request.user.save"),
        ("def view(request):\n    request.user.order_set.all()\n", "takes request.user.order_set"),
        (
            "from django.contrib.auth.models import User as Account\nAccount.objects.get(pk=1)\n",
            "takes Account.objects",
        ),
    ],
)
def test_detects_accounts_as_rows(street: Path, source: str, what: str) -> None:
    ((other, said),) = told(street, source, user_model="auth.User")
    assert not other
    assert said.startswith(what)


def test_names_the_module_whose_model_the_accounts_are(street: Path) -> None:
    assert told(street, GETS, user_model="payments.Account", alias="") == [
        ("payments", "calls get_user_model(): rows of payments.Account")
    ]


@pytest.mark.parametrize(
    ("source", "user_model", "alias"),
    [
        (GETS, "auth.User", "default"),
        (GETS, "orders.Account", "orders"),
        (GETS, "", "orders"),
        ("def view(request):\n    return request.user.pk, request.user.is_staff\n", "auth.User", "orders"),
        ("SAID = 'request.user.groups'  # request.user.groups\n", "auth.User", "orders"),
        ("apps.get_model('orders', 'Order'); view.get_model()\n", "auth.User", "orders"),
    ],
)
def test_accounts_that_the_module_may_have_are_no_finding(
    street: Path, source: str, user_model: str, alias: str
) -> None:
    assert told(street, source, user_model=user_model, alias=alias) == []
