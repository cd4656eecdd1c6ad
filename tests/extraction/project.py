"""Settings of a project that is not the shop: one module, and the tooling installed beside it."""

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.extraction.two_servers import EXTRACTION, MODULE


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
__all__ = ["DATABASES", "EXTRACTION", "INSTALLED_APPS", "SECRET_KEY", "USE_TZ"]
