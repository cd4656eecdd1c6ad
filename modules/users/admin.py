from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.password_validation import validate_password
from django.http import HttpRequest

from contracts.runtime.admin import ModuleAdmin
from modules.users import service
from modules.users.models import User


class UserForm(forms.ModelForm):  # type: ignore[type-arg]
    new_password = forms.CharField(
        required=False,
        strip=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Leave empty to keep the password; without one nobody can sign in.",
    )

    class Meta:
        model = User
        fields = ["email", "name", "address", "role", "is_active"]

    def clean_new_password(self) -> str:
        password: str = self.cleaned_data["new_password"]
        if password:
            validate_password(password, user=self.instance)
        return password

    def save(self, commit: bool = True) -> Any:
        if password := self.cleaned_data["new_password"]:
            self.instance.set_password(password)
        elif self.instance._state.adding:
            self.instance.set_unusable_password()
        return super().save(commit)


@admin.register(User)
class UserAdmin(ModuleAdmin):
    form = UserForm
    list_display = ["email", "name", "role", "is_active", "registered_at"]
    list_filter = ["role", "is_active"]
    search_fields = ["email", "name"]
    ordering = ["email"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Nobody takes away their own rights by accident."""
        return ["role", "is_active"] if obj is not None and obj.pk == request.user.pk else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Orders and payments know an account by its id for good: it is made inactive instead."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            obj.save()
        else:
            service.user_add(user=obj)
