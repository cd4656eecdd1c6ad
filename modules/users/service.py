"""What the module does: register, sign in, change a profile."""

from uuid import UUID

from django.contrib.auth.hashers import check_password
from django.db import IntegrityError

from contracts.runtime import publish, transaction, transaction_required
from contracts.users import CustomerRegistered, Identity, InvalidCredentials, UnknownCustomer
from modules.users import attempts
from modules.users.models import User

NO_PASSWORD = "!"  # noqa: S105
"""Not the hash of any password; checking against it takes as long as against one."""


class EmailTaken(Exception):
    """Somebody has registered with this email address."""


def user_register(*, email: str, password: str, name: str, address: str = "") -> User:
    """A new customer. Raises EmailTaken."""
    user = User(email=email, name=name, address=address)
    user.set_password(password)
    try:
        with transaction("users"):
            user_add(user=user)
    except IntegrityError as error:
        raise EmailTaken(email) from error
    return user


def user_add(*, user: User) -> None:
    """Save a new account and tell it, in the transaction of the caller."""
    transaction_required("users")
    user.save(force_insert=True)
    publish(CustomerRegistered(customer_id=user.id, email=user.email, name=user.name))


def user_sign_in(*, email: str, password: str) -> Identity:
    """The identity behind these credentials; takes as long for an address that nobody has.

    Raises InvalidCredentials, TooManyAttempts.
    """
    attempts.check(email)
    user = User.objects.filter(email=email, is_active=True).first() if "\0" not in email else None
    correct = check_password(password, user.password if user else NO_PASSWORD)
    if user is None or not correct:
        attempts.count_failure(email)
        raise InvalidCredentials(email)
    return user.identity


def user_update(*, user_id: UUID, **changes: str) -> User:
    """Change the profile of an active user. Raises UnknownCustomer."""
    with transaction("users"):
        user = User.objects.select_for_update().filter(id=user_id, is_active=True).first()
        if user is None:
            raise UnknownCustomer(user_id)
        for field, value in changes.items():
            setattr(user, field, value)
        user.save(update_fields=list(changes))
    return user
