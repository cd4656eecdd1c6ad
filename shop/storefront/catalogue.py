"""The shelves: all products, and one."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from contracts.inventory import Inventory, UnknownProduct
from contracts.runtime import use
from shop.storefront.basket import MOST_PIECES, Basket
from shop.storefront.forms import SearchForm
from shop.storefront.pages import page

PER_PAGE = 24


@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    form = SearchForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {"q": "", "category": "", "after": ""}
    inventory = use(Inventory)
    found = inventory.catalogue(search=asked["q"], category=asked["category"], after=asked["after"], limit=PER_PAGE)
    shelf = {"products": found.products, "following": found.after, "categories": inventory.categories()}
    return page(request, "catalogue", {**shelf, **asked})


@require_safe
def product(request: HttpRequest, sku: str) -> HttpResponse:
    try:
        shown = use(Inventory).product(sku=sku)
    except UnknownProduct:
        raise Http404 from None
    most = min(shown.available, MOST_PIECES)
    return page(request, "product", {"product": shown, "most": most, "held": Basket(request.session).quantity(sku)})
