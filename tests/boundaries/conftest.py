"""A project that is not ours, as files: nothing of it is imported."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from extraction.boundaries.house import House
from extraction.boundaries.opening import house_at

MODULES = {"orders": "modules.orders", "payments": "modules.payments", "users": "modules.users"}


@dataclass(frozen=True)
class Checkout:
    """Three modules, one of which has models, and published files for two."""

    root: Path

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """By path from the root."""
        for name, said in files.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(said if isinstance(said, bytes) else textwrap.dedent(said).encode())

    def house(self, *, cache: Path | None = None) -> House:
        return house_at(self.root, modules=MODULES, published=["contracts.orders", "contracts.payments"], cache=cache)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "shop")
    made.write(
        {
            "modules/__init__.py": "",
            "modules/orders/__init__.py": "",
            "modules/orders/service.py": "",
            "modules/payments/__init__.py": "",
            "modules/payments/models.py": "class Payment: ...\n",
            "modules/users/__init__.py": "",
            "contracts/__init__.py": "",
            "contracts/orders.py": "",
            "contracts/payments.py": "",
        }
    )
    return made
