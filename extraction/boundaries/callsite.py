"""Whose code runs: the frame nearest to here that stands in a module, else anywhere in the project."""

import os
import signal
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from functools import cache, partial

from django.apps import apps

from extraction import project
from extraction.project import of_setting

_TOOLING = os.path.dirname(os.path.dirname(__file__)) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + os.sep


@dataclass(frozen=True, slots=True)
class CallSite:
    """A line of the project."""

    module: str
    """Empty where the code belongs to none."""
    file: str
    """As Python knows it."""
    line: int
    function: str

    def __str__(self) -> str:
        """`billing/reports.py:12 in sold`, from the working directory."""
        return f"{os.path.relpath(self.file)}:{self.line} in {self.function}"


def call_site() -> CallSite | None:
    """None where no frame is the project's: all of it is the standard library's and installed packages'."""
    nearest = None
    frame = sys._getframe(1)
    while True:
        module = _owner(frame.f_code.co_filename)
        if module:
            return CallSite(module, frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        if module is not None and nearest is None:
            nearest = CallSite("", frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        if frame.f_back is None:
            return nearest
        frame = frame.f_back


def raised_by_a_signal(error: Exception) -> bool:
    """A signal's handler raised it, whatever code it met: it is the application's."""
    found = [signal.getsignal(number) for number in signal.valid_signals()]
    handlers = [each.func if isinstance(each, partial) else each for each in found if callable(each)]
    codes = {getattr(each, "__code__", None) or getattr(type(each).__call__, "__code__", None) for each in handlers}
    return any(frame.f_code in codes for frame, _ in traceback.walk_tb(error.__traceback__))


@of_setting
@cache
def _owner(file: str) -> str | None:
    """The module whose app the file is in, the innermost; none of the project's own says None."""
    if file.startswith(("<", _TOOLING, _STANDARD_LIBRARY)) or any(part in file for part in _INSTALLED):
        return None
    found = [folder for folder in _module_folders() if file.startswith(folder)]
    return _module_folders()[max(found, key=len)] if found else ""


@of_setting
@cache
def _module_folders() -> dict[str, str]:
    """Module by the folder of an app."""
    owner = {app: module.name for module in project.modules().values() for app in module.apps}
    return {config.path + os.sep: owner[config.name] for config in apps.get_app_configs() if config.name in owner}
