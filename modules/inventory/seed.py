"""Products for the demo: most in plenty, every fortieth scarce, so that some orders find the shelf empty."""

from collections.abc import Mapping
from random import Random

from contracts.runtime import transaction
from modules.inventory.models import Product, Stock

PLENTY, SCARCE = (20_000, 50_000), (3, 20)
_THINGS = {
    "Kitchen": ("Chef's Knife", "Saucepan", "Mixing Bowl", "Cutting Board", "Teapot", "Coffee Grinder", "Whisk Set"),
    "Desk": ("Notebook", "Desk Lamp", "Fountain Pen", "Letter Tray", "Monitor Stand", "Pencil Case", "Wall Calendar"),
    "Garden": ("Watering Can", "Pruning Shears", "Plant Pot", "Seed Box", "Hand Trowel", "Bird Feeder", "Garden Twine"),
    "Outdoor": ("Backpack", "Water Bottle", "Camping Stove", "Head Torch", "Rain Jacket", "Trail Map", "Sleeping Mat"),
    "Bath": ("Bath Towel", "Soap Dish", "Hand Cream", "Bath Mat", "Toothbrush Holder", "Linen Basket", "Sponge Set"),
    "Living": ("Throw Blanket", "Cushion", "Floor Vase", "Picture Frame", "Candle Set", "Side Table", "Book End"),
    "Play": ("Wooden Train", "Puzzle", "Card Game", "Kite", "Building Blocks", "Chess Set", "Modelling Clay"),
    "Tools": ("Claw Hammer", "Tape Measure", "Screwdriver Set", "Spirit Level", "Work Gloves", "Tool Box", "Hand Saw"),
}
_COLOURS = ("Chalk", "Clay", "Indigo", "Ink", "Moss", "Ochre", "Olive", "Pine", "Plum", "Rust", "Sand", "Slate")
_MAKERS = ("Nordhavn", "Fjell & Co", "Atelier Lune", "O’Hara", "Tannenhof", "Casa Brava", "Millbrook", "Sōgen")
_PROMISES = (
    "Made to be used every day and to be mended, not replaced.",
    "A plain thing done well, by people who sign their work.",
    "Light in the hand and hard to break.",
    "Finished by hand; no two are quite alike.",
    "Comes in a box without plastic.",
)


def seed(*, amounts: Mapping[str, int]) -> str:
    """Plant what is not there yet and leave the rest alone. Says what it did."""
    shelves = _shelves(products=amounts["products"])
    with transaction("inventory"):
        there = set(
            Product.objects.filter(sku__in=[stock.product_id for stock in shelves]).values_list("sku", flat=True)
        )
        missing = [stock for stock in shelves if stock.product_id not in there]
        Product.objects.bulk_create([stock.product for stock in missing], ignore_conflicts=True)
        Stock.objects.bulk_create(missing, ignore_conflicts=True)
    return f"{len(missing)} products planted, {len(there)} were there"


def _shelves(*, products: int) -> list[Stock]:
    random = Random(2025)  # noqa: S311
    return [_shelf(number, random) for number in range(1, products + 1)]


def _shelf(number: int, random: Random) -> Stock:
    category = random.choice(tuple(_THINGS))
    thing, colour, maker = random.choice(_THINGS[category]), random.choice(_COLOURS), random.choice(_MAKERS)
    pieces = random.randint(*(PLENTY if number % 40 else SCARCE))
    product = Product(
        sku=f"{category[:3].upper()}-{number:05}",
        name=f"{maker} {thing} in {colour}",
        description=f"{thing} by {maker}, in {colour.lower()}. {random.choice(_PROMISES)}",
        category=category,
        price_cents=random.randint(4, 180) * 100 - random.choice((1, 5, 10)),
    )
    return Stock(product=product, received=pieces, on_hand=pieces)
