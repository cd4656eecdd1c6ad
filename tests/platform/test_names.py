"""How long the name of a unit may be."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from extraction import project
from shop.processes import ready_file, temporary, workers
from shop.records import Unit
from tests.platform.conftest import eventually

LONGEST = "u" * project.LONGEST_NAME


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules")
def test_the_workers_of_the_longest_name_start_also_in_a_second_release() -> None:
    unit = Unit(name=LONGEST, modules=("payments",), second=True)
    with running(unit) as run:
        assert eventually(lambda: all(ready_file(run, worker).exists() for worker in unit.workers))


@pytest.mark.parametrize("too_long", [{"unit": f"{LONGEST}u"}, {"modules": {f"{LONGEST}u": {}}}])
def test_a_longer_name_is_refused_at_once(settings: Any, too_long: dict[str, Any]) -> None:
    settings.EXTRACTION = {**settings.EXTRACTION, **too_long}
    with pytest.raises(ImproperlyConfigured, match=f"longer than {project.LONGEST_NAME} characters; shorten it"):
        project.unit(), project.modules()


@contextmanager
def running(unit: Unit) -> Iterator[Path]:
    """Its workers as `up` starts them, on the test's databases and broker."""
    run = Path(tempfile.mkdtemp(prefix="shop-names-"))
    temporary(run).mkdir()
    environment = {**os.environ, "SHOP_UNIT": unit.name, "SHOP_MODULES": ",".join(unit.modules)}
    started = [
        subprocess.Popen(process.command, env={**environment, **process.environment})
        for process in workers(unit, environment={}, run=run)
    ]
    try:
        yield run
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
