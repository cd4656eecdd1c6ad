"""`manage.py createsuperuser` makes an account of this module, not Django's."""

from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from contracts.runtime import use
from contracts.users import Users
from modules.users.models import User

pytestmark = pytest.mark.django_db

PASSWORD = "a river in autumn"


def test_an_admin_can_sign_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _create(monkeypatch, "Ann@Example.com", PASSWORD)
    assert said == "ann@example.com can sign in at /admin/\n"
    assert use(Users).sign_in(email="ann@example.com", password=PASSWORD).role == "admin"
    assert not get_user_model().objects.exists()  # boundaries: accept E205 Django's own accounts stay empty


@pytest.mark.parametrize(
    ("email", "password", "why"),
    [
        ("ann", PASSWORD, "valid email"),
        ("ben@example.com", PASSWORD, "already exists"),
        ("ann@example.com", "short", "too short"),
        ("ann@example.com", "", "DJANGO_SUPERUSER_PASSWORD"),
    ],
)
def test_a_wrong_argument_makes_no_account(
    monkeypatch: pytest.MonkeyPatch, email: str, password: str, why: str
) -> None:
    User.objects.create(email="ben@example.com", name="Ben")
    with pytest.raises(CommandError, match=why):
        _create(monkeypatch, email, password)
    assert User.objects.count() == 1


def _create(monkeypatch: pytest.MonkeyPatch, email: str, password: str) -> str:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)
    out = StringIO()
    call_command("createsuperuser", email=email, interactive=False, stdout=out)
    return out.getvalue()
