"""The class of every task: one that a database refused goes to the queue of the unit where its module lives."""

import time
from typing import Any

import structlog
from celery import Task
from celery.exceptions import Reject, TaskPredicate
from django.db import DatabaseError, InterfaceError

from contracts.runtime.configuration import configuration
from contracts.runtime.errors import Refused
from contracts.runtime.following import PATIENCE_S, PAUSE_S, operation

log = structlog.get_logger(__name__)

_RUNTIME = "contracts.runtime.tasks."


class FollowingTask(Task):  # type: ignore[type-arg]
    """A task is an operation. Where its module is not at home it is sent on; refused, it is tried again while the
    module is in motion, and then sent on.

    Sent on under the same id, to the queue of the same name at the other unit. A task that is acknowledged late may run
    twice as it is, so it is sent on whatever it had committed; one that is acknowledged early only if that was nothing.
    Where it cannot be sent it goes back to its queue, or fails if it was acknowledged early. What beat sends is skipped
    where the module is not at home: beat of the other unit sends its own.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._lives_elsewhere():
            return self._leave_to_home(args, kwargs)
        # Celery's own __call__ pushes an empty request, from which a second attempt would begin.
        do = super().__call__ if self.request.called_directly else self.run
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                with operation("task", self.name):
                    return do(*args, **kwargs)
            except Refused as refused:
                if isinstance(refused.__cause__, TaskPredicate):  # it asked to be retried: sent on too, it comes twice
                    raise refused.__cause__ from None
                if not self._may_run_again(refused):
                    raise
                if not refused.in_motion or time.monotonic() >= end:
                    if self.request.called_directly:
                        raise
                    self._send_on(refused.home, args, kwargs)
                    return None
            time.sleep(PAUSE_S)

    def _lives_elsewhere(self) -> bool:
        """Asked before it begins: what it does outside the databases would be done by both units."""
        module = _module_of(self.name)
        if module not in configuration.modules or self.request.called_directly:
            return False
        try:
            return not configuration.at_home(module)
        except (DatabaseError, InterfaceError):
            return False  # the task itself finds out

    def _leave_to_home(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if (self.request.headers or {}).get("celery_beat_task"):
            log.debug("periodic task stands by", task=self.name)
            return
        remote = configuration.resolve(_module_of(self.name))
        self._send_on(remote.unit if remote else "", args, kwargs)

    def _may_run_again(self, refused: Refused) -> bool:
        of_the_module = _module_of(self.name) in (refused.module, "")
        return of_the_module and (refused.untouched or bool(self.acks_late))

    def _send_on(self, home: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """To the home's queue; while no home is known, to the end of this one."""
        here = str((self.request.delivery_info or {}).get("routing_key", ""))
        unit = configuration.unit
        own = here == unit or here.startswith(f"{unit}_")
        queue = f"{home}{here.removeprefix(unit)}" if own and home else here
        try:
            self.apply_async(
                args,
                kwargs,
                task_id=self.request.id,
                queue=queue,
                headers=self.request.headers or {},
                retry=False,
            )
        except Exception as error:  # each transport has errors of its own
            log.error("task not sent on", task=self.name, id=self.request.id, queue=queue, error=str(error))
            if not self.acks_late:
                raise
            raise Reject(error, requeue=True) from error
        log.info("task sent on", task=self.name, id=self.request.id, queue=queue)


def _module_of(task: str) -> str:
    """`inventory` of `modules.inventory.tasks.…`; nothing for the runtime's own, which serve every module."""
    return "" if task.startswith(_RUNTIME) else task.rsplit(".tasks.", 1)[0].rpartition(".")[2]
