from django.apps import AppConfig


class RuntimeConfig(AppConfig):
    """Outbox, inbox and idempotency tables, one set in every module's schema."""

    name = "contracts.runtime"
    label = "runtime"

    def ready(self) -> None:
        from contracts.runtime import checks  # noqa: F401  (registers them)
