"""The admin through the client, on the real database, with guards that raise."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.auth.models import User as DjangoUser
from django.core.cache import cache
from django.db import DatabaseError, connections, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from psycopg import sql
from uuid_utils.compat import uuid7

from contracts.inventory import Inventory
from contracts.runtime import Remote, use
from contracts.runtime.admin import ModuleAdmin
from contracts.runtime.configuration import configuration
from contracts.runtime.identity import remember, token_for
from contracts.runtime.models import AuditEntry, OutboxEvent
from contracts.users import InvalidCredentials, Users
from extraction.placement import where
from modules.inventory.models import Product, Stock
from modules.inventory.seed import seed as seed_inventory
from modules.inventory.tests.hearing import placed
from modules.orders.models import Order
from modules.payments.models import Payment
from modules.users.models import User
from modules.users.seed import seed as seed_users

pytestmark = pytest.mark.django_db

ADMIN, STAFF, CUSTOMER = "admin@shop.example", "staff@shop.example", "customer-001@shop.example"
REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture(autouse=True)
def _demo() -> None:
    cache.clear()
    seed_users(amounts={"customers": 3})
    seed_inventory(amounts={"products": 5})


@pytest.fixture
def as_admin() -> Client:
    return _signed_in(ADMIN)


@pytest.fixture
def as_staff() -> Client:
    return _signed_in(STAFF)


def test_whoever_is_not_signed_in_is_asked_to_and_comes_back(client: Client) -> None:
    page = reverse("admin:inventory_product_changelist")
    answer = client.get(page)
    assert answer.url == f"/admin/login/?next={page}"  # type: ignore[attr-defined]
    answer = client.post(answer.url, {"username": STAFF, "password": "demo"})  # type: ignore[attr-defined]
    assert (answer.status_code, answer.url) == (302, page)  # type: ignore[attr-defined]
    assert client.get(page).status_code == 200


def test_signing_in_never_leads_to_another_host(client: Client) -> None:
    answer = client.post("/admin/login/", {"username": STAFF, "password": "demo", "next": "https://evil.example/"})
    assert answer.url == "/admin/"  # type: ignore[attr-defined]


def test_signing_in_changes_the_session_key(client: Client) -> None:
    session = client.session
    session["basket"] = {"CUP-1": 1}
    session.save()
    known_before = client.cookies["sessionid"].value
    client.post("/admin/login/", {"username": STAFF, "password": "demo"})
    assert client.cookies["sessionid"].value != known_before


@pytest.mark.parametrize(
    ("email", "password", "says"),
    [
        (STAFF, "wrong", "The email address or the password is wrong."),
        ("nobody@shop.example", "demo", "The email address or the password is wrong."),
        (CUSTOMER, "demo", "This account is a customer"),
        ("no address", "demo", "Enter a valid email address."),
        ("", "", "This field is required."),
    ],
)
def test_nobody_but_staff_gets_in_and_is_told_why(client: Client, email: str, password: str, says: str) -> None:
    answer = client.post("/admin/login/", {"username": email, "password": password})
    assert answer.status_code == 200
    assert says in answer.text
    assert client.get("/admin/").status_code == 302


def test_too_many_wrong_passwords_are_told(client: Client, settings: Any) -> None:
    settings.SIGN_IN_FAILURES_PER_MINUTE = 1
    for password in ("wrong", "demo"):
        answer = client.post("/admin/login/", {"username": STAFF, "password": password})
    assert "Too many wrong passwords; wait 60 seconds." in answer.text


def test_users_that_do_not_answer_are_no_server_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_listens = Remote(unit="users-away", url="http://127.0.0.1:1/")
    monkeypatch.setattr(configuration, "resolve", lambda module: nobody_listens)
    answer = client.post("/admin/login/", {"username": STAFF, "password": "demo"})
    assert answer.status_code == 200
    assert "Accounts do not answer at the moment; try again." in answer.text


def test_signing_out_ends_the_session(as_staff: Client) -> None:
    assert as_staff.post("/admin/logout/").status_code == 302
    assert as_staff.get("/admin/").status_code == 302


def test_a_sign_in_form_without_its_token_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/admin/login/", {"username": STAFF, "password": "demo"}).status_code == 403


def test_a_customers_session_does_not_open_the_admin() -> None:
    client = _signed_in(CUSTOMER)
    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/users/user/").status_code == 302


def test_the_index_lists_the_modules_without_djangos_log(as_admin: Client) -> None:
    page = as_admin.get("/admin/")
    assert "/admin/inventory/product/" in page.text
    assert "/admin/users/user/" in page.text
    assert "Recent actions" not in page.text
    assert as_admin.get("/admin/inventory/").status_code == 200


def test_there_is_no_page_for_a_password_outside_users(as_admin: Client) -> None:
    assert as_admin.get("/admin/password_change/").status_code == 404


def test_every_registered_model_keeps_its_history_in_its_module() -> None:
    assert all(isinstance(options, ModuleAdmin) for options in admin.site._registry.values())
    assert not {DjangoUser, Group} & set(admin.site._registry)


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_every_model_has_a_list_that_can_be_searched_and_a_form(model: type[models.Model], as_admin: Client) -> None:
    assert as_admin.get(_page(model, "changelist")).status_code == 200
    assert as_admin.get(_page(model, "changelist"), {"q": "a"}).status_code == 200
    addable = admin.site._registry[model].has_add_permission(_request_of(as_admin))
    assert as_admin.get(_page(model, "add")).status_code == (200 if addable else 403)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_every_object_has_its_pages(model: type[models.Model], as_admin: Client, ordered: None) -> None:
    row = model._default_manager.first()
    assert row is not None
    deletable = admin.site._registry[model].has_delete_permission(_request_of(as_admin), row)
    assert as_admin.get(_page(model, "change", row)).status_code == 200
    assert as_admin.get(_page(model, "history", row)).status_code == 200
    assert as_admin.get(_page(model, "delete", row)).status_code == (200 if deletable else 403)


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_staff_may_look_and_change_nothing(model: type[models.Model], as_staff: Client) -> None:
    assert as_staff.get(_page(model, "changelist")).status_code == 200
    assert as_staff.get(_page(model, "add")).status_code == 403
    row = model._default_manager.first()
    if row is None:
        return
    assert as_staff.get(_page(model, "change", row)).status_code == 200
    assert as_staff.post(_page(model, "change", row), {}).status_code == 403
    assert as_staff.post(_page(model, "delete", row), {"post": "yes"}).status_code == 403
    assert model._default_manager.filter(pk=row.pk).exists()


def test_pages_of_other_modules_need_no_users(as_admin: Client) -> None:
    product = Product.objects.first()
    assert product is not None
    with CaptureQueriesContext(connections["users"]) as statements:
        for page in ("change", "history", "delete"):
            as_admin.get(_page(Product, page, product))
        as_admin.post(_page(Product, "change", product), {**_form(product), "name": "New"})
    assert len(statements) == 0


def test_a_product_is_added_with_its_stock(as_admin: Client) -> None:
    body = {"sku": "CUP-1", "name": 'O’Hara’s "Cup" <b>', "category": "Kitchen", "price_cents": 450, "is_on_sale": "on"}
    answer = as_admin.post(_page(Product, "add"), {**body, "receive": 7})
    assert answer.status_code == 302
    assert use(Inventory).product(sku="CUP-1").available == 7
    assert "&lt;b&gt;" in as_admin.get(_page(Product, "changelist")).text
    assert _history(as_admin, Product.objects.get(sku="CUP-1")) == [("added", ADMIN)]


@pytest.mark.parametrize(
    ("field", "value"), [("sku", "A/B"), ("sku", ""), ("price_cents", "-1"), ("name", "a" * 201), ("receive", "-5")]
)
def test_a_product_that_cannot_be_is_refused_with_its_field(as_admin: Client, field: str, value: str) -> None:
    body = {"sku": "CUP-1", "name": "Cup", "category": "Kitchen", "price_cents": "450", field: value}
    answer = as_admin.post(_page(Product, "add"), body)
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    assert Product.objects.count() == 5


def test_a_changed_product_keeps_what_was_sold_meanwhile(as_admin: Client) -> None:
    stock = Stock.objects.latest("on_hand")
    form = _form(stock.product)
    placed(uuid7(), (stock.product_id, 3))
    as_admin.post(_page(Product, "change", stock.product), {**form, "name": "Renamed", "receive": 10})
    after = use(Inventory).product(sku=stock.product_id)
    assert (after.name, after.available) == ("Renamed", stock.on_hand - 3 + 10)
    assert _history(as_admin, stock.product) == [("changed", ADMIN)]


def test_a_product_that_orders_hold_is_not_deleted(as_admin: Client) -> None:
    stock = Stock.objects.latest("on_hand")
    placed(uuid7(), (stock.product_id, 1))
    as_admin.post(_page(Product, "delete", stock.product), {"post": "yes"})
    as_admin.post(_page(Product, "changelist"), _delete_selected([stock.product]))
    assert Product.objects.count() == 5


def test_a_deletion_stands_in_the_history_of_its_module(as_admin: Client) -> None:
    product = Product.objects.first()
    assert product is not None
    assert as_admin.post(_page(Product, "delete", product), {"post": "yes"}).status_code == 302
    assert not Product.objects.filter(pk=product.pk).exists()
    assert _entries("inventory") == [("deleted", product.pk)]


@pytest.mark.django_db(transaction=True)
def test_a_bulk_deletion_is_one_commit(as_admin: Client) -> None:
    doomed = list(Product.objects.order_by("pk"))[2:5]
    confirmation = as_admin.post(_page(Product, "changelist"), {**_delete_selected(doomed), "post": ""})
    assert confirmation.status_code == 200
    assert "Are you sure" in confirmation.text
    assert as_admin.post(_page(Product, "changelist"), _delete_selected(doomed)).status_code == 302
    assert Product.objects.count() == 2
    assert sorted(_entries("inventory")) == sorted(("deleted", str(row.pk)) for row in doomed)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_undeletable")
def test_a_deletion_that_fails_leaves_no_trace_in_the_history(as_admin: Client) -> None:
    products = list(Product.objects.all())
    for page, body in (
        (_page(Product, "delete", products[0]), {"post": "yes"}),
        (_page(Product, "changelist"), _delete_selected(products)),
    ):
        with pytest.raises(DatabaseError, match="not now"):
            as_admin.post(page, body)
    assert _entries("inventory") == []
    assert Product.objects.count() == len(products)


def test_a_user_is_added_told_and_can_sign_in(as_admin: Client) -> None:
    body = {"email": "New@Shop.example", "name": "New", "role": "staff", "is_active": "on"}
    answer = as_admin.post(_page(User, "add"), {**body, "new_password": "a river in autumn"})
    assert answer.status_code == 302
    user = User.objects.get(email="new@shop.example")
    assert use(Users).sign_in(email="new@shop.example", password="a river in autumn") == user.identity
    event = OutboxEvent.objects.using("users").get()
    assert (event.type, event.key) == ("users.customer_registered.v1", str(user.pk))
    assert _history(as_admin, user) == [("added", ADMIN)]


def test_a_user_without_a_password_cannot_sign_in(as_admin: Client) -> None:
    as_admin.post(_page(User, "add"), {"email": "new@shop.example", "name": "New", "role": "staff", "is_active": "on"})
    with pytest.raises(InvalidCredentials):
        use(Users).sign_in(email="new@shop.example", password="")


def test_a_changed_user_keeps_the_password_and_a_new_one_is_never_written_down(as_admin: Client) -> None:
    user = User.objects.get(email=CUSTOMER)
    body = {"email": CUSTOMER, "name": "Renamed", "role": "customer", "is_active": "on"}
    assert as_admin.post(_page(User, "change", user), body).status_code == 302
    assert use(Users).sign_in(email=CUSTOMER, password="demo").name == "Renamed"
    as_admin.post(_page(User, "change", user), {**body, "new_password": "a river in autumn"})
    assert use(Users).sign_in(email=CUSTOMER, password="a river in autumn").name == "Renamed"
    entries = AuditEntry.objects.using("users").values_list("changes", flat=True)
    assert "a river in autumn" not in json.dumps(list(entries))


@pytest.mark.parametrize(
    ("field", "value"), [("email", ADMIN.upper()), ("email", "nobody"), ("role", "king"), ("new_password", "short")]
)
def test_a_user_that_cannot_be_is_refused_with_its_field(as_admin: Client, field: str, value: str) -> None:
    body = {"email": "new@shop.example", "name": "New", "role": "staff", "is_active": "on", field: value}
    answer = as_admin.post(_page(User, "add"), body)
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]


def test_nobody_deletes_an_account_and_it_is_not_offered(as_admin: Client) -> None:
    """Orders and payments know it by its id; it is made inactive instead."""
    user = User.objects.get(email=CUSTOMER)
    assert "delete_selected" not in as_admin.get(_page(User, "changelist")).text
    assert as_admin.post(_page(User, "delete", user), {"post": "yes"}).status_code == 403
    as_admin.post(_page(User, "changelist"), _delete_selected([user]))
    assert User.objects.filter(pk=user.pk).exists()


def test_nobody_takes_the_own_rights_or_account_away(as_admin: Client) -> None:
    user = User.objects.get(email=ADMIN)
    as_admin.post(_page(User, "change", user), {"email": ADMIN, "name": "Me", "role": "customer"})
    as_admin.post(_page(User, "delete", user), {"post": "yes"})
    as_admin.post(_page(User, "changelist"), _delete_selected([user]))
    user.refresh_from_db()
    assert (user.name, user.role, user.is_active) == ("Me", "admin", True)


def test_a_missing_object_leads_back_to_the_index(as_admin: Client) -> None:
    for page in ("change", "history", "delete"):
        assert as_admin.get(reverse(f"admin:inventory_product_{page}", args=["NONE"])).status_code == 302


def test_every_page_has_the_shops_icon(client: Client, as_admin: Client) -> None:
    for page in (client.get("/admin/login/"), as_admin.get("/admin/"), as_admin.get(_page(Product, "add"))):
        assert 'href="/static/storefront/icon.svg"' in page.text


@pytest.mark.django_db(transaction=True)
def test_money_is_shown_as_money(as_admin: Client, ordered: None) -> None:
    order, payment = Order.objects.get(), Payment.objects.get()
    amount = f"{order.total_cents // 100:,}.{order.total_cents % 100:02d} EUR"
    for model, row in ((Order, order), (Payment, payment)):
        for page in (_page(model, "changelist"), _page(model, "change", row)):
            assert amount in as_admin.get(page).text
    Product.objects.update(price_cents=123405)
    assert "1,234.05 EUR" in as_admin.get(_page(Product, "changelist")).text


COPY = "Inventory lives in unit inventory; this is a copy, read only."


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inventory lives in another unit."""
    elsewhere = {"inventory": Remote("inventory", "http://127.0.0.1:1")}
    monkeypatch.setattr(configuration, "resolve", elsewhere.get)


def test_a_module_that_lives_elsewhere_is_shown_as_a_copy(as_admin: Client, moved: None) -> None:
    product = Product.objects.first()
    assert product is not None
    for page in (_page(Product, "changelist"), _page(Product, "change", product), _page(Product, "history", product)):
        shown = as_admin.get(page).text
        assert shown.count(COPY) == 1
        assert product.name in unescape(shown)
        assert 'name="_save"' not in shown
    assert "read only" not in as_admin.get(_page(User, "changelist")).text


def test_a_module_that_lives_elsewhere_is_not_changed_here(as_admin: Client, moved: None) -> None:
    before = list(Product.objects.order_by("pk").values())
    product = Product.objects.get(pk=before[0]["sku"])
    with CaptureQueriesContext(connections["inventory"]) as statements:
        assert as_admin.get(_page(Product, "add")).status_code == 403
        assert as_admin.post(_page(Product, "change", product), {**_form(product), "name": "New"}).status_code == 403
        assert as_admin.post(_page(Product, "delete", product), {"post": "yes"}).status_code == 403
        as_admin.post(_page(Product, "changelist"), _delete_selected([product]))
    assert {statement["sql"].split()[0] for statement in statements}.isdisjoint({"INSERT", "UPDATE", "DELETE"})
    assert list(Product.objects.order_by("pk").values()) == before


@pytest.mark.django_db(transaction=True)
def test_an_action_of_a_module_that_lives_elsewhere_is_not_done_here(
    as_admin: Client, ordered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = Payment.objects.get()
    Payment.objects.update(due_at=None)
    monkeypatch.setattr(configuration, "resolve", {"payments": Remote("payments", "http://127.0.0.1:1")}.get)
    shown = as_admin.get(_page(Payment, "changelist")).text
    assert "ask_again" not in shown
    as_admin.post(_page(Payment, "changelist"), {"action": "ask_again", "_selected_action": [str(payment.pk)]})
    assert Payment.objects.get().due_at is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (("MV001", '{"module": "inventory", "home": "inventory", "epoch": 1}'), "lives in unit inventory now"),
        (("MV002", '{"module": "inventory"}'), "is moving to another unit"),
    ],
)
def test_a_change_that_the_fence_refuses_is_told_on_a_page(
    as_admin: Client, refusal: tuple[str, str], told: str
) -> None:
    """Within the second in which this process does not know it yet."""
    product = Product.objects.first()
    assert product is not None
    with refusing("inventory_product", *refusal):
        answer = as_admin.post(_page(Product, "change", product), {**_form(product), "name": "New"})
    assert answer.status_code == 409
    assert told in answer.text
    assert "Nothing was changed" in answer.text
    assert not Product.objects.filter(name="New").exists()


@pytest.mark.django_db(transaction=True)
def test_a_change_while_its_module_is_in_motion_is_made_when_it_has_come_to_rest(as_admin: Client) -> None:
    product = Product.objects.first()
    assert product is not None
    with refusing("inventory_product", "MV002", '{"module": "inventory"}', times=3):
        answer = as_admin.post(_page(Product, "change", product), {**_form(product), "name": "New"})
    assert answer.status_code == 302
    assert Product.objects.filter(name="New").count() == 1
    assert _history(as_admin, product) == [("changed", ADMIN)]


@contextmanager
def refusing(table: str, sqlstate: str, detail: str, *, times: int = 1_000_000) -> Iterator[None]:
    """A table of inventory refuses so many writes, as its fence does."""
    parts = {
        "table": sql.Identifier(table),
        "sqlstate": sql.Literal(sqlstate),
        "detail": sql.Literal(detail),
        "times": sql.Literal(times),
    }
    begin = sql.SQL(
        """
        create sequence refusals;
        create function refuse_move() returns trigger language plpgsql as $$ begin
          if nextval('refusals') > {times} then return new; end if;
          raise exception 'refused' using errcode = {sqlstate}, schema = tg_table_schema, detail = {detail};
        end $$;
        create trigger refuse_move before update on {table} for each statement execute function refuse_move()
        """
    ).format(**parts)
    with connections["inventory"].cursor() as cursor:
        cursor.execute(begin)
        try:
            yield
        finally:
            cursor.execute("drop function refuse_move cascade; drop sequence refusals")
            where.forget()


@pytest.fixture
def _undeletable(_demo: None) -> Iterator[None]:
    """The database refuses to delete products."""
    with connections["inventory"].cursor() as cursor:
        cursor.execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$;"
            "create trigger refuse before delete on inventory_product execute function refuse()"
        )
        yield
        cursor.execute("drop function refuse cascade")


@pytest.fixture
def ordered(_demo: None) -> None:
    """An order placed over the public API, so that every module has rows."""
    client = Client()
    token = token_for(User.objects.get(email=CUSTOMER).identity)
    sku = Stock.objects.latest("on_hand").product_id
    answer = client.post(
        "/api/orders/",
        {"lines": [{"sku": sku, "quantity": 1}], "card": "tok_approve", "deliver_to": "1 Mill Lane"},
        content_type="application/json",
        headers={"authorization": f"Bearer {token}", "idempotency-key": str(uuid7())},
    )
    assert answer.status_code in (201, 202), answer.text


def _signed_in(email: str) -> Client:
    """A session as signing in begins it, without the time that a password hash takes."""
    client = Client()
    session = client.session
    remember(session, User.objects.get(email=email).identity)
    session.save()
    return client


def _page(model: type[models.Model], page: str, row: models.Model | None = None) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, args=[row.pk] if row else [])


def _form(product: Product) -> dict[str, Any]:
    fields = ("name", "description", "category", "price_cents")
    return {"is_on_sale": "on", **{name: getattr(product, name) for name in fields}}


def _delete_selected(rows: list[Any]) -> dict[str, Any]:
    return {"action": "delete_selected", "_selected_action": [str(row.pk) for row in rows], "post": "yes"}


def _history(client: Client, row: models.Model) -> list[tuple[str, str]]:
    page = client.get(_page(type(row), "history", row))
    return [(entry.action, entry.actor) for entry in page.context["entries"]]


def _entries(alias: str) -> list[tuple[str, str]]:
    return list(AuditEntry.objects.using(alias).values_list("action", "object_id"))


def _request_of(client: Client) -> Any:
    return client.get("/admin/").wsgi_request
