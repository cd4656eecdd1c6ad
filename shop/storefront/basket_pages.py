"""The basket's page, and what is done to a basket."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from contracts.inventory import Inventory, UnknownProduct
from contracts.runtime import use
from shop.storefront.basket import MOST_LINES, MOST_PIECES, Basket, BasketFull, basket_price
from shop.storefront.forms import AddForm, SetForm
from shop.storefront.pages import AWAY, page, safe_next, tell_errors, tell_gone


@never_cache
@require_safe
def basket(request: HttpRequest) -> HttpResponse:
    held = Basket(request.session)
    try:
        quote, gone = basket_price(held)
    except AWAY:
        return page(request, "basket", {"lines": held.lines(), "unpriced": True})
    tell_gone(request, gone)
    return page(request, "basket", {"lines": quote.lines if quote else (), "quote": quote})


@require_POST
def basket_add(request: HttpRequest) -> HttpResponse:
    """Add pieces to those that are there already, as many as are in stock."""
    back = safe_next(request, reverse("basket"))
    form = AddForm(request.POST)
    if not form.is_valid():
        tell_errors(request, form)
        return redirect(back)
    sku, quantity = form.cleaned_data["sku"], form.cleaned_data["quantity"]
    try:
        wanted = use(Inventory).product(sku=sku)
    except UnknownProduct:
        messages.error(request, "This product is not on sale.")
        return redirect(back)
    except AWAY:
        messages.error(request, "The stockroom does not answer, so nothing was added. Try again in a few seconds.")
        return redirect("basket")
    held = Basket(request.session)
    total, most = held.quantity(sku) + quantity, min(wanted.available, MOST_PIECES)
    try:
        held.put(sku=sku, quantity=min(total, most))
    except BasketFull:
        messages.error(request, f"An order takes {MOST_LINES} different products. Order these, then go on.")
        return redirect("basket")
    if most == 0:
        messages.error(request, f"{wanted.name} is sold out.")
    elif total > most:
        messages.warning(request, f"You can have {most} of {wanted.name}; that is what your basket holds now.")
    else:
        messages.success(request, f"{wanted.name} is in your basket.")
    return redirect(back)


@require_POST
def basket_set(request: HttpRequest) -> HttpResponse:
    """Set the pieces of a product that is in the basket; 0 takes it out."""
    held, form = Basket(request.session), SetForm(request.POST)
    if not form.is_valid():
        tell_errors(request, form)
    elif held.quantity(form.cleaned_data["sku"]):
        held.put(**form.cleaned_data)
    return redirect("basket")
