from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol
from uuid import UUID

import msgspec

Role = Literal["customer", "staff", "admin"]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a request: what `request.user` is outside the users module.

    A value, from the session or a signed token, never a row. It has the attributes that Django's admin and
    REST framework ask of a user; permissions follow from the role alone.
    """

    id: UUID
    email: str
    name: str
    role: Role = "customer"

    is_active: ClassVar[bool] = True
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    @property
    def pk(self) -> UUID:
        return self.id

    @property
    def is_staff(self) -> bool:
        return self.role in ("staff", "admin")

    @property
    def is_superuser(self) -> bool:
        return self.role == "admin"

    def get_username(self) -> str:
        return self.email

    def get_short_name(self) -> str:
        return self.name

    def has_perm(self, perm: str, obj: object | None = None) -> bool:
        """Admins may do anything; staff may look."""
        return self.role == "admin" or (self.role == "staff" and ".view_" in perm)

    def has_perms(self, perms: list[str], obj: object | None = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff

    def __str__(self) -> str:
        return self.email


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """An identity, and the signed token that proves it to every unit."""

    identity: Identity
    token: str


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    email: str
    name: str
    address: str


@dataclass
class InvalidCredentials(Exception):
    """The email address or the password is wrong."""

    email: str


@dataclass
class TooManyAttempts(InvalidCredentials):
    """Too many wrong passwords for this address: none is looked at, the right one neither, for `retry_after_s`."""

    retry_after_s: int


@dataclass
class UnknownCustomer(Exception):
    """No active customer has this id."""

    customer_id: UUID


class CustomerRegistered(msgspec.Struct, frozen=True, kw_only=True, tag="users.customer_registered.v1"):
    KEY: ClassVar[str] = "customer_id"

    customer_id: UUID
    email: str
    name: str


class Users(Protocol):
    def sign_in(self, *, email: str, password: str) -> Identity:
        """The identity behind these credentials. Raises InvalidCredentials, TooManyAttempts.

        None of READS: a wrong password is counted, and one whose answer is lost would count with each sending.
        """
        ...

    def begin_session(self, *, email: str, password: str) -> SignedIn:
        """As sign_in, with a token: who holds the session may be unable to sign one."""
        ...

    def customer(self, *, customer_id: UUID) -> Customer:
        """Name and delivery address of an active customer. Raises UnknownCustomer."""
        ...


CONTRACT = Users
READS = ("customer",)
ERRORS = (InvalidCredentials, TooManyAttempts, UnknownCustomer)
PUBLISHES = (CustomerRegistered,)
HEARS: dict[str, str] = {}
