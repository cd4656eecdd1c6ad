"""What the composition root hands to the runtime. The runtime imports no module and no tooling."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from joserfc.jwk import KeySet, OKPKey


@dataclass(frozen=True)
class Remote:
    """Where a module lives that is not in this process: its unit's name and internal base URL."""

    unit: str
    url: str


def _everything_is_here(module: str) -> Remote | None:
    return None


def _no_operation(kind: str, name: str) -> AbstractContextManager[object]:
    return nullcontext()


@dataclass
class Configuration:
    """How this unit carries contracts."""

    unit: str = "monolith"
    strict: bool = True
    """Encode and decode local calls too, so that what would fail remotely fails here."""
    modules: frozenset[str] = frozenset()
    """Modules installed in this unit; each has a database alias of its own name."""
    resolve: Callable[[str], Remote | None] = _everything_is_here
    """None when the module answers in this process."""
    operation: Callable[[str, str], AbstractContextManager[object]] = _no_operation
    """Opened around each handler and local call; the guard against a second commit counts in it."""
    call_timeout_s: float = 2.0
    signing_key: OKPKey | None = None
    """Signs this unit's service tokens."""
    public_keys: KeySet = field(default_factory=lambda: KeySet([]))
    """Service tokens of all units are verified against these."""


configuration = Configuration()


def configure(**settings: object) -> None:
    """Set fields of the configuration; an unknown name is an error."""
    for name, value in settings.items():
        if name not in Configuration.__dataclass_fields__:
            raise TypeError(f"the contract runtime has no setting {name!r}")
        setattr(configuration, name, value)
