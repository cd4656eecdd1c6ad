"""Settings of a project that is not ours: a module in a schema of its own, two units, an edge."""

import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

STATE = Path(os.environ["TEST_STATE"])
EDGE, MONOLITH, BANK = os.environ["TEST_ADDRESSES"].split()


def files(address: str) -> list[str]:
    host, _, port = address.rpartition(":")
    return [sys.executable, "-m", "http.server", port, "--bind", host, "--directory", str(STATE)]


SECRET_KEY = "of tests"
USE_TZ = True
BASE_DIR = STATE
INSTALLED_APPS = ["extraction"]
_login = urlsplit(os.environ["BANK_LOGIN_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _login.hostname,
        "PORT": _login.port,
        "NAME": _login.path[1:],
        "USER": _login.username,
        "PASSWORD": unquote(_login.password or ""),
    }
}
EXTRACTION = {
    "unit": "monolith",
    "modules": {"bank": {"apps": [], "database": "default", "schema": "bank", "urls": ["/bank/"]}},
    "platform": "extraction.units.platform.GivenUnits",
    "state": STATE / "var",
    "edge": EDGE,
    "units": {
        "monolith": {"administrator": "MONOLITH_ADMIN_URL", "address": MONOLITH, "command": files(MONOLITH)},
        "bank": {
            "administrator": "BANK_ADMIN_URL",
            "login": "BANK_URL",
            "address": BANK,
            "command": files(BANK),
            "environment": {"UNIT": "bank"},
        },
    },
}
