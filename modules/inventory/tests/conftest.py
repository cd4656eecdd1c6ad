import pytest

from contracts.runtime import transaction
from modules.inventory import service
from modules.inventory.models import Product


@pytest.fixture
def shelf(db: None) -> dict[str, Product]:
    """Three products: ten cups, five pots, one lamp."""
    products = {}
    for sku, name, category, cents, pieces in (
        ("CUP-1", "Blue Cup", "Kitchen", 450, 10),
        ("POT-1", "Tea Pot “Émile”", "Kitchen", 2900, 5),
        ("LAMP-1", "O’Hara's 100% Lamp", "Living", 8000, 1),
    ):
        products[sku] = Product(sku=sku, name=name, category=category, price_cents=cents)
        with transaction("inventory"):
            service.product_add(product=products[sku])
            service.stock_receive(sku=sku, quantity=pieces)
    return products
