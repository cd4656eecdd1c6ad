"""What the composition root hands to the runtime. The runtime imports no module and no tooling."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from joserfc.jwk import KeySet, OKPKey

from contracts.runtime.errors import Refusal


@dataclass(frozen=True)
class Remote:
    """Where a module lives that is not in this process: its unit's name and internal base URL.

    Without a URL it can be told, by the unit's queue, and not asked.
    """

    unit: str
    url: str


class Operation(Protocol):
    """A request, handler, call or task, and what came of it."""

    @property
    def refusal(self) -> Refusal | None:
        """The first write in it that a database refused."""
        ...

    @property
    def untouched(self) -> bool:
        """Nothing was committed in it and nothing done outside."""
        ...


def _everything_is_here(module: str) -> Remote | None:
    return None


@dataclass(frozen=True)
class _Unwatched:
    """Where nobody watches the databases, nothing is refused."""

    refusal: Refusal | None = None
    untouched: bool = False


def _no_operation(kind: str, name: str) -> AbstractContextManager[Operation]:
    return nullcontext(_Unwatched())


def _always_at_home(module: str) -> bool:
    return True


def _unnoted(what: str) -> None:
    return None


@dataclass
class Configuration:
    """How this unit carries contracts."""

    unit: str = "monolith"
    strict: bool = True
    """Encode and decode local calls too, so that what would fail remotely fails here."""
    modules: frozenset[str] = frozenset()
    """Modules installed in this unit; each has a database alias of its own name."""
    urls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Under which prefixes each of them answers HTTP: `/api/orders/`."""
    resolve: Callable[[str], Remote | None] = _everything_is_here
    """None when the module answers in this process."""
    at_home: Callable[[str], bool] = _always_at_home
    """Whether an installed module lives in this unit, asked anew; raises DatabaseError."""
    operation: Callable[[str, str], AbstractContextManager[Operation]] = _no_operation
    """Opened around each handler, local call and task; knows what was committed in it and what was refused."""
    outside: Callable[[str], None] = _unnoted
    """Told of what cannot be done again, so that the operation is not repeated."""
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
