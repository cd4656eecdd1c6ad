"""Registration, sign-in and profile over the API, on the real database."""

import threading
import time
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.hashers import make_password
from django.core.cache import cache as django_cache
from django.db import IntegrityError, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contracts.runtime import use
from contracts.runtime.identity import identity_in, token_for
from contracts.runtime.models import OutboxEvent
from contracts.users import InvalidCredentials, TooManyAttempts, UnknownCustomer, Users
from modules.users import service
from modules.users.models import User

pytestmark = pytest.mark.django_db

PASSWORD = "a river in autumn"
ANN = {"email": "Ann@Example.com", "password": PASSWORD, "name": "Ann O’Hara", "address": "1 Mill Lane"}


@pytest.fixture(autouse=True)
def _no_attempts_yet() -> None:
    django_cache.clear()


@pytest.fixture
def ann() -> User:
    return User.objects.create(email=ANN["email"], password=_password_hash(), name=ANN["name"], address=ANN["address"])


def test_registration_answers_the_profile_and_tells_it_in_the_same_transaction(client: Client) -> None:
    answer = _post(client, "/api/users/", ANN)
    assert answer.status_code == 201
    user = User.objects.get()
    assert answer.json() == {
        "id": str(user.id),
        "email": "ann@example.com",
        "name": "Ann O’Hara",
        "address": "1 Mill Lane",
        "role": "customer",
    }
    assert user.id.version == 7
    event = OutboxEvent.objects.using("users").get()
    assert (event.type, event.key) == ("users.customer_registered.v1", str(user.id))
    assert event.data == {
        "type": "users.customer_registered.v1",
        "customer_id": str(user.id),
        "email": "ann@example.com",
        "name": "Ann O’Hara",
    }


@pytest.mark.usefixtures("ann")
def test_an_address_registers_once_whatever_its_case(client: Client) -> None:
    answer = _post(client, "/api/users/", {**ANN, "email": "ANN@example.COM"})
    assert answer.status_code == 400
    assert list(answer.json()) == ["email"]
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_registrations_at_once_one_is_refused_and_leaves_no_event() -> None:
    statuses: list[int] = []

    def register() -> None:
        statuses.append(_post(Client(), "/api/users/", ANN).status_code)
        connections.close_all()

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 400, 400, 400]
    assert OutboxEvent.objects.using("users").count() == 1


def test_the_database_refuses_an_address_in_upper_case() -> None:
    with pytest.raises(IntegrityError, match="user_email_lower"), connections["users"].cursor() as cursor:
        cursor.execute(
            "insert into users_user (id, password, email, name, address, role, is_active)"
            " values (%s, '', 'Ann@example.com', 'Ann', '', 'customer', true)",
            [uuid4()],
        )


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["email", "password", "name"]),
        ({**ANN, "email": "ann"}, ["email"]),
        ({**ANN, "email": f"{'a' * 250}@example.com"}, ["email"]),
        ({**ANN, "email": None}, ["email"]),
        ({**ANN, "name": "a" * 151}, ["name"]),
        ({**ANN, "name": "a\0b"}, ["name"]),
        ({**ANN, "name": ["Ann"]}, ["name"]),
        ({**ANN, "address": "a" * 501}, ["address"]),
        ({**ANN, "password": "short"}, ["password"]),
        ({**ANN, "password": "password123"}, ["password"]),
        ({**ANN, "password": "ann@example.com"}, ["password"]),
        ({**ANN, "password": "p" * 129}, ["password"]),
        ([ANN], ["non_field_errors"]),
    ],
)
def test_a_malformed_registration_names_the_fields(client: Client, body: object, fields: list[str]) -> None:
    answer = _post(client, "/api/users/", body)
    assert answer.status_code == 400
    assert list(answer.json()) == fields
    assert not User.objects.exists()


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    answer = client.post("/api/users/", "{", content_type="application/json")
    assert answer.status_code == 400
    assert "not valid JSON" in answer.json()["detail"]


def test_signing_in_answers_a_token_that_any_unit_can_verify(client: Client, ann: User) -> None:
    answer = _post(client, "/api/users/login/", {"email": "ANN@example.com", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json()["identity"] == {
        "id": str(ann.id),
        "email": "ann@example.com",
        "name": "Ann O’Hara",
        "role": "customer",
    }
    assert identity_in(answer.json()["token"]) == ann.identity


@pytest.mark.parametrize(("email", "password"), [("ann@example.com", "wrong"), ("nobody@example.com", PASSWORD)])
@pytest.mark.usefixtures("ann")
def test_wrong_credentials_are_one_answer_whoever_asks(client: Client, email: str, password: str) -> None:
    answer = _post(client, "/api/users/login/", {"email": email, "password": password})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["email", "password"]),
        ({"email": "a\0b", "password": "b"}, ["email"]),
        ({"email": "a\ud800", "password": "b"}, ["detail"]),
        ({"email": "ann@example.com", "password": "p" * 129}, ["password"]),
    ],
)
def test_malformed_credentials_name_the_fields(client: Client, body: object, fields: list[str]) -> None:
    answer = _post(client, "/api/users/login/", body)
    assert (answer.status_code, list(answer.json())) == (400, fields)


def test_credentials_that_no_row_can_hold_are_wrong_and_no_error() -> None:
    with pytest.raises(InvalidCredentials):
        use(Users).sign_in(email="a\0b", password="b")


def test_an_inactive_account_does_not_sign_in(ann: User) -> None:
    User.objects.filter(pk=ann.pk).update(is_active=False)
    with pytest.raises(InvalidCredentials):
        use(Users).sign_in(email=ann.email, password=PASSWORD)
    with pytest.raises(UnknownCustomer):
        use(Users).customer(customer_id=ann.id)


def test_an_unknown_address_costs_as_much_as_a_wrong_password(ann: User) -> None:
    assert 0.5 < _seconds("nobody@example.com") / _seconds(ann.email) < 2


def test_signing_in_writes_nothing(ann: User) -> None:
    with CaptureQueriesContext(connections["users"]) as statements:
        use(Users).sign_in(email=ann.email, password=PASSWORD)
    assert [statement["sql"][:6] for statement in statements] == ["SELECT"]


@pytest.mark.usefixtures("ann")
def test_an_account_is_closed_for_a_while_after_too_many_wrong_passwords(client: Client, settings: Any) -> None:
    settings.SIGN_IN_FAILURES_PER_MINUTE = 2
    wrong = {"email": "ann@example.com", "password": "wrong"}
    statuses = [_post(client, "/api/users/login/", wrong).status_code for _ in range(2)]
    right = _post(client, "/api/users/login/", {"email": "Ann@example.com", "password": PASSWORD})
    assert [*statuses, right.status_code] == [401, 401, 429]
    assert right["Retry-After"] == "60"
    with pytest.raises(TooManyAttempts):
        use(Users).sign_in(email="ann@example.com", password=PASSWORD)


def test_attempts_on_one_account_do_not_close_another(client: Client, settings: Any, ann: User) -> None:
    settings.SIGN_IN_FAILURES_PER_MINUTE = 1
    _post(client, "/api/users/login/", {"email": "ben@example.com", "password": "wrong"})
    assert use(Users).sign_in(email=ann.email, password=PASSWORD) == ann.identity


def test_right_passwords_never_close_an_account(settings: Any, ann: User) -> None:
    settings.SIGN_IN_FAILURES_PER_MINUTE = 1
    for _ in range(3):
        use(Users).sign_in(email=ann.email, password=PASSWORD)


def test_a_user_sees_and_changes_the_own_profile(client: Client, ann: User) -> None:
    assert _me(client, ann).json()["address"] == "1 Mill Lane"
    answer = _me(client, ann, {"address": "2 Mill Lane"})
    assert (answer.status_code, answer.json()["address"]) == (200, "2 Mill Lane")
    assert use(Users).customer(customer_id=ann.id).address == "2 Mill Lane"


def test_nobody_changes_the_own_role_or_address_of_sign_in(client: Client, ann: User) -> None:
    _me(client, ann, {"role": "admin", "email": "root@example.com", "is_active": False, "id": str(uuid4())})
    ann.refresh_from_db()
    assert (ann.role, ann.email, ann.is_active) == ("customer", "ann@example.com", True)


@pytest.mark.parametrize(
    ("body", "field"), [({"name": ""}, "name"), ({"name": "a" * 151}, "name"), ({"address": {}}, "address")]
)
def test_a_malformed_change_names_the_field(client: Client, ann: User, body: object, field: str) -> None:
    answer = _me(client, ann, body)
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_the_profile_needs_a_valid_token(client: Client) -> None:
    assert client.get("/api/users/me/").status_code == 401
    assert client.get("/api/users/me/", headers={"authorization": "Bearer nonsense"}).status_code == 401


def test_a_token_outlives_its_account_but_opens_nothing(client: Client, ann: User) -> None:
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert _me(client, ann).status_code == 401
    assert _me(client, ann, {"name": "Ann"}).status_code == 401


def test_an_unknown_customer_is_a_declared_error() -> None:
    missing = UUID(int=1)
    with pytest.raises(UnknownCustomer) as raised:
        use(Users).customer(customer_id=missing)
    assert raised.value.customer_id == missing


@cache
def _password_hash() -> str:
    """Made once: a hash takes longer than the rest of a test."""
    return make_password(PASSWORD)


def _post(client: Client, path: str, body: object) -> Any:
    return client.post(path, body, content_type="application/json")


def _me(client: Client, user: User, change: object = None) -> Any:
    headers = {"authorization": f"Bearer {token_for(user.identity)}"}
    if change is None:
        return client.get("/api/users/me/", headers=headers)
    return client.patch("/api/users/me/", change, content_type="application/json", headers=headers)


def _seconds(email: str) -> float:
    took = []
    for _ in range(5):
        started = time.process_time()
        with pytest.raises(InvalidCredentials):
            service.user_sign_in(email=email, password="wrong")
        took.append(time.process_time() - started)
    return min(took)
