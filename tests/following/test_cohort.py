"""The cookie by which a reader stays on one side of a ramp."""

import pytest
from django.conf import settings
from django.test import Client

pytestmark = [
    pytest.mark.django_db(databases="__all__"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]


def cookie_of(path: str, **headers: str) -> str | None:
    cookie = Client(headers=headers).get(path).cookies.get("cohort")
    return cookie.value if cookie else None


def test_a_reader_keeps_the_id_by_which_the_proxy_chose_the_unit() -> None:
    assert cookie_of("/api/inventory/", x_request_id="5f0c") == "5f0c"


def test_a_reader_who_has_a_cohort_or_a_token_gets_none() -> None:
    client = Client(headers={"x_request_id": "5f0c"})
    client.cookies["cohort"] = "before"
    assert "cohort" not in client.get("/api/inventory/").cookies
    assert cookie_of("/api/inventory/", x_request_id="5f0c", authorization="Basic x") is None


def test_what_is_no_modules_sets_none() -> None:
    assert cookie_of("/healthz", x_request_id="5f0c") is None
    assert cookie_of("/api/inventory/") is None
