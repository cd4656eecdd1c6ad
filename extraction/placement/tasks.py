"""Celery tasks that follow their module, for a project of any kind. Celery itself is not imported: it brings the class.

    class ProjectTask(FollowingTask, celery.Task): abstract = True
    app = celery.Celery("project", task_cls=ProjectTask)

A task is of the module whose `apps` its code is in; others are left alone. One that the module does not take here goes
to the home's queue under its own id, with its chain, its number of retries and its expiry. The units share one broker,
and no queue: a unit's are `unit` and `unit_x`, which become `home` and `home_x`, and so back again. For any other name
`EXTRACTION["task_queue"]`, a callable or its dotted path, says the queue of the home for one of this unit.
"""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError
from django.utils.module_loading import import_string

from extraction import project
from extraction.boundaries.operations import Operation
from extraction.logs import get_logger
from extraction.placement import where
from extraction.placement.errors import NotSentOn, RefusalSwallowed

log = get_logger(__name__)

PATIENCE_S = 2.0
PAUSE_S = 0.005
SENDS_FOR_S = 10.0
"""For how long a broker is asked to take a task that it has forgotten, and of which there is no other copy."""
SENDS_EVERY_S = 0.5

if TYPE_CHECKING:

    class _Task:
        name: str
        acks_late: bool
        app: Any
        request: Any
        signature_from_request: Callable[..., Any]

        run: Callable[..., Any]

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

else:
    _Task = object


class FollowingTask(_Task):
    """A task that is refused is tried again while its module is in motion, and then sent on to where it lives.

    Acknowledged late, it may run twice as it is, and is sent on whatever it had committed; acknowledged early only if
    that was nothing, else it fails with the refusal. What beat sends stands by: beat of the home sends its own. Set
    `stands_by = True` on a task that something else sends from time to time in every unit. Raises NotSentOn.
    """

    stands_by = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module = module_of(type(self).__module__)
        if module is None or self.request.called_directly or self._is_eager():
            return super().__call__(*args, **kwargs)
        if (home := _home_elsewhere(module)) is not None:
            self._send_on(home, args, kwargs, periodic=self._is_periodic())
        end = time.monotonic() + PATIENCE_S
        while True:
            with Operation("task", self.name) as operation:
                try:
                    # Celery's own __call__ would push an empty request for the second attempt.
                    result, error = self.run(*args, **kwargs), None
                except Exception as raised:
                    result, error = None, raised
            refusal = operation.refusal
            if refusal is None or isinstance(error, _celery("TaskPredicate")):  # it asked to be retried: it comes again
                return _result(result, error)
            if refusal.module != module or not (operation.untouched or self.acks_late):
                log.error("task refused half-way", task=self.name, module=refusal.module, id=self.request.id)
                return _result(result, error or RefusalSwallowed(refusal))
            if not refusal.in_motion or time.monotonic() >= end:
                self._send_on(refusal.home, args, kwargs)
            time.sleep(PAUSE_S)

    def _is_eager(self) -> bool:
        """Run by `apply`, for whoever waits for it; no message is here that could go anywhere."""
        return bool(self.request.is_eager or self.app.conf.task_always_eager)

    def _is_periodic(self) -> bool:
        return self.stands_by or is_of_beat(self.request)

    def _send_on(self, home: str, args: Any, kwargs: Any, *, periodic: bool = False) -> None:
        """Raises Ignore, so that here nothing follows upon it. Where it cannot be sent: Reject, which puts it back, for
        one that is acknowledged late; NotSentOn for one that is acknowledged already."""
        if periodic:
            log.info("periodic task stands by", task=self.name, id=self.request.id, home=home)
            raise _celery("Ignore")(f"{self.name} stands by: its module lives in {home}")
        here = str((self.request.delivery_info or {}).get("routing_key") or self.app.conf.task_default_queue)
        try:
            queue = queue_at(home, here) if home else here
            self._send(args, kwargs, queue)
        except Exception as error:  # each transport has errors of its own, and task_queue may raise any
            log.error("task not sent on", task=self.name, id=self.request.id, home=home, error=str(error))
            if not self.acks_late:
                raise NotSentOn(self.name, str(self.request.id), home or project.unit()) from error
            time.sleep(PATIENCE_S)  # it comes back at once
            raise _celery("Reject")(error, requeue=True) from error
        log.info("task sent on", task=self.name, id=self.request.id, queue=queue)
        raise _celery("Ignore")(f"sent on to {queue}")

    def _send(self, args: Any, kwargs: Any, queue: str) -> None:
        """Raises what the transport does. Celery's own retries go on with the connection that broke."""
        message = self.signature_from_request(
            args=args, kwargs=kwargs, countdown=0, retries=self.request.retries, queue=queue
        )
        end = time.monotonic() + (0 if self.acks_late else SENDS_FOR_S)
        while True:
            try:
                message.apply_async(retry=False)
                return
            except Exception:
                if time.monotonic() >= end:
                    raise
            time.sleep(SENDS_EVERY_S)


def is_of_beat(request: Any) -> bool:
    """Whether beat sent it, as its header says (Celery 5.7)."""
    return bool((request.headers or {}).get("celery_beat_task"))


def module_of(code: str) -> str | None:
    """The module that this Python module is of, by the longest of its apps."""
    found = [
        (len(app), module.name)
        for module in project.modules().values()
        for app in module.apps
        if code == app or code.startswith(f"{app}.")
    ]
    return max(found)[1] if found else None


def queue_at(home: str, queue: str) -> str:
    """The queue of the home for one of this unit. Raises ImproperlyConfigured where nothing says it."""
    given = settings.EXTRACTION.get("task_queue")
    if given is not None:
        return str((import_string(given) if isinstance(given, str) else given)(home, queue))
    if not _is_named_by_unit(queue):
        raise ImproperlyConfigured(_UNNAMED.format(queue=queue, unit=project.unit()))
    return f"{home}{queue.removeprefix(project.unit())}"


_UNNAMED = (
    "nothing says which queue another unit has for {queue}, nor which one there comes back to it; name it {unit} or "
    '{unit}_…, or say both ways in EXTRACTION["task_queue"]'
)


def _is_named_by_unit(queue: str) -> bool:
    unit = project.unit()
    return queue == unit or queue.startswith(f"{unit}_")


@register()
def default_queue_has_a_way_back(app_configs: object, **_: Any) -> list[CheckMessage]:
    """E001: a task of the default queue could not follow its module. A worker asks before it begins."""
    app = sys.modules["celery"].current_app if "celery" in sys.modules else None
    if app is None or not issubclass(app.Task, FollowingTask) or settings.EXTRACTION.get("task_queue"):
        return []
    queue = app.conf.task_default_queue
    if _is_named_by_unit(queue):
        return []
    return [
        Error(
            f"tasks of the queue {queue!r} cannot follow their module",
            hint=_UNNAMED.format(queue=queue, unit=project.unit()) + ": docs/entry-points.md",
            id="extraction.E001",
        )
    ]


def _home_elsewhere(module: str) -> str | None:
    """Asked before it begins: what it does outside the databases would be done by both units."""
    try:
        place = where.place_now(module)
    except (DatabaseError, InterfaceError):
        return None  # the task itself finds out
    return None if place.here else place.home


def _result(result: Any, error: Exception | None) -> Any:
    if error is not None:
        raise error
    return result


def _celery(exception: str) -> Any:
    """One of Celery's exceptions; where its tasks run they are loaded."""
    return getattr(sys.modules["celery.exceptions"], exception)
