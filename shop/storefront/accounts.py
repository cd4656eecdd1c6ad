"""Sign in, sign out, register."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from contracts.runtime import use
from contracts.runtime.identity import begin_session, end_session, token_of
from contracts.users import InvalidCredentials, TooManyAttempts, Users
from shop.storefront import public_api
from shop.storefront.forms import RegisterForm, SignInForm
from shop.storefront.pages import page, safe_next

WRONG = "The email address or the password is wrong."


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    following = safe_next(request, reverse("catalogue"))
    if request.method != "POST" and request.user.is_authenticated and token_of(request):
        return redirect(following)  # without the token other units do not know this visitor: then sign in again
    form = SignInForm(request.POST or None)
    if form.is_valid():
        try:
            signed_in = use(Users).begin_session(**form.cleaned_data)
        except TooManyAttempts as error:
            form.add_error(None, f"Too many wrong passwords. Try again in {error.retry_after_s} seconds.")
        except InvalidCredentials:
            form.add_error(None, WRONG)
        else:
            begin_session(request, signed_in)
            return redirect(following)
    return page(request, "sign_in", {"form": form, "next": following}, status=422 if form.errors else 200)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    end_session(request)
    messages.info(request, "You are signed out.")
    return redirect("catalogue")


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """POST is the way of a browser without JavaScript."""
    following = safe_next(request, reverse("catalogue"))
    form = RegisterForm(request.POST or None)
    if form.is_valid():
        answer = public_api.post(request, public_api.USERS, form.cleaned_data)
        if answer.status < 300:
            return sign_in(request)
        public_api.add_errors(form, answer)
    return page(request, "register", {"form": form, "next": following}, status=422 if form.errors else 200)
