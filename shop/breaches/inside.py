"""Runs in a copy of the project. Started as a program of its own, by its path: of this project it imports nothing
before it has forked and knows in which copy it works.

It loads the libraries once. Then each line of its input is a job, done in a fork of its own:

    root         the copy to work in, and to import from
    environment  all of the variables
    tasks        what to do there, in this order: functions of TASKS
    without      the code of a rule that is taken away first, if any
    answer       a file for the answer, a JSON object
    log          a file for what is written besides

A line of its output says how the job ended: 0, or the fork's exit status.
"""

import json
import os
import runpy
import signal
import sys
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("aiosql", "celery.app.base", "celery.app.task", "celery.loaders.app", "celery.schedules", "celery.signals"),
    *("django.contrib.messages", "django.core.management", "django.core.management.commands.migrate"),
    *("django.db.backends.postgresql.base", "django.db.migrations.loader", "django.db.models", "django.forms"),
    *("django.template.backends.django", "django.urls", "django.views.generic"),
    *("environs", "grimp", "grimp.application.usecases", "httpx2", "importlinter.cli", "jsonschema", "joserfc.jwt"),
    *("kombu", "kombu.transport.memory", "msgspec", "psycopg", "psycopg.types.json", "pybreaker", "stamina"),
    *("structlog", "tree_sitter", "tree_sitter_python", "uritemplate", "uuid_utils.compat", "yaml"),
)
"""Loaded before a job is known; what is not installed is left to whoever needs it."""
TIMEOUT_S = 90


def main() -> None:
    """Jobs, one after another, until the input ends: at Ctrl-C whoever started this ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for library in LIBRARIES:
        with suppress(Exception):
            import_module(library)
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _work(json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def _work(job: dict[str, Any]) -> None:
    """Never returns."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.alarm(TIMEOUT_S)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    status = 1
    try:
        os.environ.clear()
        os.environ.update(job["environment"])
        time.tzset()
        os.chdir(job["root"])
        sys.path.insert(0, job["root"])
        sys.argv = ["manage.py", "breaches"]
        if "alone" not in job["tasks"]:  # which asks whether the project starts at all
            _set_up(job)
        answer = {name: TASKS[name](job) for name in job["tasks"]}
        Path(job["answer"]).write_text(json.dumps(answer))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _set_up(job: dict[str, Any]) -> None:
    """The project, without the rule that the job does without."""
    import django

    django.setup()
    if job.get("without"):
        from shop.breaches.without import take_away

        take_away(job["without"])


def _layers(job: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """What these layers find, in their order, and how long each took."""
    from extraction.boundaries.run import layers_of_project

    return _looked({name: layer for name, layer in layers_of_project().items() if name in names}, job)


def _looked(layers: Any, job: dict[str, Any]) -> list[dict[str, Any]]:
    from extraction.boundaries.catalogue import offers
    from extraction.boundaries.opening import house_of_project
    from extraction.boundaries.run import look

    return [
        {
            "layer": looked.layer,
            "took_s": looked.took_s,
            "skipped": looked.skipped,
            "findings": [_told(finding) for finding in looked.findings if finding.code != job.get("without")],
        }
        for looked in look(house_of_project(), layers, offers())
    ]


def _told(finding: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(finding)


def _of_source(job: dict[str, Any]) -> list[dict[str, Any]]:
    return _layers(job, "imports", "source", "checks", "contracts")


def _of_database(job: dict[str, Any]) -> list[dict[str, Any]]:
    return _layers(job, "database")


def _import_linter(job: dict[str, Any]) -> dict[str, Any]:
    """import-linter itself, with the configuration that stands beside the copy: its exit status and what it printed."""
    from contextlib import redirect_stdout
    from io import StringIO

    from importlinter.application import output
    from importlinter.cli import lint_imports

    with redirect_stdout(StringIO()) as printed:
        output.console.width = 1000
        status = lint_imports(config_filename=job["import_linter"], cache_dir=job["import_linter_cache"], no_logo=True)
    return {"status": status, "printed": printed.getvalue()}


def _migrate(job: dict[str, Any]) -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0, skip_checks=True)


def _run(job: dict[str, Any]) -> dict[str, Any]:
    """The layer of run time: what the guards and the runtime of contracts refuse. `raised` is any other error.

    `broken` are files of orders that cannot be imported where all modules are: alone they say nothing.
    """
    from contracts.runtime import CallInTransaction, HandlerInTransaction
    from extraction.boundaries.guards import GuardError
    from extraction.boundaries.operations import Operation
    from extraction.boundaries.runtime import finding_of

    broken = [name for name in _files_of("modules.orders") if not _is_importable(name)]
    known = _given(job)
    answer: dict[str, Any] = {"looked": [], "broken": broken}
    try:
        with Operation("request", "of a customer"):
            runpy.run_path(job["program"], init_globals=known)
    except GuardError as error:
        answer["looked"] = _at_run_time(finding_of(error), job)
    except CallInTransaction as error:
        answer["looked"] = _at_run_time(_refused("boundaries.E501", error, job), job)
    except HandlerInTransaction as error:
        answer["looked"] = _at_run_time(_refused("boundaries.E504", error, job), job)
    except Exception as error:
        answer["raised"] = _sentence(error)
    return answer


def _alone(job: dict[str, Any]) -> dict[str, Any]:
    """The same where no other module is installed, from the start on, after it went well with all of them.

    A call that nobody answers is no breach: it would be answered by another unit.
    """
    error = _fails_at_start(job) or _fails(job)
    if error is None or job.get("without") == "boundaries.E505":
        return {"looked": []}
    return {"looked": [{"skipped": "", "findings": [_told(_refused("boundaries.E505", error, job))]}]}


def _fails_at_start(job: dict[str, Any]) -> Exception | None:
    try:
        _set_up(job)
    except Exception as error:
        return error
    return None


def _fails(job: dict[str, Any]) -> Exception | None:
    """An import of a file, or what the breach runs; what is there before it is not the breach's."""
    from contracts.runtime import NotBound, Unavailable

    try:
        for name in _files_of("modules.orders"):
            if name not in job["broken"]:
                import_module(name)
    except Exception as error:
        return error
    known = _given(job)
    try:
        runpy.run_path(job["program"], init_globals=known)
    except (NotBound, Unavailable):
        pass
    except Exception as error:
        return error
    return None


def _given(job: dict[str, Any]) -> dict[str, Any]:
    return runpy.run_path(job["given"]) if job.get("given") else {}


def _is_importable(name: str) -> bool:
    try:
        import_module(name)
    except (Exception, SystemExit):
        return False
    return True


def _at_run_time(finding: Any, job: dict[str, Any]) -> list[dict[str, Any]]:
    """With what to do instead, as the other layers have it."""
    return _looked({"runtime": lambda house: [finding]}, job)


def _files_of(package: str) -> list[str]:
    import pkgutil

    found = pkgutil.walk_packages(import_module(package).__path__, f"{package}.", onerror=lambda name: None)
    return [info.name for info in found if ".tests" not in info.name and ".migrations" not in info.name]


def _refused(code: str, error: Exception, job: dict[str, Any]) -> Any:
    """A finding at the line of orders that was on its way."""
    from extraction.boundaries.codes import CODES
    from extraction.boundaries.findings import Finding

    root = f"{job['root']}/"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(root)]
    of_orders = [frame for frame in frames if frame.filename.startswith(f"{root}modules/orders/")] or frames
    what = {
        "boundaries.E501": f"asks another module inside a transaction: {error}",
        "boundaries.E504": f"has a handler run in its own transaction: {error}",
        "boundaries.E505": f"fails without the other modules: {_sentence(error)}",
    }[code]
    return Finding(
        path=of_orders[-1].filename.removeprefix(root) if of_orders else "",
        line=of_orders[-1].lineno or 0 if of_orders else 0,
        code=code,
        module="orders",
        other="",
        what=what,
        instead=CODES[code].instead,
    )


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


TASKS = {
    "source": _of_source,
    "database": _of_database,
    "import-linter": _import_linter,
    "migrate": _migrate,
    "run": _run,
    "alone": _alone,
}

if __name__ == "__main__":
    main()
