"""Receivers of Django's signals: who hears whom, and those that hear across a module's edge."""

import inspect
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps
from django.db.models import signals
from django.dispatch import Signal

from extraction.boundaries.keys import configs_of
from extraction.boundaries.places import code_of, shown
from extraction.project import Module

SIGNALS = ("pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A function that was connected with a sender of the other side."""

    receiver: str
    signal: str
    sender: str
    place: str


def receivers_across(module: Module) -> list[Receiver]:
    """Between the module and other apps of the project; one that hears every model is nobody's."""
    return list(_across(module))


def heard(signal: Signal) -> Iterator[tuple[Callable[..., object], object]]:
    """Receivers, each with the id of the sender that it asked for, for Django keeps that in the key."""
    for (_, sender), reference, *_ in signal.receivers:
        receiver = reference() if isinstance(reference, weakref.ReferenceType) else reference
        if receiver is not None:
            yield receiver, sender


def _across(module: Module) -> Iterator[Receiver]:
    mine = {config.label for config in configs_of(module)}
    models = {id(model): model for model in apps.get_models(include_auto_created=True)}
    for name in SIGNALS:
        found = [(models[sender], receiver) for receiver, sender in heard(getattr(signals, name)) if sender in models]
        for model, receiver in found:
            code = code_of(receiver)
            config = apps.get_containing_app_config(code.__module__)
            if config and (config.label in mine) != (model._meta.app_label in mine):
                yield Receiver(f"{code.__module__}.{code.__qualname__}", name, model._meta.label, _place(code))


def _place(code: Callable[..., object]) -> str:
    if inspect.isfunction(code):
        return f"{shown(Path(code.__code__.co_filename))}:{code.__code__.co_firstlineno}"
    return shown(Path(inspect.getfile(code)))
