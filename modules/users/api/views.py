from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotAuthenticated, Throttled, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contracts.runtime.identity import token_for
from contracts.users import InvalidCredentials, TooManyAttempts, UnknownCustomer
from modules.users import selectors, service
from modules.users.api.serializers import (
    CredentialsSerializer,
    ProfileSerializer,
    RegistrationSerializer,
    SignedInSerializer,
)


class RegistrationView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(operation_id="users_register", request=RegistrationSerializer, responses={201: ProfileSerializer})
    def post(self, request: Request) -> Response:
        """Register a customer."""
        form = RegistrationSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            user = service.user_register(**form.validated_data)
        except service.EmailTaken as error:
            raise ValidationError({"email": ["Somebody has registered with this address; sign in instead."]}) from error
        return Response(ProfileSerializer(user).data, status=201)


class LoginView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(operation_id="users_login", request=CredentialsSerializer, responses={200: SignedInSerializer})
    def post(self, request: Request) -> Response:
        """A bearer token for these credentials."""
        form = CredentialsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            identity = service.user_sign_in(**form.validated_data)
        except TooManyAttempts as error:
            raise Throttled(wait=error.retry_after_s) from error
        except InvalidCredentials:
            detail = "The email address or the password is wrong."
            return Response({"detail": detail, "code": "invalid_credentials"}, status=401)
        return Response({"token": token_for(identity), "identity": msgspec.to_builtins(identity)})


class ProfileView(APIView):
    @extend_schema(operation_id="users_me", responses=ProfileSerializer)
    def get(self, request: Request) -> Response:
        """Who is signed in."""
        try:
            user = selectors.user_get(user_id=_user_id(request))
        except UnknownCustomer as error:
            raise _gone() from error
        return Response(ProfileSerializer(user).data)

    @extend_schema(operation_id="users_me_change", request=ProfileSerializer, responses=ProfileSerializer)
    def patch(self, request: Request) -> Response:
        """Change name or address."""
        form = ProfileSerializer(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        try:
            user = service.user_update(user_id=_user_id(request), **form.validated_data)
        except UnknownCustomer as error:
            raise _gone() from error
        return Response(ProfileSerializer(user).data)


def _user_id(request: Request) -> Any:
    return request.user.pk


def _gone() -> NotAuthenticated:
    return NotAuthenticated("This account is not there any more, or not active.")
