from django.apps import apps
from django.contrib import admin


class Subscriptions(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "user_id", "plan_name")
    raw_id_fields = ("user",)
    list_per_page = 10
    show_full_result_count = False


admin.site.register(apps.get_model("payments", "Subscription"), Subscriptions)  # type: ignore[misc]
