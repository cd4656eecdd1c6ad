"""Modules out of a real shop at the same time, and back, while customers buy. All four: `tests.benchmarks.all_out`."""

import subprocess
import sys

import pytest
from django.conf import settings

from tests.embedded import unembedded

pytestmark = pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules")
ORDER = ("payments", "users")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_modules_leave_live_outside_together_and_come_back_without_a_failed_request() -> None:
    small = ("--rate", "4", "--seconds", "1", "--hold-s", "0.5")
    run = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.all_out", "--order", ",".join(ORDER), *small],
        cwd=settings.BASE_DIR,
        env=unembedded(),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for stage in ("cutover", "rollback"):
        for module in ORDER:
            assert f"{stage} {module}".ljust(20) + " lock to open" in run.stdout
    assert ", 0 failed\n" in run.stdout
    assert "lost 0, doubled 0\n" in run.stdout
