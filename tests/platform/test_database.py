import pytest
from django.db import connections


@pytest.mark.django_db
def test_every_alias_reaches_its_own_schema_as_its_own_role() -> None:
    for alias in connections:
        with connections[alias].cursor() as cursor:
            cursor.execute("select current_schema(), current_user")
            schema = "platform" if alias == "default" else alias
            assert cursor.fetchone() == (schema, f"shop_{schema}")
