"""Receivers of Django's model signals that stand on one side and hear the other."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps
from django.db.models import Model, signals

from extraction.boundaries.keys import configs_of
from extraction.boundaries.places import shown
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


def _across(module: Module) -> Iterator[Receiver]:
    mine = {config.label for config in configs_of(module)}
    for name in SIGNALS:
        signal = getattr(signals, name)
        for model in apps.get_models(include_auto_created=True):
            for receiver in _heard(signal, model):
                config = apps.get_containing_app_config(receiver.__module__)
                if config and (config.label in mine) != (model._meta.app_label in mine):
                    yield Receiver(
                        f"{receiver.__module__}.{receiver.__qualname__}", name, model._meta.label, _place(receiver)
                    )


def _heard(signal: signals.ModelSignal, model: type[Model]) -> Iterator[Callable[..., object]]:
    """Receivers that asked for this sender: Django keeps its id in the key."""
    for (_, sender), reference, *_ in signal.receivers:
        if sender == id(model):
            receiver = reference() if not inspect.isfunction(reference) else reference
            if inspect.isfunction(receiver) or inspect.ismethod(receiver):
                yield receiver


def _place(receiver: Callable[..., object]) -> str:
    code = inspect.unwrap(receiver).__code__
    return f"{shown(Path(code.co_filename))}:{code.co_firstlineno}"
