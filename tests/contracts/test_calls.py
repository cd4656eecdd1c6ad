"""Calls behave the same in and out of the process."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from contracts.inventory import (
    Catalogue,
    Holding,
    Holdings,
    Inventory,
    Line,
    Product,
    Quote,
    StockDifference,
    StockFacts,
    UnknownProduct,
)
from contracts.runtime import NotBound, NotOfContract, Unavailable, UndeclaredError, bind, calls, configure, use
from contracts.runtime.configuration import configuration
from contracts.runtime.definitions import definitions

pytestmark = pytest.mark.django_db(databases="__all__")

QUOTE = Quote(lines=(), total_cents=0, currency="EUR")


@dataclass
class Shelf(Inventory):
    """An implementation that answers what the test says."""

    answer: Any = QUOTE
    asked: Any = None

    def quote(self, *, lines: tuple[Line, ...]) -> Quote:
        self.asked = lines
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    def catalogue(self, *, search: str = "", category: str = "", after: str = "", limit: int = 24) -> Catalogue:
        return Catalogue(products=(), after=None)

    def categories(self) -> tuple[str, ...]:
        return ()

    def product(self, *, sku: str) -> Product:
        raise UnknownProduct(sku)

    def holdings(self, *, after: UUID | None = None, limit: int = 500) -> Holdings:
        return Holdings(holdings=(), after=None)

    def holding(self, *, order_id: UUID) -> Holding | None:
        return None

    def stock_facts(self, *, after: str = "", limit: int = 500) -> StockFacts:
        return StockFacts(facts=(), after=None)

    def stock_differences(self) -> tuple[StockDifference, ...]:
        return ()


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setattr(calls, "_implementations", dict(calls._implementations))
    shelf = Shelf()
    bind(Inventory, shelf)
    return shelf


@pytest.fixture(params=[True, False], ids=["strict", "not strict"])
def strict(request: pytest.FixtureRequest) -> Any:
    before = configuration.strict
    configure(strict=request.param)
    yield request.param
    configure(strict=before)


def test_answers_with_the_bound_implementation(shelf: Shelf, strict: bool) -> None:
    lines = (Line(sku="A", quantity=1),)
    assert use(Inventory).quote(lines=lines) == QUOTE
    assert shelf.asked == lines


def test_a_declared_error_crosses_as_itself(shelf: Shelf, strict: bool) -> None:
    with pytest.raises(UnknownProduct) as caught:
        use(Inventory).product(sku="naïve 'quoted'")
    assert caught.value.sku == "naïve 'quoted'"


def test_an_undeclared_error_fails_in_strict_mode_and_is_unavailable_otherwise(shelf: Shelf, strict: bool) -> None:
    shelf.answer = KeyError("price")
    with pytest.raises(UndeclaredError if strict else Unavailable, match="inventory"):
        use(Inventory).quote(lines=())


def test_nothing_mutable_is_shared_across_the_boundary(shelf: Shelf) -> None:
    lines = (Line(sku="A", quantity=1),)
    use(Inventory).quote(lines=lines)
    assert shelf.asked[0] is not lines[0]


def test_an_orm_object_does_not_cross(shelf: Shelf) -> None:
    from django.contrib.contenttypes.models import ContentType

    with pytest.raises(NotOfContract, match=r"inventory\.quote.*ContentType"):
        use(Inventory).quote(lines=(ContentType(),))  # type: ignore[arg-type]
    shelf.answer = ContentType()
    with pytest.raises(NotOfContract, match=r"answered ContentType"):
        use(Inventory).quote(lines=())


def test_a_lazy_queryset_does_not_cross(shelf: Shelf) -> None:
    from django.contrib.contenttypes.models import ContentType

    shelf.answer = ContentType.objects.all()
    with pytest.raises(NotOfContract, match="QuerySet"):
        use(Inventory).quote(lines=())


def test_a_value_of_the_wrong_type_is_named_with_its_path(shelf: Shelf) -> None:
    with pytest.raises(NotOfContract, match=r"\$\.lines\[0\]\.quantity"):
        use(Inventory).quote(lines=(Line(sku="A", quantity="two"),))  # type: ignore[arg-type]
    with pytest.raises(NotOfContract, match="linse"):
        use(Inventory).quote(linse=())  # type: ignore[call-arg]


def test_a_result_that_the_contract_does_not_say_is_refused(shelf: Shelf) -> None:
    shelf.answer = Line(sku="A", quantity=1)
    with pytest.raises(NotOfContract, match="answered what its contract does not say"):
        use(Inventory).quote(lines=())


def test_a_module_that_is_nowhere_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_implementations", {})
    with pytest.raises(NotBound, match="inventory is not in unit 'monolith' and has no address"):
        use(Inventory).holding(order_id=uuid7())


def test_every_contract_can_be_read_and_its_reads_exist() -> None:
    for module, definition in definitions().items():
        assert definition.methods, module
        safe = {name for name, method in definition.methods.items() if method.safe_to_repeat}
        from importlib import import_module

        assert safe == set(import_module(f"contracts.{module}").READS)
