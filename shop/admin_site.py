"""The admin for identities: signs in through the users module, keeps no log of its own, and says so when what it would
change has just moved."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect


class ShopAdminConfig(AdminConfig):
    default_site = "shop.admin_site.ShopAdminSite"

    def ready(self) -> None:
        """Django's own users and groups are unused: nobody signs in as one."""
        super().ready()
        from django.contrib import admin
        from django.contrib.auth.models import Group, User

        admin.site.unregister([User, Group])


class SignInForm(forms.Form):
    username = forms.EmailField(label="Email", widget=forms.EmailInput(attrs={"autofocus": True}))
    password = forms.CharField(strip=False, max_length=128, widget=forms.PasswordInput)

    signed_in: Any = None

    def clean(self) -> dict[str, Any]:
        from contracts.runtime import Unavailable, use
        from contracts.users import InvalidCredentials, TooManyAttempts, Users

        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            signed_in = use(Users).begin_session(email=cleaned["username"], password=cleaned["password"])
        except TooManyAttempts as error:
            raise forms.ValidationError(f"Too many wrong passwords; wait {error.retry_after_s} seconds.") from error
        except InvalidCredentials as error:
            raise forms.ValidationError("The email address or the password is wrong.") from error
        except Unavailable as error:
            raise forms.ValidationError("Accounts do not answer at the moment; try again.") from error
        if not signed_in.identity.is_staff:
            raise forms.ValidationError("This account is a customer's; sign in with one of the staff's.")
        self.signed_in = signed_in
        return cleaned


class ShopAdminSite(AdminSite):
    site_title = site_header = "Shop administration"
    index_title = "Modules"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return super().admin_view(self._following(view), cacheable)

    @method_decorator([never_cache, login_not_required, csrf_protect])
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from contracts.runtime.identity import begin_session

        target = self._target(request)
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(target)
        form = SignInForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            begin_session(request, form.signed_in)
            return HttpResponseRedirect(target)
        context = {
            **self.each_context(request),
            "title": "Sign in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            REDIRECT_FIELD_NAME: target,
            "form": form,
            **(extra_context or {}),
        }
        request.current_app = self.name
        return TemplateResponse(request, "admin/login.html", context)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        from contracts.runtime.identity import end_session

        if request.method == "POST":
            end_session(request)
        return HttpResponseRedirect(reverse("admin:login", current_app=self.name))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Passwords belong to the users module."""
        raise Http404

    def _following(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """A page when the fence refuses what no permission refused, for the module has moved within the second; or when
        the tables are no longer here."""
        from contracts.runtime.errors import Refused
        from contracts.runtime.following import patiently

        @wraps(view)
        def followed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            is_read = request.method != "POST"
            try:
                return patiently("admin", f"{request.method} {request.path}", lambda: view(request, *args, **kwargs))
            except Refused as refused:
                title = "Not here" if is_read else "Not changed"
                context = {**self.each_context(request), "title": title, "refused": refused, "is_read": is_read}
                status = HTTPStatus.GONE if is_read else HTTPStatus.CONFLICT
                return TemplateResponse(request, "admin/moved.html", context, status=status)

        return followed

    def _target(self, request: HttpRequest) -> str:
        asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
        safe = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
        return asked if safe else reverse("admin:index", current_app=self.name)
