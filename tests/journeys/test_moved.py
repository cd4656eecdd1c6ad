"""A visitor while a module lives in another process: pages here, the module there, on the test's database.

The other unit is started as it is deployed: a name of its own, and no key that only users has.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.urls import reverse
from uuid_utils.compat import uuid7

from contracts.orders import Orders
from contracts.runtime import Remote, configure, use
from contracts.runtime.configuration import configuration
from contracts.runtime.http import client as calls
from contracts.runtime.identity import COOKIE, SESSION_KEY, identity_in, token_for
from contracts.runtime.tokens import new_key, sign
from contracts.users import Identity
from extraction.placement import where
from extraction.platform.local.ports import free_port
from modules.users.models import User
from tests.journeys.test_storefront import Visitor, product, signed_in

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]
PASSWORD = "a river in autumn"


@contextmanager
def serving(unit: str, *modules: str) -> Iterator[str]:
    """The base URL of a unit with these modules."""
    port = free_port()
    environment = {**os.environ, "SHOP_UNIT": unit, "SHOP_MODULES": ",".join(modules)}
    if unit != "users":
        del environment["IDENTITY_SIGNING_KEY"]
    bind = ["--bind", f"127.0.0.1:{port}", "--threads", "4", "--log-level", "error"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "shop.wsgi", *bind], env=environment, start_new_session=True
    )
    try:
        end = time.monotonic() + 60
        while not _answers(f"http://127.0.0.1:{port}/healthz"):
            assert process.poll() is None, f"the unit {unit} ended with {process.returncode}"
            assert time.monotonic() < end, f"the unit {unit} did not start in 60 s"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def living_at(module: str, url: str) -> Iterator[None]:
    """This process takes the module to live in the unit of its name."""
    before = configuration.resolve
    calls._breaker.cache_clear()
    configure(resolve={module: Remote(module, url)}.get)
    try:
        yield
    finally:
        configure(resolve=before)
        calls._breaker.cache_clear()


@pytest.fixture(scope="module")
def inventory_unit(django_db_setup: None) -> Iterator[str]:
    with serving("inventory", "inventory") as url:
        yield url


@pytest.fixture(scope="module")
def orders_unit(django_db_setup: None) -> Iterator[str]:
    """With all modules, for an order needs them; what counts is that it is another process without the session."""
    with serving("orders", *settings.ALL_MODULES) as url:
        yield url


@pytest.fixture(scope="module")
def users_unit(django_db_setup: None) -> Iterator[str]:
    with serving("users", "users") as url:
        yield url


@pytest.fixture
def ann() -> User:
    cache.clear()
    user = User(email="ann@people.example", name="Ann", address="7 Fig Lane")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def keyless(settings: Any) -> None:
    """As the monolith is when users has left and taken its key along."""
    settings.IDENTITY_SIGNING_KEY = None


@pytest.fixture
def moves_meanwhile() -> Iterator[None]:
    """Orders has just left: its tables refuse this process, as the fence does, and take what the unit orders writes."""
    with connections["orders"].cursor() as cursor:
        cursor.execute(
            """
            create function orders_left() returns trigger language plpgsql as $$ begin
              if current_setting('application_name') = 'orders:orders' then return new; end if;
              raise exception 'orders lives in orders' using errcode = 'MV001', schema = 'orders',
                detail = '{"module": "orders", "unit": "monolith", "home": "orders", "epoch": 1}';
            end $$;
            create trigger orders_left before insert on orders_order for each statement execute function orders_left()
            """
        )
        yield
        cursor.execute("drop function orders_left cascade")
    where.forget()


def identity_token(visitor: Client) -> str:
    return visitor.cookies[COOKIE].value if COOKIE in visitor.cookies else ""


def staff_cookies(role: Any = "staff") -> dict[str, str]:
    identity = Identity(id=uuid7(), email="staff@shop.example", name="Sam", role=role)
    return {COOKIE: token_for(identity), "csrftoken": secrets.token_hex(16)}


def receive(url: str, cookies: dict[str, str], *, csrf: str | None = None) -> httpx2.Response:
    """As a browser posts it to the unit that inventory moved to."""
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), "idempotency-key": "k-1"}
    if csrf is not None:
        headers["x-csrftoken"] = csrf
    path = f"{url}/api/inventory/CUP-1/receive/"
    return httpx2.post(path, json={"quantity": 3}, headers=headers, trust_env=False)


def orders_of(visitor: Visitor) -> tuple[Any, ...]:
    return use(Orders).orders_of(customer_id=visitor.id)


def test_signing_in_brings_a_token_that_no_script_can_read_and_signing_out_takes_it_away(ann: User) -> None:
    visitor = Visitor()
    visitor.sign_in(ann.email, PASSWORD)
    cookie = visitor.cookies[COOKIE]
    assert identity_in(cookie.value) == ann.identity
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 12 * 3600)
    visitor.send("/sign-out/")
    assert visitor.cookies[COOKIE].value == ""


def test_where_the_sessions_are_a_token_alone_opens_nothing(ann: User) -> None:
    """Or a session that was signed out would live on in a cookie that was kept."""
    stale = Client()
    stale.cookies[COOKIE] = token_for(ann.identity)
    assert "sign-in" in stale.get("/orders/")["Location"]
    assert stale.get("/api/orders/").status_code == 401
    assert stale.get("/admin/").status_code == 302


def test_a_session_without_the_token_is_brought_one_that_ends_with_it() -> None:
    visitor = signed_in("bo@people.example")
    visitor.see("/orders/")
    assert identity_in(identity_token(visitor)).email == "bo@people.example"
    assert 0 < int(visitor.cookies[COOKIE]["max-age"]) <= 12 * 3600


def test_a_token_of_somebody_else_beside_a_session_is_replaced(ann: User) -> None:
    """Who planted it would own what the visitor orders at another unit."""
    visitor = signed_in("bo@people.example")
    visitor.cookies[COOKIE] = token_for(ann.identity)
    visitor.see("/orders/")
    assert identity_in(identity_token(visitor)).email == "bo@people.example"
    own = identity_token(visitor)
    visitor.see("/orders/")
    assert identity_token(visitor) == own, "the right one is left alone"


def test_another_unit_knows_the_visitor_by_the_token(inventory_unit: str) -> None:
    product("CUP-1")
    cookies = staff_cookies()
    assert receive(inventory_unit, cookies, csrf=cookies["csrftoken"]).status_code == 200
    customers = staff_cookies("customer")
    assert receive(inventory_unit, customers, csrf=customers["csrftoken"]).status_code == 403


def test_another_unit_refuses_a_form_of_another_site_and_a_forged_token(inventory_unit: str) -> None:
    product("CUP-1")
    cookies = staff_cookies()
    assert receive(inventory_unit, cookies).status_code == 403
    assert receive(inventory_unit, cookies, csrf=secrets.token_hex(16)).status_code == 403
    head, _, tail = cookies[COOKIE].rpartition(".")
    forged = {**cookies, COOKIE: f"{head}.{tail[::-1]}"}
    assert receive(inventory_unit, forged, csrf=cookies["csrftoken"]).status_code == 401
    assert receive(inventory_unit, {"csrftoken": "x" * 32}, csrf="x" * 32).status_code == 401


def test_another_unit_leaves_the_shops_session_cookie_alone(inventory_unit: str) -> None:
    product("CUP-1")
    with httpx2.Client(base_url=inventory_unit, trust_env=False) as browser:
        page = browser.get("/products/CUP-1/")
        token = re.findall(r'csrfmiddlewaretoken" value="([^"]+)', page.text)[0]
        browser.post("/basket/add/", data={"csrfmiddlewaretoken": token, "sku": "CUP-1", "quantity": "1"})
        assert {cookie.name for cookie in browser.cookies.jar} == {"csrftoken", "sessionid_inventory"}


def test_when_users_has_left_with_its_key_people_sign_in_and_are_known_elsewhere(
    ann: User, users_unit: str, keyless: None
) -> None:
    visitor = Visitor()
    with living_at("users", users_unit):
        visitor.sign_in(ann.email, PASSWORD)
        assert "is wrong" in visitor.send("/sign-in/", {"email": ann.email, "password": "not mine"}, 422)
    assert identity_in(identity_token(visitor)) == ann.identity
    assert "None yet" in visitor.see("/orders/")


def test_when_users_has_left_staff_sign_in_to_the_admin(ann: User, users_unit: str, keyless: None) -> None:
    User.objects.filter(pk=ann.pk).update(role="admin")
    staff = Client()
    with living_at("users", users_unit):
        staff.post("/admin/login/", {"username": ann.email, "password": PASSWORD})
    assert staff.get("/admin/").status_code == 200
    assert identity_in(identity_token(staff)).role == "admin"


def test_when_users_has_left_a_visitor_registers_without_javascript(users_unit: str, keyless: None) -> None:
    cache.clear()
    visitor = Visitor()
    fields = {"name": "Ada", "email": "ada@people.example", "password": PASSWORD, "address": "1 Loop Lane"}
    with living_at("users", users_unit):
        visitor.send(reverse("register"), fields)
        again = Visitor().send(reverse("register"), fields, 422)
    assert visitor.session[SESSION_KEY]["email"] == "ada@people.example"
    assert "Somebody has registered with this address" in again


def test_a_session_whose_token_is_lost_and_cannot_be_renewed_is_asked_to_sign_in_again(keyless: None) -> None:
    """And not sent in a circle: a script that is refused by another unit sends its visitor here."""
    visitor = signed_in("bo@people.example")
    assert visitor.get("/sign-in/?next=/checkout/").status_code == 200
    visitor.cookies[COOKIE] = sign({}, new_key("stranger"), audience="shop", valid_s=60)
    assert visitor.get("/sign-in/?next=/checkout/").status_code == 200


def test_when_orders_lives_elsewhere_a_form_without_javascript_places_one_order(orders_unit: str) -> None:
    visitor = signed_in("bo@people.example")
    visitor.add(product(), 2)
    form = visitor.checkout_form()
    with living_at("orders", orders_unit):
        pages = [visitor.send(reverse("checkout"), form) for _ in range(2)]
    (order,) = orders_of(visitor)
    assert (order.total_cents, order.deliver_to) == (2500, "1 Elm Street")
    assert all(str(order.id) in html for html in pages)
    assert visitor.basket == {}


def test_what_the_other_unit_refuses_is_told_and_the_basket_kept(orders_unit: str) -> None:
    visitor = signed_in("bo@people.example")
    visitor.add(product())
    form = visitor.checkout_form()
    with living_at("orders", orders_unit):
        visitor.send(reverse("checkout"), form)
        visitor.add("CUP-1", 3)
        told = visitor.send(reverse("checkout"), {**visitor.checkout_form(), "key": form["key"]})
    assert "was used for another request" in told
    assert visitor.basket == {"CUP-1": 3}


def test_no_order_is_placed_for_whoever_else_the_token_names(orders_unit: str, ann: User) -> None:
    visitor = signed_in("bo@people.example")
    visitor.add(product())
    form = visitor.checkout_form()
    visitor.cookies[COOKIE] = token_for(ann.identity)
    with living_at("orders", orders_unit):
        assert "Sign out and in again" in visitor.send(reverse("checkout"), form)
    assert use(Orders).orders_of(customer_id=ann.id) == ()
    assert visitor.basket == {"CUP-1": 1}


def test_an_order_that_meets_the_move_itself_is_placed_at_the_new_home(
    orders_unit: str, moves_meanwhile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = signed_in("bo@people.example")
    visitor.add(product())
    form = visitor.checkout_form()
    asked: list[str] = []

    def learns(module: str) -> Remote | None:
        """Here, until a refusal has told otherwise."""
        asked.append(module)
        return Remote("orders", orders_unit) if asked.count("orders") > 1 and module == "orders" else None

    monkeypatch.setattr(configuration, "resolve", learns)
    html = visitor.send(reverse("checkout"), form)
    (order,) = orders_of(visitor)
    assert str(order.id) in html
    assert visitor.basket == {}


def test_an_order_at_a_home_that_is_away_is_told_kindly_and_placed_later(ann: User) -> None:
    visitor = signed_in("bo@people.example")
    visitor.add(product())
    form = visitor.checkout_form()
    with living_at("orders", f"http://127.0.0.1:{free_port()}"):
        assert "Back in a moment" in visitor.send(reverse("checkout"), form, 503)
    assert visitor.basket == {"CUP-1": 1}
    visitor.send(reverse("checkout"), form)
    assert len(orders_of(visitor)) == 1
