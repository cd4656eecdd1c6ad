"""Which changes of a module's HTTP interface pass the gate."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest
from django.urls import include, path
from drf_spectacular.utils import extend_schema
from pytest_django import Settings
from rest_framework import serializers
from rest_framework.fields import Field
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contracts.runtime.gate.interfaces import interfaces
from contracts.runtime.gate.operations import operation_differences
from modules.orders.api import serializers as of_orders
from modules.orders.api.urls import urlpatterns
from modules.orders.api.views import OrdersView
from modules.users.api.serializers import RegistrationSerializer

URLS = {"orders": ("/api/orders/",), "users": ("/api/users/",)}
Serializer = type[serializers.Serializer[Any]]


def interface(module: str) -> dict[str, Any]:
    return dict(interfaces({module: URLS[module]}))[module]


class Before:
    """The interface of a module as it was when this was made."""

    def __init__(self, module: str) -> None:
        self.module, self.document = module, interface(module)

    def differences(self) -> Iterator[tuple[bool, str]]:
        for difference in operation_differences(self.document, interface(self.module)):
            yield difference.change.breaks, str(difference)

    def breaks(self) -> list[str]:
        return [told for breaks, told in self.differences() if breaks]

    def passes(self) -> list[str]:
        assert not self.breaks()
        return [told for _, told in self.differences()]


@pytest.fixture
def orders() -> Before:
    return Before("orders")


@pytest.fixture
def users() -> Before:
    return Before("users")


@pytest.fixture
def field(monkeypatch: pytest.MonkeyPatch) -> Callable[[Serializer, str, Field[Any, Any, Any, Any] | None], None]:
    """Gives a serializer a field, or takes one from it."""

    def change(serializer: Serializer, name: str, to: Field[Any, Any, Any, Any] | None) -> None:
        declared = dict(serializer._declared_fields)
        declared.pop(name, None)
        monkeypatch.setattr(serializer, "_declared_fields", declared if to is None else {**declared, name: to})

    return change


@pytest.fixture
def mounted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Any]], None]:
    """Makes these the only URLs of orders."""

    def mount(patterns: list[Any]) -> None:
        conf = ModuleType("urls_of_this_test")
        conf.urlpatterns = [path("api/orders/", include((patterns, "orders")))]  # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, conf.__name__, conf)
        settings.ROOT_URLCONF = conf.__name__

    return mount


Change = Callable[[Serializer, str, Any], None]
Mount = Callable[[list[Any]], None]


def test_each_module_has_its_own_paths_alone(orders: Before) -> None:
    assert set(orders.document["paths"]) == {"/api/orders/", "/api/orders/{order_id}/"}
    assert not list(orders.differences())


def test_an_answer_may_gain_a_field(orders: Before, field: Change) -> None:
    field(of_orders.OrderOut, "gift", serializers.CharField())
    assert "POST /api/orders/: 201.gift is new (after: string, required)" in orders.passes()


def test_a_field_of_an_answer_that_was_removed_breaks(orders: Before, field: Change) -> None:
    field(of_orders.LineOut, "name", None)
    assert "GET /api/orders/: 200.orders[].lines[].name was removed (before: string, required)" in orders.breaks()


def test_a_field_of_an_answer_of_another_type_breaks(orders: Before, field: Change) -> None:
    field(of_orders.OrderOut, "total_cents", serializers.CharField())
    assert any("201.total_cents has another type (before: integer; after: string)" in each for each in orders.breaks())


def test_a_field_of_an_answer_that_may_be_null_now_breaks(orders: Before, field: Change) -> None:
    field(of_orders.OrderOut, "deliver_to", serializers.CharField(allow_null=True))
    assert any("201.deliver_to may be null" in each for each in orders.breaks())


def test_a_value_that_an_answer_did_not_have_breaks_and_one_it_has_no_more_passes(
    orders: Before, field: Change
) -> None:
    states = ["pending", "confirmed", "cancelled"]
    field(of_orders.OrderOut, "state", serializers.ChoiceField(choices=[*states, "sent"]))
    assert any('201.state may be "sent"' in each for each in orders.breaks())
    field(of_orders.OrderOut, "state", serializers.ChoiceField(choices=states[:2]))
    assert any('201.state is never "cancelled"' in each for each in orders.passes())


def test_a_request_may_gain_a_field_that_may_be_left_out(orders: Before, field: Change) -> None:
    field(of_orders.OrderIn, "gift", serializers.CharField(required=False))
    assert orders.passes() == ["POST /api/orders/: body.gift is new (after: string, optional)"]


def test_a_request_may_not_ask_for_a_new_field(orders: Before, field: Change) -> None:
    field(of_orders.OrderIn, "phone", serializers.CharField())
    assert orders.breaks() == ["POST /api/orders/: body.phone is new and has no default (after: string, required)"]


def test_a_field_that_may_be_sent_no_longer_breaks(orders: Before, field: Change) -> None:
    field(of_orders.OrderIn, "deliver_to", None)
    assert any("POST /api/orders/: body.deliver_to was removed" in each for each in orders.breaks())


def test_a_request_that_is_taken_in_fewer_cases_breaks_and_in_more_passes(orders: Before, field: Change) -> None:
    field(of_orders.LineIn, "sku", serializers.CharField(max_length=32))
    assert any("lines[].sku has another maxLength (before: 64; after: 32)" in each for each in orders.breaks())
    field(of_orders.LineIn, "sku", serializers.CharField(max_length=128))
    assert any("lines[].sku has another maxLength (before: 64; after: 128)" in each for each in orders.passes())


def test_a_query_is_compared_as_a_request(orders: Before, field: Change) -> None:
    field(of_orders.PageIn, "after", serializers.UUIDField(required=False))
    assert any("GET /api/orders/: query.after is new" in each for each in orders.passes())
    field(of_orders.PageIn, "limit", serializers.IntegerField(min_value=1, max_value=100))
    assert any("GET /api/orders/: query.limit may not be left out" in each for each in orders.breaks())


def test_what_is_only_written_is_not_part_of_an_answer(users: Before, field: Change) -> None:
    field(
        RegistrationSerializer, "password", serializers.CharField(max_length=64, trim_whitespace=False, write_only=True)
    )
    assert {each.split(" has ")[0] for each in users.breaks()} == {"POST /api/users/: body.password"}


def test_a_path_that_is_gone_breaks_and_one_that_is_new_passes(orders: Before, mounted: Mount) -> None:
    mounted(urlpatterns[1:])
    assert orders.breaks() == ["GET /api/orders/: was removed", "POST /api/orders/: was removed"]
    mounted([*urlpatterns, path("all/", OrdersView.as_view())])
    assert "GET /api/orders/all/: is new" in orders.passes()


def test_the_name_of_a_parameter_in_a_path_is_not_seen_and_its_type_is(orders: Before, mounted: Mount) -> None:
    class ByName(APIView):
        @extend_schema(operation_id="orders_get", responses=of_orders.OrderOut)
        def get(self, request: Request, **_: object) -> Response:
            raise NotImplementedError

    mounted([urlpatterns[0], path("<uuid:id>/", ByName.as_view())])
    assert orders.passes() == []
    mounted([urlpatterns[0], path("<int:id>/", ByName.as_view())])
    assert any("path.1 has another type" in each for each in orders.breaks())


def test_who_could_come_without_signing_in_still_can(orders: Before) -> None:
    for_all = deepcopy(orders.document)
    for_all["paths"]["/api/orders/"]["get"]["security"] = [{}]
    (told,) = operation_differences(for_all, orders.document)
    assert told.change.breaks
    assert "GET /api/orders/: no longer lets in who came so (before: anybody; after: bearer or session)" in str(told)
    assert not list(operation_differences(orders.document, for_all))


def test_a_status_or_a_form_of_the_answer_that_is_gone_breaks(orders: Before) -> None:
    other = deepcopy(orders.document)
    responses = other["paths"]["/api/orders/"]["post"]["responses"]
    responses["200"] = responses.pop("201")
    assert [str(each) for each in operation_differences(orders.document, other) if each.change.breaks] == [
        "POST /api/orders/: 201 was removed"
    ]
    other = json.loads(json.dumps(orders.document).replace("application/json", "application/xml"))
    assert any(
        "is not application/json any more" in str(each) for each in operation_differences(orders.document, other)
    )


def listing(*, explode: bool | None = None, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    """An operation with a list in its query, that answers with headers."""
    parameter: dict[str, Any] = {"name": "sku", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}
    if explode is not None:
        parameter["explode"] = explode
    answer = {"headers": {name: {"required": True, "schema": {"type": "integer"}} for name in headers}}
    return {"paths": {"/api/": {"get": {"parameters": [parameter], "responses": {"200": answer}}}}}


def test_a_list_in_a_query_is_written_as_before() -> None:
    assert not list(operation_differences(listing(), listing(explode=True)))
    (told,) = operation_differences(listing(), listing(explode=False))
    assert told.change.breaks
    assert str(told) == 'GET /api/: query.sku has another style (before: "form, exploded"; after: "form")'


def test_a_header_of_an_answer_that_was_removed_breaks_and_a_new_one_passes() -> None:
    (told,) = operation_differences(listing(headers=("X-Total",)), listing())
    assert told.change.breaks
    assert str(told) == "GET /api/: 200.headers.x-total was removed (before: integer, required)"
    (told,) = operation_differences(listing(), listing(headers=("X-Total",)))
    assert not told.change.breaks
    assert not list(operation_differences(listing(headers=("X-Total",)), listing(headers=("x-total",))))


def test_a_field_that_is_only_read_is_not_part_of_a_request(users: Before) -> None:
    other = deepcopy(users.document)
    patched = other["components"]["schemas"]["PatchedProfile"]["properties"]
    assert patched["email"]["readOnly"]
    del patched["email"]
    assert not list(operation_differences(users.document, other))
    del other["components"]["schemas"]["Profile"]["properties"]["email"]
    told = [str(each) for each in operation_differences(users.document, other)]
    assert "PATCH /api/users/me/: 200.email was removed" in " ".join(told)
