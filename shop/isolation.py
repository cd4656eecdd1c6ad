"""Keeps modules that are not in this unit from being imported, so that a service cannot lean on them."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Blocked(MetaPathFinder):
    def __init__(self, modules: set[str]) -> None:
        self.packages = {f"modules.{name}" for name in modules}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if ".".join(fullname.split(".")[:2]) in self.packages:
            raise ModuleNotFoundError(
                f"{fullname} is not in this unit (SHOP_MODULES): ask it with a contract call or tell it with an event",
                name=fullname,
            )
        return None


def block(modules: set[str]) -> None:
    """Refuse every later import of these modules. One that is imported already is an error."""
    finder = _Blocked(modules)
    if early := sorted(name for name in sys.modules if ".".join(name.split(".")[:2]) in finder.packages):
        raise ImportError(f"imported before they could be blocked: {', '.join(early)}")
    if modules:
        sys.meta_path.insert(0, finder)
