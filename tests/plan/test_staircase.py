"""The staircase from one alias, one schema and keys both ways, climbed literally as it is printed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extraction.plan.staircase import WAITING
from tests.plan.conftest import Bazaar

ORDER = (
    *("unbind", "unbind", "unbind", "generic", "receiver", "constraint", "view"),
    *("plain_id", "plain_id", "plain_id", "alias", "role", "schema"),
)
WRITES = """
from billing.models import Invoice, Invoice_products, Line, Note, Plan
from catalog.models import Basket_plans, Product
invoice = Invoice.objects.create(customer_id=1, number=9999, approved_by_id=None)
Line.objects.create(invoice=invoice, product_id=2)
Invoice_products.objects.create(invoice=invoice, product_id=2)
assert Invoice.objects.filter(customer_id=1).order_by("-customer_id").first() is not None
assert Note.objects.get().content_type_label == "accounts.customer"
assert Basket_plans.objects.get().plan_id == Product.objects.get(name="one").included_in_id == Plan.objects.first().pk
print(Invoice.objects.db, Invoice.objects.count(), Invoice_products.objects.count(), Line.objects.count())
"""


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_climbed_as_it_is_printed_nothing_is_left_and_nothing_is_lost(bazaar: Bazaar) -> None:
    climbed: list[str] = []
    steps = _planned(bazaar, [])["staircase"]
    assert all(WAITING in line for step in steps for do in step["does"] for line in do["lines"] if " migrate b" in line)
    while steps:
        commands = []
        for step in _of_other_files(steps):
            climbed.append(step["code"])
            assert len(climbed) <= len(ORDER), (climbed, step)
            commands += _climb(bazaar, step)
        document = _planned(bazaar, commands)
        steps = document["staircase"]
    assert tuple(climbed) == ORDER
    assert document["verdict"]["word"] == "extract"

    bazaar.manage_all(["check"])
    assert bazaar.manage("shell", "-v0", "-c", WRITES).stdout.split() == ["billing", "501", "501", "501"]
    found = bazaar.rows("select distinct schemaname, tableowner from pg_tables where tablename like 'billing%'")
    assert found == [("billing", "billing")]
    (may_read,) = bazaar.rows(f"select has_table_privilege('{bazaar.role}', 'billing.billing_plan', 'select')")
    assert may_read == (False,)


def _planned(bazaar: Bazaar, commands: list[list[str]]) -> dict[str, Any]:
    """After these commands, with models that say what the migrations do."""
    plan = ["extract", "plan", "billing", "--json", "--watch-s", "0", "--source-url", bazaar.admin]
    said = bazaar.manage_all(*commands, ["makemigrations", "--check"], plan)
    return dict(json.loads(said.splitlines()[-1]))


def _of_other_files(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The steps up to one that changes what a former one has changed, so that plan has to look again."""
    touched: set[str] = set()
    for step in steps:
        changes = {edit["file"] for edit in step["edits"]} | {
            do["where"] for do in step["does"] if do["where"] != "sql"
        }
        changes -= {"shell"}
        if touched & changes or step["code"] == "plain_id_later":
            return
        touched |= changes
        yield step


def _climb(bazaar: Bazaar, step: dict[str, Any]) -> list[list[str]]:
    """Do what it says; the commands of Django that are left to type."""
    commands = []
    for edit in sorted(step["edits"], key=lambda edit: (-edit["line"], edit["before"])):
        _edit(bazaar.folder / edit["file"], edit)
    for file in step["files"]:
        assert not (bazaar.folder / file["path"]).exists()
        (bazaar.folder / file["path"]).write_text(file["text"])
    for do in step["does"]:
        if do["where"] == "sql":
            bazaar.run(*do["lines"])
            if step["code"] == "role":
                _draw(bazaar, bazaar.role if do is step["does"][0] else "billing")
        elif do["where"] == "settings":
            with (bazaar.folder / "settings.py").open("a") as settings:
                settings.write("\n".join(["", *do["lines"], ""]))
        else:
            lines = [line.removeprefix(WAITING).strip() for line in do["lines"]]
            commands += [line.split()[1:] for line in lines if line.startswith("manage.py ")]
            for line in lines:
                _type(bazaar, line)
    if step["code"] == "receiver":  # what no tool can write
        file = bazaar.folder / "catalog" / "apps.py"
        file.write_text(file.read_text().replace('post_save.connect(count_sale, sender="billing.Invoice")', "pass"))
    return commands


def _draw(bazaar: Bazaar, role: str) -> None:
    """This role works on while the tables change hands."""
    bazaar.draw(role, "billing_line", invoice_id=1, product_id=2)
    bazaar.draw(role, "django_migrations", app="billing", name="9", applied="2026-01-01")


def _edit(file: Path, edit: dict[str, Any]) -> None:
    lines = file.read_text().splitlines()
    if edit["before"]:
        assert "\n".join(lines[edit["line"] - 1 : edit["end_line"]]) == edit["before"]
        lines[edit["line"] - 1 : edit["end_line"]] = edit["after"].splitlines()
    else:
        lines[edit["line"] : edit["line"]] = edit["after"].splitlines()
    file.write_text("\n".join(lines) + "\n")


def _type(bazaar: Bazaar, line: str) -> None:
    if line.startswith("psql: \\password "):
        bazaar.run(f"alter role {line.split()[-1]} password '{bazaar.environment['BILLING_DATABASE_PASSWORD']}'")
    else:
        assert line.startswith("manage.py ") or line == "restart the application"
