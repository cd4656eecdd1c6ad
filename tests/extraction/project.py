"""Settings of a project that is not the shop: one module, and the tooling installed beside it."""

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.extraction.two_servers import MODULE, SCHEMA, STATE, UNIT


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "NAME": parts.path[1:],
        "USER": parts.username,
        "PASSWORD": unquote(parts.password or ""),
    }


SECRET_KEY = "of tests"
USE_TZ = True
INSTALLED_APPS = ["extraction"]
DATABASES = {"default": _database(os.environ["TEST_DEFAULT_URL"]), MODULE: _database(os.environ["TEST_SOURCE_URL"])}
EXTRACTION = {
    "unit": UNIT,
    "modules": {
        MODULE: {"apps": [], "database": MODULE, "schema": SCHEMA, "urls": ["/stock/"]},
        "billing": {"apps": [], "database": MODULE, "schema": "billing", "urls": ["/bills/"]},
    },
    "platform": "tests.extraction.two_servers.TwoServers",
    "guards": "off",
}
assert STATE, "TEST_STATE names the directory of the platform"
