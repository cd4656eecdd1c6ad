"""E304: receivers in one module of what another's models send, or of a signal that another makes.

A sender that was named by a string is a model by now, and what `ready` connected is there. A receiver that hears every
model is nobody's business here: it names no other module.
"""

import sys
from collections.abc import Iterator

from django.apps import apps
from django.dispatch import Signal

from extraction.boundaries.checks.ownership import owner_of_code
from extraction.boundaries.checks.spots import of
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member
from extraction.boundaries.places import code_of, is_made_in
from extraction.boundaries.receivers import heard


def findings(house: House) -> Iterator[Finding]:
    """Of Django, of packages and of the modules' own."""
    senders = {id(model): model._meta for model in apps.get_models(include_auto_created=True, include_swapped=True)}
    labels = {key: (meta.app_label, meta.label) for key, meta in senders.items()}
    labels |= {id(config): (config.label, f"the app {config.label}") for config in apps.get_app_configs()}
    for name, signal, maker in _signals(house):
        for receiver, sender in heard(signal):
            label, said = labels.get(sender, ("", ""))  # type: ignore[call-overload]
            listener, other = owner_of_code(house, receiver), house.by_label.get(label) or maker
            if listener is None or other is None or listener is other:
                continue
            code, spot = code_of(receiver), of(house, receiver)
            yield Finding(
                path=spot.path,
                line=spot.line,
                code="boundaries.E304",
                module=listener.name,
                other=other.name,
                what=f"hears {name}{f' of {said}' if said else ''} with {code.__module__}.{code.__qualname__}",
            )


def _signals(house: House) -> Iterator[tuple[str, Signal, Member | None]]:
    """Each with the module in whose file it is made, for a signal does not tell, and many may know it by name."""
    found: dict[int, tuple[Signal, list[tuple[str, str]]]] = {}
    owners = {name: house.owner(name) for name in list(sys.modules)}
    named = {name: owner for name, owner in owners.items() if owner or name.endswith("signals")}
    for name, _ in sorted(named.items(), key=lambda each: (each[1] is not None, each[0])):
        for attribute, value in list(getattr(sys.modules[name], "__dict__", {}).items()):
            if issubclass(type(value), Signal):  # isinstance would wake a lazy object
                found.setdefault(id(value), (value, []))[1].append((name, attribute))
    for signal, places in found.values():
        made = next((place for place in places if is_made_in(sys.modules[place[0]], place[1])), None)
        name, attribute = made or places[0]
        said = attribute if name == "django.db.models.signals" else f"{name}.{attribute}"
        yield said, signal, house.owner(name) if made else None
