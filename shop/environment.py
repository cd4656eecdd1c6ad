"""The variables that `up` makes: one file, read by every process of the shop. It holds secrets (mode 0600)."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from joserfc.jwk import KeySet

from contracts.runtime.tokens import new_key


def read(file: Path) -> dict[str, str]:
    """The variables of the file; none if it is not there."""
    return {name: value or "" for name, value in dotenv_values(file, interpolate=False).items()}


def write(file: Path, variables: Mapping[str, str]) -> None:
    """Replace the file at once: another process reads the old one or the new one."""
    lines = [f"{name}='{value}'\n" for name, value in sorted(variables.items())]
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.writelines(["# Made by manage.py up. The real environment wins.\n", *lines])
        output.flush()
        os.fsync(output.fileno())
    new.replace(file)


def secrets_of_the_shop(known: Mapping[str, str]) -> dict[str, str]:
    """Keys and secrets: those that are known, and new ones for what is missing."""
    made = {name: known.get(name) or secrets.token_urlsafe(50) for name in ("SECRET_KEY", "PAYMENT_WEBHOOK_SECRET")}
    for purpose in ("IDENTITY", "SERVICE"):
        private, public = f"{purpose}_SIGNING_KEY", f"{purpose}_PUBLIC_KEYS"
        if not (known.get(private) and known.get(public)):
            key = new_key(f"{purpose.lower()}-1")
            made[private] = json.dumps(key.as_dict(private=True))
            made[public] = json.dumps(KeySet([key]).as_dict(private=False))
        else:
            made |= {private: known[private], public: known[public]}
    return made


def password(url: str) -> str:
    """The password in a URL, or a new one."""
    return unquote(urlsplit(url).password or "") or secrets.token_urlsafe(24)
