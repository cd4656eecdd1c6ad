"""From a basket to an order."""

from uuid import UUID

import msgspec
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from contracts.runtime import use
from contracts.users import UnknownCustomer, Users
from shop.storefront import public_api
from shop.storefront.basket import Basket, basket_price
from shop.storefront.forms import CARDS, CheckoutForm, PlacedForm
from shop.storefront.pages import AWAY, customer_id, page, tell_errors, tell_gone


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    """Order the basket; POST is the way of a browser without JavaScript."""
    if request.method == "POST":
        return _place(request)
    held = Basket(request.session)
    quote, gone = basket_price(held)
    tell_gone(request, gone)
    if quote is None:
        return redirect("basket")
    try:
        address = use(Users).customer(customer_id=customer_id(request)).address
    except (UnknownCustomer, *AWAY):
        address = ""
    lines = msgspec.json.encode(held.lines()).decode()
    form = CheckoutForm(
        initial={"lines": lines, "key": held.idempotency_key(), "card": CARDS[0][0], "deliver_to": address}
    )
    return page(request, "checkout", {"form": form, "quote": quote, "cards": CARDS})


@require_POST
@login_required
def checkout_placed(request: HttpRequest) -> HttpResponse:
    """The browser has placed the order at the API."""
    form = PlacedForm(request.POST)
    if not form.is_valid():
        return redirect("my-orders")
    return _follow(request, form.cleaned_data["order"], form.cleaned_data["key"])


def _place(request: HttpRequest) -> HttpResponse:
    form = CheckoutForm(request.POST)
    if not form.is_valid():
        tell_errors(request, form)
        return redirect("checkout")
    key = form.cleaned_data["key"]
    answer = public_api.post(request, public_api.ORDERS, form.api_body(), idempotency_key=key)
    if answer.status < 300:
        return _follow(request, UUID(str(answer.body["id"])), key)
    messages.error(request, public_api.told(answer))
    return redirect("checkout")


def _follow(request: HttpRequest, order_id: UUID, key: str) -> HttpResponse:
    """Empty the basket that this key stands for: another tab may have begun the next one."""
    held = Basket(request.session)
    if held.idempotency_key() == key:
        held.empty()
    return redirect("my-order", order_id)
