from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework import serializers

from modules.users.models import User

MOST_PASSWORD = 128


class ProfileSerializer(serializers.ModelSerializer[User]):
    """A user as the user may see and change it."""

    class Meta:
        model = User
        fields = ["id", "email", "name", "address", "role"]
        read_only_fields = ["id", "email", "role"]


class RegistrationSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=MOST_PASSWORD, trim_whitespace=False, write_only=True)
    name = serializers.CharField(max_length=150)
    address = serializers.CharField(max_length=500, required=False, allow_blank=True)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        known = User(email=attributes["email"], name=attributes["name"])
        try:
            validate_password(attributes["password"], user=known)  # type: ignore[arg-type]
        except ValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from error
        return attributes


class CredentialsSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=MOST_PASSWORD, trim_whitespace=False, write_only=True)


class IdentitySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.EmailField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=User.Role.choices)


class SignedInSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
    identity = IdentitySerializer()
