"""Admin classes for modules: permissions by Identity, history in the module's own schema."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db import models, router, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from contracts.runtime.models import AuditEntry


class ModuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A ModelAdmin whose history is written in the module's schema, in the transaction of the change.

    Django's own LogEntry has a foreign key to a user in the same database; here users are another module.
    """

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> None:  # type: ignore[override]
        self._record(request, [obj], "added", message)

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> None:  # type: ignore[override]
        self._record(request, [obj], "changed", message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:  # type: ignore[override]
        """Nothing: of a bulk deletion Django logs before it opens the transaction, so the two methods below do."""

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        self._record(request, [obj], "deleted")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[models.Model]) -> None:
        with transaction.atomic(using=self._alias()):
            self._record(request, queryset, "deleted")
            super().delete_queryset(request, queryset)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = self.get_object(request, object_id)
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        entries = AuditEntry.objects.using(self._alias()).filter(model=self.opts.label, object_id=str(obj.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Change history: {obj}",
            "entries": entries.order_by("-at")[:200],
            "object": obj,
            "opts": self.opts,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/module_history.html", context)

    def _record(
        self, request: HttpRequest, objects: Iterable[models.Model], action: str, message: object = None
    ) -> None:
        user: Any = request.user
        AuditEntry.objects.using(self._alias()).bulk_create(
            AuditEntry(
                actor_id=user.pk,
                actor=user.get_username(),
                model=self.opts.label,
                object_id=str(obj.pk),
                object_repr=str(obj)[:200],
                action=action,
                changes=message if isinstance(message, list) else [str(message)] if message else [],
            )
            for obj in objects
        )

    def _alias(self) -> str:
        return router.db_for_write(self.model)
