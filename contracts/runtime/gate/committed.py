"""The committed schemas: where they stand, how they are read and written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import contracts
from contracts.runtime.gate.interfaces import FORMAT_KEY
from contracts.runtime.gate.published import FORMAT

DEFINITIONS = Path(contracts.__path__[0])
DIRECTORY = DEFINITIONS / "schemas"


class Unreadable(Exception):
    """A committed schema is not what was written there; the message says what it is."""


def contract_file(module: str) -> Path:
    return DIRECTORY / f"{module}.json"


def interface_file(module: str) -> Path:
    return DIRECTORY / "http" / f"{module}.json"


def modules_with(file: Path) -> list[str]:
    """Modules that have a committed file beside this one."""
    return sorted(path.stem for path in file.parent.glob("*.json"))


def read(file: Path) -> dict[str, Any] | None:
    """None where nothing was committed. Raises Unreadable."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise Unreadable("holds no JSON object")
    http = file.parent.name == "http"
    form = found.get(FORMAT_KEY if http else "format")
    if form != FORMAT:
        raise Unreadable(f"has format {json.dumps(form)}; this release reads {FORMAT}")
    if http:
        if not str(found.get("openapi", "")).startswith("3."):
            raise Unreadable(f"is OpenAPI {json.dumps(found.get('openapi'))}; this release compares 3.x")
        wanted: tuple[str, ...] = ("paths",)
    else:
        if found.get("module") != file.stem:
            raise Unreadable(f"is that of module {json.dumps(found.get('module'))}")
        wanted = ("events", "calls", "errors", "$defs")
    if missing := [name for name in wanted if not isinstance(found.get(name), dict)]:
        raise Unreadable(f"has no {', '.join(missing)}")
    return found


def text(document: Mapping[str, Any]) -> str:
    """Always the same for the same document."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(file: Path, document: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text(document), encoding="utf-8")


def shown(file: Path) -> str:
    """`contracts/schemas/orders.json`."""
    root = DEFINITIONS.parent
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
