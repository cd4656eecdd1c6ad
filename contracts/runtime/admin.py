"""Admin classes for modules: permissions by Identity, history in the module's own schema, money as money."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from django.contrib import admin, messages
from django.db import models, router, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from contracts.runtime.configuration import configuration
from contracts.runtime.models import AuditEntry


def money(cents: str, *, currency: str = "") -> Callable[[Any, Any], str | None]:
    """A column of an admin class that shows a field of cents as an amount.

    `currency` is the path of the field that names it; without one the shop's own is meant.
    """

    @admin.display(description=cents.removesuffix("_cents").replace("_", " "), ordering=cents)
    def amount(_: Any, row: Any) -> str | None:
        value = getattr(row, cents)
        if value is None:
            return None
        return f"{value // 100:,}.{value % 100:02d} {attrgetter(currency)(row) if currency else 'EUR'}"

    return amount


class ModuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A ModelAdmin whose history is written in the module's schema, in the transaction of the change.

    Django's own LogEntry has a foreign key to a user in the same database; here users are another module. While the
    module lives in another unit its rows here are a copy: they are shown, and nothing of them can be changed.
    """

    def lives_elsewhere(self) -> str:
        """The unit where the module lives, empty when it is this one."""
        remote = configuration.resolve(self.opts.app_label)
        return remote.unit if remote else ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not self.lives_elsewhere() and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not self.lives_elsewhere() and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not self.lives_elsewhere() and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None where the module is a copy: Django refuses what is not offered."""
        return {} if self.lives_elsewhere() else super().get_actions(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        self._tell_copy(request)
        return super().changelist_view(request, extra_context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        self._tell_copy(request)
        return super().changeform_view(request, object_id, form_url, extra_context)

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
        self._tell_copy(request)
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

    def _tell_copy(self, request: HttpRequest) -> None:
        unit = self.lives_elsewhere()
        if unit and request.method == "GET":
            text = f"{self.opts.app_label} lives in unit {unit}; this is a copy, read only."
            messages.warning(request, text, fail_silently=True)

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
