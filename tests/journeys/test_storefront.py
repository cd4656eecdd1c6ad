"""The storefront through Django's client, on the real database, with guards and CSRF checks on."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from uuid_utils.compat import uuid7

from contracts.inventory import Inventory, Line, UnknownProduct
from contracts.orders import Orders
from contracts.runtime import Remote, bind, use
from contracts.runtime.calls import _implementations
from contracts.runtime.configuration import configuration
from contracts.runtime.identity import SESSION_KEY, SESSION_UNTIL, remember
from modules.inventory.models import Product, Stock
from modules.inventory.seed import seed
from modules.users.models import User

pytestmark = pytest.mark.django_db

HOSTILE = """<script>alert(1)</script> "O'Hara" & {{ 7|add:7 }} ☕"""
INLINE = re.compile(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", re.IGNORECASE)


class Visitor(Client):
    """A browser without JavaScript: sends the CSRF token of the last form it saw."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True)

    def see(self, path: str, status: int = 200) -> str:
        response = self.get(path, follow=True)
        assert response.status_code == status, response.content
        return str(response.content.decode())

    def send(self, path: str, fields: dict[str, Any] | None = None, status: int = 200) -> str:
        if "csrftoken" not in self.cookies:
            self.get(reverse("sign-in"), follow=True)
        data = {**(fields or {}), "csrfmiddlewaretoken": self.cookies["csrftoken"].value}
        response = self.post(path, data, follow=True)
        assert response.status_code == status, response.content
        return str(response.content.decode())

    def sign_in(self, email: str = "customer-001@shop.example", password: str = "demo", **more: str) -> str:
        return self.send(reverse("sign-in"), {"email": email, "password": password, **more})

    def add(self, sku: str, quantity: Any = 1) -> str:
        return self.send(reverse("basket-add"), {"sku": sku, "quantity": quantity})

    def checkout_form(self, **changes: str) -> dict[str, str]:
        html = self.see(reverse("checkout"))
        fields = {name: unescape(value) for name, value in re.findall(r'name="(lines|key)" value="([^"]*)"', html)}
        return {**fields, "card": "tok_approve", "deliver_to": "1 Elm Street", **changes}

    @property
    def basket(self) -> dict[str, int]:
        return dict(self.session.get("basket", {}))

    @property
    def id(self) -> UUID:
        return UUID(self.session[SESSION_KEY]["id"])


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()


@pytest.fixture
def customer() -> Visitor:
    return signed_in("buyer@people.example")


@pytest.fixture
def accounts() -> None:
    """customer-001@shop.example and the like, whose password is demo."""
    call_command("seed", products=0, customers=3, interactive=False, verbosity=0)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Move modules to an address where nobody listens."""

    def go(*modules: str) -> None:
        nowhere = Remote(unit=f"nowhere-{uuid7()}", url="http://127.0.0.1:1")
        monkeypatch.setattr(configuration, "resolve", lambda module: nowhere if module in modules else None)

    return go


def signed_in(email: str, *, role: str = "customer") -> Visitor:
    """A visitor whose session has begun without the cost of a password."""
    user = User.objects.create(email=email, name="Bo Buyer", address="7 Fig Lane", role=role, password="!")
    visitor, session = Visitor(), SessionStore()
    remember(session, user.identity)
    session.save()
    visitor.cookies[settings.SESSION_COOKIE_NAME] = session.session_key or ""
    return visitor


def product(sku: str = "CUP-1", *, name: str = "Plain Cup", pieces: int = 50, category: str = "Kitchen") -> str:
    made = Product.objects.create(
        sku=sku, name=name, description=f"About {name}", category=category, price_cents=1250, is_on_sale=True
    )
    Stock.objects.create(product=made, received=pieces, on_hand=pieces)
    return sku


def orders_of(visitor: Visitor) -> tuple[Any, ...]:
    return use(Orders).orders_of(customer_id=visitor.id)


def skus_in(html: str) -> list[str]:
    return re.findall(r'href="/products/([^/"]+)/"', html)


def test_paging_shows_every_product_once(visitor: Visitor) -> None:
    seed(amounts={"products": 30})
    seen, path = [], reverse("catalogue")
    while path:
        html = visitor.see(path)
        seen += skus_in(html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        path = "/" + unescape(following[1]) if following else ""
    assert len(seen) == 30
    assert len(set(seen)) == 30


def test_search_and_category_narrow_the_catalogue(visitor: Visitor) -> None:
    product("CUP-1", name="Blue Cup")
    product("CUP-2", name="Red Cup")
    product("PEN-1", name="Blue Pen", category="Desk")
    assert skus_in(visitor.see("/?q=blue")) == ["CUP-1", "PEN-1"]
    assert skus_in(visitor.see("/?category=Kitchen")) == ["CUP-1", "CUP-2"]
    assert skus_in(visitor.see("/?category=Kitchen&q=blue")) == ["CUP-1"]
    assert "Nothing found" in visitor.see("/?q=zebra")
    assert 'href="?category=Desk"' in visitor.see("/")
    assert visitor.see("/").count('<svg class="artwork') == 3


@pytest.mark.parametrize("query", ["q=%00", "after=%00&category=%ff", "q=" + "x" * 5000, "after=%27%22%3C"])
def test_a_strange_query_is_no_error(visitor: Visitor, query: str) -> None:
    visitor.see(f"/?{query}")


def test_a_product_that_is_not_there_is_404(visitor: Visitor) -> None:
    Product.objects.filter(sku=product("GONE")).update(is_on_sale=False)
    for path in ("/products/NOPE/", "/products/a%00b/", "/products/a/b/", "/products/GONE/"):
        assert "Not here" in visitor.see(path, 404)


def test_a_hostile_name_stays_text_on_every_page(customer: Visitor) -> None:
    sku = product("EVIL-1", name=HOSTILE, category=HOSTILE)
    added = customer.send(reverse("basket-add"), {"sku": sku, "quantity": 1, "next": f"/products/{sku}/"})
    pages = [added, customer.see(f"/?q={sku}"), customer.see("/basket/"), customer.see("/checkout/")]
    placed = customer.send(reverse("checkout"), customer.checkout_form(deliver_to=HOSTILE))
    for html in [*pages, placed, customer.see("/orders/"), customer.see(f"/?q={HOSTILE}")]:
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
        assert "{{ 7|add:7 }}" in html


def test_every_page_keeps_to_its_content_policy(customer: Visitor) -> None:
    customer.add(product())
    form = customer.checkout_form()
    paths = ["/", "/products/CUP-1/", "/basket/", "/checkout/", "/orders/", "/nope/"]
    customer.send(reverse("checkout"), form)
    paths.append(reverse("my-order", args=[orders_of(customer)[0].id]))
    customer.add("CUP-1")
    pages = [customer.get(path) for path in paths] + [Visitor().get("/sign-in/"), Visitor().get("/register/")]
    for response in pages:
        assert response["Content-Security-Policy"].startswith("default-src 'none'")
        assert not INLINE.search(response.content.decode())


def test_styles_and_scripts_are_served(visitor: Visitor) -> None:
    from django.contrib.staticfiles import finders

    linked = re.findall(r'(?:src|href)="/static/([^"]+)"', visitor.see("/"))
    assert len(set(linked)) == 3
    assert all(finders.find(path) for path in linked)


def test_pieces_add_up_in_the_basket(visitor: Visitor) -> None:
    sku = product()
    visitor.add(sku, 2)
    html = visitor.add(sku, 3)
    assert visitor.basket == {sku: 5}
    assert "€62.50" in html


@pytest.mark.parametrize(
    ("quantity", "told"),
    [
        (0, "must be at least 1"),
        (-3, "must be at least 1"),
        (100, "At most 99 pieces"),
        ("9" * 6000, "whole number"),
        ("two", "whole number"),
        ("1.5", "whole number"),
        ("", "how many pieces"),
    ],
)
def test_a_quantity_that_makes_no_sense_is_refused(visitor: Visitor, quantity: Any, told: str) -> None:
    assert told in visitor.add(product(), quantity)
    assert visitor.basket == {}


def test_the_basket_takes_no_more_than_is_in_stock(visitor: Visitor) -> None:
    sku = product(pieces=4)
    visitor.add(sku, 3)
    assert "You can have 4" in visitor.add(sku, 3)
    assert visitor.basket == {sku: 4}
    assert "sold out" in visitor.add(product("EMPTY", pieces=0))
    assert visitor.basket == {sku: 4}


def test_an_unknown_product_is_not_added(visitor: Visitor) -> None:
    for sku in ("NOPE", "a\0b", "'; drop table product;--", ""):
        visitor.add(sku)
    assert visitor.basket == {}


def test_a_basket_takes_as_many_products_as_an_order(visitor: Visitor) -> None:
    for number in range(51):
        html = visitor.add(product(f"CUP-{number:02}"))
    assert "50 different products" in html
    assert len(visitor.basket) == 50


def test_a_line_is_changed_and_removed(visitor: Visitor) -> None:
    sku = product()
    visitor.add(sku)
    visitor.send(reverse("basket-set"), {"sku": sku, "quantity": 7})
    assert visitor.basket == {sku: 7}
    assert "must be at least 0" in visitor.send(reverse("basket-set"), {"sku": sku, "quantity": -1})
    for other in (product("OTHER"), "a/b"):
        visitor.send(reverse("basket-set"), {"sku": other, "quantity": 7})
    assert visitor.basket == {sku: 7}
    assert "Nothing in it yet" in visitor.send(reverse("basket-set"), {"sku": sku, "quantity": 0})
    assert visitor.basket == {}


def test_a_product_no_longer_on_sale_leaves_the_basket(visitor: Visitor) -> None:
    visitor.add(product("STAYS"))
    visitor.add(product("GOES"))
    Product.objects.filter(sku="GOES").update(is_on_sale=False)
    html = visitor.see("/basket/")
    assert "GOES is no longer on sale" in html
    assert "€12.50" in html
    assert visitor.basket == {"STAYS": 1}


def test_a_wrong_password_signs_nobody_in(visitor: Visitor, accounts: None) -> None:
    for email, password in (("customer-001@shop.example", "not-mine-1"), ("nobody@shop.example", "not-mine-2")):
        html = visitor.send(reverse("sign-in"), {"email": email, "password": password}, 422)
        assert "The email address or the password is wrong." in html
        assert password not in html
    assert SESSION_KEY not in visitor.session
    assert "sign-in" in visitor.get("/orders/")["Location"]


def test_an_account_is_closed_for_a_minute_after_many_wrong_passwords(
    visitor: Visitor, accounts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SIGN_IN_FAILURES_PER_MINUTE", 2)
    email = "customer-003@shop.example"
    fields = {"email": email, "password": "wrong"}
    pages = [visitor.send(reverse("sign-in"), fields, 422) for _ in range(3)]
    assert "Too many wrong passwords. Try again in 60 seconds." not in pages[0]
    assert "Too many wrong passwords. Try again in 60 seconds." in pages[-1]


def test_signing_in_changes_the_session_key_and_keeps_the_basket(visitor: Visitor, accounts: None) -> None:
    visitor.add(product())
    before = visitor.session.session_key
    visitor.sign_in()
    assert visitor.session.session_key != before
    assert visitor.basket == {"CUP-1": 1}
    planted = Client(headers={"cookie": f"sessionid={before}"})
    assert "sign-in" in planted.get("/orders/")["Location"]


def test_signing_in_changes_the_csrf_token(visitor: Visitor, accounts: None) -> None:
    visitor.see("/sign-in/")
    before = visitor.cookies["csrftoken"].value
    visitor.sign_in()
    assert visitor.cookies["csrftoken"].value != before


def test_an_identity_ends_after_its_time_however_often_the_session_is_saved(customer: Visitor) -> None:
    session = customer.session
    session[SESSION_UNTIL] -= 12 * 3600
    session.save()
    customer.add(product())
    assert customer.session.get_expiry_age() > 3600
    assert "sign-in" in customer.get("/orders/")["Location"]


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil"])
def test_signing_in_leads_to_no_other_site(visitor: Visitor, accounts: None, elsewhere: str) -> None:
    visitor.see("/sign-in/")
    token = visitor.cookies["csrftoken"].value
    fields = {"email": "customer-001@shop.example", "password": "demo", "csrfmiddlewaretoken": token}
    response = visitor.post("/sign-in/", {**fields, "next": elsewhere})
    assert response["Location"] == "/"
    assert Visitor().post("/sign-in/", {**fields, "next": elsewhere}).status_code == 403


def test_signing_out_takes_a_post_and_ends_the_session(customer: Visitor) -> None:
    key = customer.session.session_key
    assert customer.get("/sign-out/").status_code == 405
    assert "You are signed out" in customer.send("/sign-out/")
    stolen = Client(headers={"cookie": f"sessionid={key}"})
    assert "sign-in" in stolen.get("/orders/")["Location"]


def test_a_visitor_registers_and_is_signed_in(visitor: Visitor) -> None:
    visitor.add(product())
    fields = {"name": "Ada", "email": "ada@people.example", "password": "Tr0ub4dor-3", "address": "1 Loop Lane"}
    visitor.send(reverse("register"), {**fields, "next": "/checkout/"})
    assert visitor.session[SESSION_KEY]["email"] == "ada@people.example"
    assert "1 Loop Lane" in visitor.see("/checkout/")
    html = Visitor().send(reverse("register"), fields, 422)
    assert "Somebody has registered with this address" in html
    assert "Tr0ub4dor-3" not in html


def test_a_password_that_the_api_refuses_is_told_at_its_field(visitor: Visitor) -> None:
    fields = {"name": "Ada", "email": "ada@people.example", "password": "password", "address": ""}
    assert "This password is too common." in visitor.send(reverse("register"), fields, 422)


def test_checking_out_asks_to_sign_in_first(visitor: Visitor, accounts: None) -> None:
    visitor.add(product())
    response = visitor.get("/checkout/")
    assert response["Location"] == "/sign-in/?next=/checkout/"
    assert "Pay with a test card" in visitor.sign_in(next="/checkout/")


def test_an_empty_basket_cannot_be_checked_out(customer: Visitor) -> None:
    assert "Nothing in it yet" in customer.see("/checkout/")


def test_an_order_is_placed_and_the_basket_emptied(customer: Visitor) -> None:
    customer.add(product(), 2)
    html = customer.send(reverse("checkout"), customer.checkout_form())
    assert "You placed the order" in html
    (order,) = orders_of(customer)
    assert order.total_cents == 2500
    assert order.deliver_to == "1 Elm Street"
    assert customer.basket == {}
    assert reverse("my-order", args=[order.id]) in customer.see("/orders/")


def test_a_double_submit_places_one_order(customer: Visitor) -> None:
    customer.add(product())
    form, reloaded = customer.checkout_form(), customer.checkout_form()
    assert form["key"] == reloaded["key"]
    pages = [customer.send(reverse("checkout"), fields) for fields in (form, form, reloaded)]
    (order,) = orders_of(customer)
    assert all(str(order.id) in html for html in pages)


def test_a_second_order_of_the_same_goods_is_another_order(customer: Visitor) -> None:
    sku = product()
    for _ in range(2):
        customer.add(sku)
        customer.send(reverse("checkout"), customer.checkout_form())
    assert len(orders_of(customer)) == 2


def test_an_old_tab_leaves_the_next_basket_alone(customer: Visitor) -> None:
    customer.add(product("FIRST"))
    old = customer.checkout_form()
    customer.add(product("SECOND"))
    customer.send(reverse("checkout"), old)
    assert [line.sku for line in orders_of(customer)[0].lines] == ["FIRST"]
    assert customer.basket == {"FIRST": 1, "SECOND": 1}


def test_a_key_used_for_another_order_is_told_and_places_nothing(customer: Visitor) -> None:
    customer.add(product("FIRST"))
    used = customer.checkout_form()
    customer.send(reverse("checkout"), used)
    customer.add(product("SECOND"))
    html = customer.send(reverse("checkout"), {**customer.checkout_form(), "key": used["key"]})
    assert "was used for another request" in html
    assert len(orders_of(customer)) == 1
    assert customer.basket == {"SECOND": 1}


def test_a_product_that_goes_off_sale_during_checkout_is_told(customer: Visitor) -> None:
    customer.add(product("STAYS"))
    customer.add(product("GOES"))
    form = customer.checkout_form()
    Product.objects.filter(sku="GOES").update(is_on_sale=False)
    html = customer.send(reverse("checkout"), form)
    assert "No product on sale has the sku" in html
    assert "GOES is no longer on sale" in html
    assert orders_of(customer) == ()
    assert customer.basket == {"STAYS": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": "not json"},
        {"lines": "{}"},
        {"lines": '[{"sku": "CUP-1", "quantity": -1}]'},
        {"lines": '[{"sku": "CUP-1", "quantity": 1e9}]'},
        {"lines": '[{"sku": {"a": 1}, "quantity": []}]'},
        {"lines": "[" * 5000},
        {"card": "4242424242424242"},
        {"key": ""},
        {"key": "☕"},
        {"deliver_to": "x" * 501},
    ],
)
def test_a_tampered_form_places_nothing_and_keeps_the_basket(customer: Visitor, changes: dict[str, str]) -> None:
    customer.add(product())
    html = customer.send(reverse("checkout"), customer.checkout_form(**changes))
    assert 'class="error"' in html
    assert orders_of(customer) == ()
    assert customer.basket == {"CUP-1": 1}


def test_a_form_of_another_site_is_refused(customer: Visitor) -> None:
    customer.add(product())
    form = customer.checkout_form()
    response = customer.post(reverse("checkout"), form)
    assert response.status_code == 403
    assert b"Please try again" in response.content
    assert orders_of(customer) == ()


def test_a_browser_orders_at_the_public_api(customer: Visitor) -> None:
    customer.add(product())
    form = customer.checkout_form()
    token = customer.cookies["csrftoken"].value

    def place(**headers: str) -> Any:
        body = {"lines": [{"sku": "CUP-1", "quantity": 1}], "card": form["card"], "deliver_to": form["deliver_to"]}
        headers = {"idempotency-key": form["key"], **headers}
        return customer.post("/api/orders/", body, content_type="application/json", headers=headers)

    assert place().status_code == 403
    answers = [place(**{"x-csrftoken": token}) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {201}
    (order,) = orders_of(customer)
    html = customer.send(reverse("checkout-placed"), {"order": str(order.id), "key": form["key"]})
    assert str(order.id) in html
    assert customer.basket == {}


def test_the_form_without_javascript_places_the_same_order_as_the_api(customer: Visitor) -> None:
    customer.add(product())
    form = customer.checkout_form()
    body = {"lines": [{"sku": "CUP-1", "quantity": 1}], "card": form["card"], "deliver_to": form["deliver_to"]}
    headers = {"idempotency-key": form["key"], "x-csrftoken": customer.cookies["csrftoken"].value}
    customer.post("/api/orders/", body, content_type="application/json", headers=headers)
    (order,) = orders_of(customer)
    assert str(order.id) in customer.send(reverse("checkout"), form)
    assert len(orders_of(customer)) == 1


def test_an_order_is_its_own_customers_alone(customer: Visitor) -> None:
    customer.add(product())
    customer.send(reverse("checkout"), customer.checkout_form())
    path = reverse("my-order", args=[orders_of(customer)[0].id])
    for other in (signed_in("other@people.example"), signed_in("boss@people.example", role="admin")):
        assert "Not here" in other.see(path, 404)
        assert "Not here" in other.see(f"{path}status/", 404)
        assert "None yet" in other.see("/orders/")
    assert "sign-in" in Visitor().get(path)["Location"]
    assert "Not here" in customer.see(reverse("my-order", args=[uuid7()]), 404)


@pytest.mark.django_db(transaction=True)
def test_the_order_page_follows_the_order_until_it_is_settled(customer: Visitor) -> None:
    from modules.payments.models import Payment
    from modules.payments.tasks import charge

    customer.add(product())
    html = customer.send(reverse("checkout"), customer.checkout_form())
    (order,) = orders_of(customer)
    status = reverse("my-order-status", args=[order.id])
    assert 'http-equiv="refresh"' in html
    assert 'data-settled="no"' in customer.see(status)
    assert "The goods are reserved" in customer.see(status)
    charge(str(Payment.objects.get(order_id=order.id).order_id))
    settled = customer.see(status)
    assert 'data-settled="yes"' in settled
    assert "Paid and confirmed" in settled
    assert 'http-equiv="refresh"' not in customer.see(reverse("my-order", args=[order.id]))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("card", "told"),
    [("tok_decline", "your bank does not honour this card"), ("tok_approve", "payment reference sandbox_")],
)
def test_what_the_payment_company_says_is_told_in_words(customer: Visitor, card: str, told: str) -> None:
    from modules.payments.models import Payment
    from modules.payments.tasks import charge

    customer.add(product())
    customer.send(reverse("checkout"), customer.checkout_form(card=card))
    (order,) = orders_of(customer)
    charge(str(Payment.objects.get(order_id=order.id).order_id))
    html = customer.see(reverse("my-order", args=[order.id]))
    assert told in html
    assert "card_declined" not in html


@pytest.mark.parametrize("accept", ["text/html", "image/png", "nonsense"])
def test_the_api_answers_a_browser_that_asks_for_a_page(customer: Visitor, accept: str) -> None:
    for path in ("/api/orders/", "/api/schema/"):
        assert customer.get(path, headers={"accept": accept}).status_code == 200


def test_without_inventory_the_basket_is_kept(customer: Visitor, away: Callable[..., None]) -> None:
    customer.add(product())
    form = customer.checkout_form()
    away("inventory")
    for path in ("/", "/products/CUP-1/", "/checkout/"):
        assert "Back in a moment" in customer.see(path, 503)
    assert "no names and prices" in customer.see("/basket/")
    assert "nothing was added" in customer.add("CUP-1")
    assert "does not answer" in customer.send(reverse("checkout"), form, 503)
    assert customer.see("/orders/")
    assert customer.basket == {"CUP-1": 1}
    away()
    customer.send(reverse("checkout"), form)
    assert len(orders_of(customer)) == 1


def test_without_payments_the_order_shows(customer: Visitor, away: Callable[..., None]) -> None:
    customer.add(product())
    customer.send(reverse("checkout"), customer.checkout_form())
    path = reverse("my-order", args=[orders_of(customer)[0].id])
    away("payments")
    html = customer.see(path)
    assert "The payment desk does not answer" in html
    assert "You placed the order" in html


def test_without_orders_the_rest_works(customer: Visitor, away: Callable[..., None]) -> None:
    away("orders")
    assert "Back in a moment" in customer.see("/orders/", 503)
    assert "Back in a moment" in customer.see(reverse("my-order", args=[uuid7()]), 503)
    customer.add(product())
    assert "Plain Cup" in customer.see("/")


def test_without_users_a_signed_in_customer_goes_on(customer: Visitor, away: Callable[..., None]) -> None:
    customer.add(product())
    away("users")
    assert "Pay with a test card" in customer.see("/checkout/")
    assert "Back in a moment" in Visitor().send("/sign-in/", {"email": "a@b.example", "password": "demo"}, 503)


@pytest.fixture
def broken_inventory() -> Iterator[None]:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("a bug")

    real = _implementations["inventory"]
    bind(Inventory, Broken())
    yield
    _implementations["inventory"] = real


def test_a_bug_answers_500_in_the_shops_own_words(visitor: Visitor, broken_inventory: None) -> None:
    visitor.raise_request_exception = False
    html = visitor.see("/", 500)
    assert "That went wrong" in html
    assert "a bug" not in html


def test_a_quote_that_blames_a_product_nobody_asked_for_is_an_error(visitor: Visitor) -> None:
    class Confused:
        def quote(self, *, lines: tuple[Line, ...]) -> Any:
            raise UnknownProduct("OTHER")

    visitor.add(product())
    visitor.raise_request_exception = False
    real = _implementations["inventory"]
    bind(Inventory, Confused())
    try:
        visitor.see("/basket/", 500)
    finally:
        _implementations["inventory"] = real
    assert visitor.basket == {"CUP-1": 1}
