"""Log lines with named values: structlog's where the project has it, and otherwise the standard library's."""

import logging
from collections.abc import MutableMapping
from importlib.util import find_spec
from typing import Any


class _Named(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        ours = {name: kwargs.pop(name) for name in list(kwargs) if name not in ("exc_info", "stack_info", "stacklevel")}
        stack = f"\n{ours.pop('stack', '')}".rstrip()
        return " ".join([str(msg), *(f"{name}={value!r}" for name, value in ours.items())]) + stack, kwargs


def get_logger(name: str) -> Any:
    """Takes an event and named values: `log.warning("placement not read", module=…)`; `stack` is a text."""
    if find_spec("structlog"):
        import structlog

        return structlog.get_logger(name)
    return _Named(logging.getLogger(name), {})
