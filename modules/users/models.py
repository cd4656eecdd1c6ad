from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models.functions import Lower, Now
from uuid_utils.compat import uuid7

from contracts.users import Customer, Identity


class LowercaseEmailField(models.EmailField):  # type: ignore[type-arg]
    """An address in lower case, in rows and in lookups: Ann@Example.com is ann@example.com."""

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return value.strip().lower() if isinstance(value, str) else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(super().get_prep_value(value))


class User(AbstractBaseUser):
    """An account. No AUTH_USER_MODEL: outside this module `request.user` is an Identity."""

    class Role(models.TextChoices):
        CUSTOMER = "customer"
        STAFF = "staff"
        ADMIN = "admin"

    last_login = None  # a sign-in changes nothing, so that it can be answered by any unit

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = LowercaseEmailField(unique=True)
    name = models.CharField(max_length=150)
    address = models.CharField(max_length=500, blank=True)
    role = models.CharField(max_length=10, choices=Role, default=Role.CUSTOMER)
    is_active = models.BooleanField(default=True, help_text="Take this away instead of deleting an account.")
    registered_at = models.DateTimeField(db_default=Now(), editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower")]

    def __str__(self) -> str:
        return str(self.email)

    @property
    def identity(self) -> Identity:
        """What other modules see of who signs in."""
        return Identity(id=self.id, email=self.email, name=self.name, role=self.role)  # type: ignore[arg-type]

    @property
    def customer(self) -> Customer:
        """What other modules see of who orders."""
        return Customer(id=self.id, email=self.email, name=self.name, address=self.address)
