"""Each module boots alone: only itself and the contracts, the others blocked from import, logged in as its own role."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)


def run(module: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTEST_") and not name.endswith(("_DATABASE_URL", "BROKER_URL"))
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**environment, "SHOP_MODULES": module, "SHOP_UNIT": module, "DJANGO_SETTINGS_MODULE": "shop.settings"},
        capture_output=True,
        text=True,
        timeout=110,
    )


@pytest.mark.parametrize("module", settings.ALL_MODULES)
def test_the_tests_of_a_module_pass_without_the_others(module: str) -> None:
    done = run(module, "-m", "pytest", f"modules/{module}", "-q", "-x", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_a_blocked_module_cannot_be_imported() -> None:
    module, other = settings.ALL_MODULES[:2]
    program = f"import django; django.setup(); import modules.{other}.models"
    done = run(module, "-c", program)
    assert done.returncode == 1
    assert f"modules.{other}" in done.stderr
    assert "ask it with a contract call or tell it with an event" in done.stderr
