"""Demo accounts: an admin, one of the staff, customers. All have the password `demo`."""

from collections.abc import Mapping
from functools import cache
from random import Random
from uuid import UUID

from django.contrib.auth.hashers import make_password

from contracts.runtime import transaction
from modules.users.models import User

DOMAIN = "shop.example"
PASSWORD = "demo"  # noqa: S105
_FIRST = "Ada Alan Amal Aisha Bram Carla Chen Dara Edsger Elif Emeka Femi Grace Hana Ines Ivan Jonas Kemal Lena Linus "
_FIRST += "Mara Mateo Mina Noor Olga Omar Pia Priya Rosa Sami Sofia Tariq Uma Vera Wei Yara Yusuf Zoe"
_LAST = "Adams Becker Costa Dijkstra Eriksen Fischer Garcia Haddad Ivanova Jensen Kaya Lovelace Moreau Nakamura Okafor "
_LAST += "Petrov Quist Rossi Silva Turing Ueda Vogel Weber Xu Yilmaz Zhang"
_STREETS = ("Harbour Street", "Mill Lane", "Station Road", "Castle Hill", "Orchard Way", "Lindenallee", "Rue du Port")
_CITIES = ("Aarhus", "Bremen", "Coimbra", "Delft", "Ghent", "Lund", "Porto", "Trento", "Utrecht")


def seed(*, amounts: Mapping[str, int]) -> str:
    """Plant what is not there yet and leave the rest alone. Says what it did."""
    accounts = _accounts(customers=amounts["customers"])
    with transaction("users"):
        there = set(User.objects.filter(email__in=[user.email for user in accounts]).values_list("email", flat=True))
        missing = [user for user in accounts if user.email not in there]
        for user in missing:
            user.password = _password_hash()
        User.objects.bulk_create(missing, ignore_conflicts=True)
    return f"{len(missing)} accounts planted, {len(there)} were there; the password of demo accounts is {PASSWORD!r}"


def objection(*, amounts: Mapping[str, int]) -> str:
    """Why demo accounts should not be planted here; empty when nothing speaks against it."""
    strangers = User.objects.exclude(email__endswith=f"@{DOMAIN}").count()
    emails = [user.email for user in _accounts(customers=amounts["customers"])]
    if strangers and User.objects.filter(email__in=emails).count() < len(emails):
        return f"there are {strangers} real users here, and demo accounts have a password that everybody knows"
    return ""


@cache
def _password_hash() -> str:
    """One for all of them: a hash takes longer than all the rest. A longer salt does not fit the column."""
    return make_password(PASSWORD, salt="demo-accounts-share-it")


def _accounts(*, customers: int) -> list[User]:
    random = Random(2025)  # noqa: S311
    roles = User.Role
    accounts = [
        _account(0, random, "admin", "Demo Admin", role=roles.ADMIN),
        _account(1, random, "staff", "Demo Staff", role=roles.STAFF),
    ]
    for number in range(1, customers + 1):
        name = f"{random.choice(_FIRST.split())} {random.choice(_LAST.split())}"
        address = f"{random.choice(_STREETS)} {random.randint(1, 180)}, {random.choice(_CITIES)}"
        accounts.append(_account(number + 1, random, f"customer-{number:03}", name, address=address))
    return accounts


def _account(
    number: int, random: Random, mailbox: str, name: str, *, role: str = "customer", address: str = ""
) -> User:
    return User(id=_uuid7(number, random), email=f"{mailbox}@{DOMAIN}", name=name, role=role, address=address)


def _uuid7(number: int, random: Random) -> UUID:
    """The same for the same number: 1 January 2025, `number` milliseconds past midnight."""
    milliseconds = 1_735_689_600_000 + number
    return UUID(int=milliseconds << 80 | 0x7 << 76 | random.getrandbits(12) << 64 | 0b10 << 62 | random.getrandbits(62))
