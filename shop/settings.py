"""Settings from the environment; what `manage.py up` makes stands in var/env, and the real environment wins.

A wrong value stops the start with the name of its variable.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError
from joserfc.jwk import KeySet, OKPKey

from shop import isolation

BASE_DIR = Path(__file__).resolve().parent.parent

GIVEN = dict(os.environ)
"""The environment as it was given, before var/env is added."""
env = Env()
STATE_DIR = env.path("SHOP_STATE_DIR", BASE_DIR / "var")
env.read_env(str(env.path("SHOP_ENV_FILE", STATE_DIR / "env")), recurse=False)


def database(variable: str, *, schema: str) -> dict[str, Any]:
    """A Django database from a URL of the environment."""
    url = env.str(variable, "")
    if not url:
        # No server is known: a socket folder that is not there, so that the first query says so.
        return {"ENGINE": "django.db.backends.postgresql", "HOST": str(STATE_DIR / "no-server"), "NAME": schema}
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its message shows what it took for the port: a password with a # or / in it
        raise ImproperlyConfigured(
            f"{variable} has no number as port; write special characters of a password as %23 (#), %2F (/), %40 (@)"
        ) from None
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":  # the host is the role: a / after digits of the password
        raise ImproperlyConfigured(
            f"{variable} has an @ behind its host; write special characters of a password as %2F (/), %3F (?), %40 (@)"
        )
    if parts.scheme not in ("postgres", "postgresql") or not parts.hostname or not parts.path.strip("/"):
        raise ImproperlyConfigured(f"{variable} is not of the form postgresql://role:password@host:port/database")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": unquote(parts.hostname),
        "PORT": port or 5432,
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 3, "application_name": f"{UNIT}:{schema}"},
        "TEST": {"MIGRATE": True},
    }


def signing_key(variable: str) -> OKPKey | None:
    """A private Ed25519 key in JWK form."""
    text = env.str(variable, "")
    try:
        return OKPKey.import_key(json.loads(text)) if text else None
    except Exception as error:
        raise ImproperlyConfigured(f"{variable} is not an Ed25519 key in JWK form ({type(error).__name__})") from None


def public_keys(variable: str) -> KeySet:
    """Public keys in JWKS form."""
    text = env.str(variable, "")
    try:
        return KeySet.import_key_set(json.loads(text)) if text else KeySet([])
    except Exception as error:
        raise ImproperlyConfigured(f"{variable} is not a key set in JWKS form ({type(error).__name__})") from None


try:
    UNIT = env.str("SHOP_UNIT", "monolith")
    ORIGIN_UNIT = env.str("ORIGIN_UNIT", "monolith")
    RELEASE = env.str("SHOP_RELEASE", "") or "r0"
    ALL_MODULES = sorted(path.parent.name for path in (BASE_DIR / "modules").glob("*/apps.py"))
    MODULES = sorted(env.list("SHOP_MODULES", ALL_MODULES))
    if unknown := sorted(set(MODULES) - set(ALL_MODULES)):
        raise ImproperlyConfigured(f"SHOP_MODULES names {', '.join(unknown)}; there are {', '.join(ALL_MODULES)}")
    isolation.block(set(ALL_MODULES) - set(MODULES))

    DEBUG = env.bool("DEBUG", False)
    SECRET_KEY = env.str("SECRET_KEY", "")
    SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])
    ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
    CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
    BEHIND_HTTPS = env.bool("BEHIND_HTTPS", not DEBUG)
    BEHIND_EDGE = env.bool("BEHIND_EDGE", False)

    IDENTITY_SIGNING_KEY = signing_key("IDENTITY_SIGNING_KEY")
    IDENTITY_PUBLIC_KEYS = public_keys("IDENTITY_PUBLIC_KEYS")
    SERVICE_SIGNING_KEY = signing_key("SERVICE_SIGNING_KEY")
    SERVICE_PUBLIC_KEYS = public_keys("SERVICE_PUBLIC_KEYS")

    CONTRACTS_STRICT = env.bool("CONTRACTS_STRICT", DEBUG)
    GUARDS = env.str("GUARDS", "raise" if DEBUG else "log")
    if GUARDS not in ("raise", "log", "off"):
        raise ImproperlyConfigured(f"GUARDS is {GUARDS!r}; it takes raise, log or off")
    RECORDER_SHARE = env.float("RECORDER_SHARE", 0.0)
    RECORDER_FILE = env.path("RECORDER_FILE", STATE_DIR / "coupling.jsonl")
    REMOTE = {module: url for module in ALL_MODULES if (url := env.url(f"{module.upper()}_URL", None))}
    UNITS_URL = env.str("UNITS_URL", "").rstrip("/")
    HOME = {module: home for module in MODULES if (home := env.str(f"{module.upper()}_HOME", ""))}
    BROKER_URL = env.str("BROKER_URL", "")
    LOG_LEVEL = env.log_level("LOG_LEVEL", logging.INFO)
    TIME_ZONE = env.str("TZ", "UTC")
    DATABASES = {
        "default": database("PLATFORM_DATABASE_URL", schema="platform"),
        **{module: database(f"{module.upper()}_DATABASE_URL", schema=module) for module in MODULES},
    }
    PAYMENT_SETTINGS = {
        "callback_url": env.str("PAYMENT_CALLBACK_URL", ""),
        "webhook_secret": env.str("PAYMENT_WEBHOOK_SECRET", ""),
    }
    ORDER_EXPIRES_S = env.float("ORDER_EXPIRES_S", 120.0)
    SIGN_IN_FAILURES_PER_MINUTE = env.int("SIGN_IN_FAILURES_PER_MINUTE", 20)
except EnvError as error:
    raise ImproperlyConfigured(str(error)) from None

TEAMS = {"inventory": "warehouse", "orders": "checkout", "payments": "billing", "users": "accounts"}
EXTRACTION: dict[str, Any] = {
    "unit": UNIT,
    "modules": {
        module: {
            "apps": [f"modules.{module}"],
            "database": module,
            "schema": module,
            "urls": [f"/api/{module}/"],
            "home": HOME.get(module, UNIT),
            "team": TEAMS.get(module, ""),
        }
        for module in MODULES
    },
    "platform": "shop.units.LocalPlatform",
    "guards": GUARDS,
    "boundaries": "error",
    "offers": "shop.offers.offers",
    "recorder": {"share": RECORDER_SHARE, "file": RECORDER_FILE},
    "published": [
        f"contracts.{path.stem}" for path in sorted((BASE_DIR / "contracts").glob("*.py")) if path.name != "__init__.py"
    ],
    "layers": ["contracts.runtime.gate.broken"],
    "cache": STATE_DIR / "cache",
}

INSTALLED_APPS = [
    "shop",
    "contracts.runtime",
    *[f"modules.{module}" for module in MODULES],
    "extraction",
    "shop.admin_site.ShopAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
]
MIDDLEWARE = [
    "shop.middleware.EdgeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "contracts.runtime.middleware.TraceMiddleware",
    "extraction.placement.cohort.CohortMiddleware",
    "extraction.placement.middleware.FollowingMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "contracts.runtime.identity.IdentityMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
DEBUG_TOOLBAR = DEBUG and env.bool("DEBUG_TOOLBAR", False) and "test" not in sys.argv
if DEBUG_TOOLBAR:
    INSTALLED_APPS.append("debug_toolbar")
    MIDDLEWARE.insert(3, "debug_toolbar.middleware.DebugToolbarMiddleware")
    INTERNAL_IPS = ["127.0.0.1"]
    DEBUG_TOOLBAR_CONFIG = {"TOOLBAR_STORE_CLASS": "debug_toolbar.store.DatabaseStore"}

ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASE_ROUTERS = ["extraction.placement.routers.RetiredRouter", "shop.routers.ModuleRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LANGUAGE_CODE = "en"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = STATE_DIR / "static"
WHITENOISE_USE_FINDERS = True  # straight from the packages: nothing has to be collected first
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
LOGIN_URL = "sign-in"

SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^internal/"]  # asked by the machine itself and by units, past the edge
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_HTTPS else None
SESSION_COOKIE_HTTPONLY = True
# Sessions are the origin's: another unit answers under the same host and must not overwrite the shop's cookie.
SESSION_COOKIE_NAME = "sessionid" if UNIT == ORIGIN_UNIT else f"sessionid_{UNIT}"
SESSION_COOKIE_AGE = 12 * 3600  # begins anew with each save; an identity ends after its own time

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "contracts.runtime.identity.BearerAuthentication",
        "contracts.runtime.identity.IdentitySessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["contracts.runtime.bodies.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "contracts.runtime.negotiation.WhatThereIs",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "contracts.runtime.problems.answer",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Shop",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_DEFAULT_QUEUE = UNIT
# What waits for somebody outside has its own queue and worker: behind it the relay and the expiry would wait too.
ERRANDS_QUEUE = f"{UNIT}_errands"
CELERY_TASK_ROUTES = {
    f"modules.payments.tasks.{task}": {"queue": ERRANDS_QUEUE}
    for task in ("charge", "stop", "refund", "send_sandbox_callbacks")
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 30
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_POOL_LIMIT = 2  # each is a pool of connections of its own on pgmq, opened while a customer waits
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Its queue is named by unit, host and more; where that is too long for pgmq, no worker starts.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_DB_REUSE_MAX = 10_000
CELERY_TIMEZONE = TIME_ZONE
if BROKER_URL.startswith("pgmq:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # Said twice: the pgmq client prefers the environment's DATABASE_URL, the administrator's, to the broker's URL.
        "conn_string": BROKER_URL.replace("pgmq:", "postgresql:", 1),
        "init_extension": False,
        "visibility_timeout": 60,
        "pool_size": 2,
        "pool_timeout": 2,
        "wait_time_seconds": 1,
        "poll_interval_ms": 20,
        "polling_interval": 0.005,  # also the pause before the next message while all slots are taken
    }
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE_DIR / "run" / f"{UNIT}.beat")
CELERY_BEAT_SCHEDULE = {
    "relay": {"task": "contracts.runtime.tasks.relay_all", "schedule": 1.0, "options": {"expires": 5}},
    "purge": {"task": "contracts.runtime.tasks.purge_all", "schedule": 3600.0, "options": {"expires": 600}},
}
if "orders" in MODULES:
    CELERY_BEAT_SCHEDULE |= {
        "expire-orders": {"task": "modules.orders.tasks.expire", "schedule": 5.0, "options": {"expires": 5}},
    }
if "payments" in MODULES:
    CELERY_BEAT_SCHEDULE |= {
        "sweep-payments": {"task": "modules.payments.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
        "sandbox-callbacks": {
            "task": "modules.payments.tasks.send_sandbox_callbacks",
            "schedule": 1.0,
            "options": {"expires": 5},
        },
    }

from shop.logs import LOGGING, configure_structlog  # noqa: E402

LOGGING = {**LOGGING, "root": {**LOGGING["root"], "level": LOG_LEVEL}}
configure_structlog()
