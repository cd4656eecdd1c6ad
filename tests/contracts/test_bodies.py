"""Bodies that no client sends by mistake are answered, not stumbled over."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[" * 100_000, 400), (b'{"email": ', 400), (b"\xff\xfe", 400), (b'"' + b"x" * 300_000 + b'"', 413), (b"", 400)],
    ids=["nested too deep", "cut off", "not UTF-8", "too large", "empty"],
)
def test_a_malformed_body_is_the_clients_mistake(client: Client, body: bytes, status: int) -> None:
    answer = client.post("/api/users/login/", body, content_type="application/json")
    assert answer.status_code == status
    assert answer.json()
