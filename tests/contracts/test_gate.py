"""The gate as a whole: what `broken` says of the committed schemas, and what `manage.py contracts` writes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.checks import CheckMessage, registry
from django.core.management import CommandError, call_command

from contracts.runtime import gate
from contracts.runtime.configuration import configuration
from contracts.runtime.definitions import Definition, definitions
from contracts.runtime.gate import broken, committed, consumers
from contracts.runtime.management.commands import contracts as command
from tests.contracts.edited import Edit, edited

CARD = "    card: str\n"


class Gate:
    """A directory of committed schemas of its own, and definitions that a test edits."""

    def __init__(self, use: Callable[[Mapping[str, Definition]], None]) -> None:
        self.use = use
        self.known = dict(definitions())

    def edit(self, module: str, *edits: Edit) -> None:
        self.known[module] = edited(module, *edits)
        self.use(self.known)

    def forget(self, module: str) -> None:
        del self.known[module]
        self.use(self.known)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    def use(known: Mapping[str, Definition]) -> None:
        monkeypatch.setattr(gate, "definitions", lambda: known)
        monkeypatch.setattr(command, "definitions", lambda: known)

    monkeypatch.setattr(committed, "DIRECTORY", tmp_path)
    call_command("contracts", "--write", verbosity=0)
    return Gate(use)


def only(messages: list[CheckMessage]) -> CheckMessage:
    (message,) = messages
    return message


def test_the_committed_schemas_are_fresh() -> None:
    """When this fails, see `manage.py contracts`."""
    assert [f"{message.msg}: {message.hint}" for message in broken()] == []


def test_it_is_asked_by_name_and_not_when_django_starts() -> None:
    checks: set[object] = set(registry.registry.get_checks())
    assert broken not in checks


def test_what_is_written_is_written_the_same_again(files: Gate, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert {path.relative_to(tmp_path).as_posix() for path in before} >= {"orders.json", "http/orders.json"}
    for path in before:
        path.unlink()
    call_command("contracts", "--write")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
    assert all(text.endswith(b"}\n") for text in before.values())


def test_a_breaking_change_names_the_field_both_forms_the_consumers_and_the_way_out(files: Gate) -> None:
    files.edit("orders", (CARD, ""))
    message = only(broken())
    assert message.id == "contracts.E004"
    assert "orders.order_placed.v1: card was removed (before: string, required)" in message.msg
    assert "heard by inventory.reserve_stock, payments.expect" in message.msg
    assert message.hint is not None
    assert "publish orders.order_placed.v2 beside it" in message.hint
    assert "move inventory.reserve_stock, payments.expect over" in message.hint


def test_it_says_in_which_file_and_line(files: Gate) -> None:
    files.edit("orders", (CARD, ""))
    where = only(broken()).obj
    assert where == "orders"
    line = (committed.DEFINITIONS / "orders.py").read_text().splitlines()[where.line - 1]
    assert where.path == "contracts/orders.py"
    assert line.startswith("class OrderPlaced(")


def test_the_callers_of_a_call_are_named_with_their_lines(files: Gate) -> None:
    files.edit(
        "inventory", ("def quote(self, *, lines: tuple[Line, ...])", "def quote(self, *, basket: tuple[Line, ...])")
    )
    told = broken()
    assert {message.id for message in told} == {"contracts.E004"}
    for place in ("modules/orders/service.py:", "shop/storefront/basket.py:"):
        path, found = place[:-1], [message.msg for message in told if place in message.msg]
        assert found, place
        number = int(found[0].split(place)[1].split(",")[0].split(" ")[0])
        assert ".quote(" in (committed.DEFINITIONS.parent / path).read_text().splitlines()[number - 1]


def test_words_in_a_docstring_are_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop").mkdir()
    head = "from contracts.inventory import Inventory\nuse(Users)\n"
    (tmp_path / "shop" / "asks.py").write_text(f"{head}use(Inventory).quote(lines=())\n")
    (tmp_path / "shop" / "tells.py").write_text(f'{head}"""use(Inventory).quote(lines=())"""  # .quote\n')
    (tmp_path / "shop" / "half.py").write_text("from contracts.inventory import Inventory\nuse(Inventory).quote(")
    monkeypatch.setattr(consumers, "DEFINITIONS", tmp_path / "contracts")
    assert consumers.users_of("call", "inventory.quote", {}) == ("shop/asks.py:3",)


def test_who_catches_an_error_is_named(files: Gate) -> None:
    files.edit("inventory", ("ERRORS = (UnknownProduct,)", "ERRORS = ()"))
    assert "modules/orders/api/views.py:" in only(broken()).msg


def test_what_was_added_and_not_written_is_told_with_the_command(files: Gate) -> None:
    files.edit("orders", (CARD, CARD + '    gift: str = ""\n'))
    message = only(broken())
    assert message.id == "contracts.E006"
    assert "orders.json does not say yet: orders.order_placed.v1: gift is new" in message.msg
    assert message.hint == "Write and commit it: manage.py contracts --write"
    with pytest.raises(CommandError, match=r"manage\.py contracts --write"):
        call_command("contracts")
    call_command("contracts", "--write")
    assert broken() == []


def test_other_words_are_written_too(files: Gate) -> None:
    files.edit("orders", ('"""One entry of an order', '"""An entry of an order'))
    assert "other descriptions" in only(broken()).msg


def test_a_second_version_beside_the_first_is_written(files: Gate, tmp_path: Path) -> None:
    second = (
        'class OrderPlaced2(msgspec.Struct, frozen=True, kw_only=True, tag="orders.order_placed.v2"):\n'
        '    KEY: ClassVar[str] = "order_id"\n\n    order_id: UUID\n    basket: tuple[PlacedLine, ...]\n\n\n'
    )
    files.edit(
        "orders",
        ("class OrderConfirmed", second + "class OrderConfirmed"),
        ("PUBLISHES = (", "PUBLISHES = (OrderPlaced2, "),
    )
    call_command("contracts", "--write")
    assert {"orders.order_placed.v1", "orders.order_placed.v2"} < json.loads((tmp_path / "orders.json").read_text())[
        "events"
    ].keys()
    assert broken() == []


def test_a_breaking_change_is_not_written(files: Gate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tmp_path / "orders.json").read_bytes()
    files.edit("orders", (CARD, CARD + "    gift: str\n"))
    with pytest.raises(CommandError, match=r"1 change breaks who uses what is published\. Nothing was written"):
        call_command("contracts", "--write")
    assert (tmp_path / "orders.json").read_bytes() == before
    assert "gift is new and has no default" in capsys.readouterr().out


def test_an_old_version_is_retired_when_nobody_hears_it_any_more(files: Gate, tmp_path: Path) -> None:
    gone = ("PUBLISHES = (OrderPlaced, ", "PUBLISHES = (")
    name = "orders.order_placed.v1"
    files.edit("orders", gone)
    with pytest.raises(CommandError, match=r"cannot be retired.*heard by inventory\.reserve_stock, payments\.expect"):
        call_command("contracts", "--write", "--retire", name)
    files.edit("inventory", ('    "inventory.reserve_stock": "orders.order_placed.v1",\n', ""))
    files.edit("payments", ('    "payments.expect": "orders.order_placed.v1",\n', ""))
    assert f"--retire '{name}'" in str(only(broken()).hint)
    with pytest.raises(CommandError, match="Nothing was written"):
        call_command("contracts", "--write")
    call_command("contracts", "--write", "--retire", name)
    assert name not in json.loads((tmp_path / "orders.json").read_text())["events"]
    assert broken() == []


def test_what_was_not_taken_out_cannot_be_retired(files: Gate) -> None:
    with pytest.raises(CommandError, match=r"Nothing named 'orders\.order_placed\.v1' was taken out"):
        call_command("contracts", "--write", "--retire", "orders.order_placed.v1")
    with pytest.raises(CommandError, match="--retire is said when the schemas are written"):
        call_command("contracts", "--retire", "orders.order_placed.v1")


def test_an_operation_is_retired_after_it_was_deprecated(files: Gate, tmp_path: Path) -> None:
    file = tmp_path / "http" / "users.json"
    document = json.loads(file.read_text())
    document["paths"]["/api/users/old/"] = {"get": {"responses": {}}}
    file.write_text(json.dumps(document))
    message = only(broken())
    assert (message.id, message.obj) == ("contracts.E005", "users")
    assert "GET /api/users/old/: was removed" in message.msg
    assert "mark the old deprecated" in str(message.hint)
    with pytest.raises(CommandError, match="cannot be retired"):
        call_command("contracts", "--write", "--retire", "GET /api/users/old/")
    document["paths"]["/api/users/old/"]["get"]["deprecated"] = True
    file.write_text(json.dumps(document))
    call_command("contracts", "--write", "--retire", "GET /api/users/old/")
    assert broken() == []


def test_a_field_of_an_answer_is_retired_after_it_was_deprecated(files: Gate, tmp_path: Path) -> None:
    file = tmp_path / "http" / "users.json"
    document = json.loads(file.read_text())
    nick: dict[str, object] = {"type": "string", "readOnly": True}
    document["components"]["schemas"]["Profile"]["properties"]["nick"] = nick
    file.write_text(json.dumps(document))
    with pytest.raises(CommandError, match=r"cannot be retired: GET /api/users/me/: 200\.nick was removed"):
        call_command("contracts", "--write", "--retire", "GET /api/users/me/")
    nick["deprecated"] = True
    file.write_text(json.dumps(document))
    operations = [each.msg.partition(":")[0] for each in broken()]
    assert operations == ["GET /api/users/me/", "PATCH /api/users/me/", "POST /api/users/"]
    call_command("contracts", "--write", *(word for name in operations for word in ("--retire", name)))
    assert broken() == []


def test_a_schema_that_is_missing_is_told_with_the_command(files: Gate, tmp_path: Path) -> None:
    (tmp_path / "http" / "orders.json").unlink()
    message = only(broken())
    assert message.id == "contracts.E006"
    assert message.msg.endswith("orders.json is missing")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "cannot be read"),
        ("[]", "holds no JSON object"),
        ('{"format": 3}', "has format 3; this release reads 2"),
        ('{"format": 2, "module": "users"}', 'is that of module "users"'),
        ('{"format": 2, "module": "orders"}', "has no events, calls, errors, $defs"),
        (
            '{"format": 2, "module": "orders", "events": {"orders.order_placed.v1": 3}, "calls": {}, "errors": {}, '
            '"$defs": {}}',
            "is not as it was written",
        ),
        (
            '{"format": 2, "module": "orders", "events": {"orders.order_placed.v1": {"key": "order_id", "schema": '
            '{"$ref": "#/$defs/Gone"}}}, "calls": {}, "errors": {}, "$defs": {}}',
            "#/$defs/Gone is referred to and not there",
        ),
    ],
)
def test_a_file_that_cannot_be_compared_is_told_and_not_overwritten(
    files: Gate, tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "orders.json").write_text(text)
    message = only(broken())
    assert message.id == "contracts.E007"
    assert why in message.msg
    assert "git checkout" in str(message.hint)
    with pytest.raises(CommandError, match="Nothing was written"):
        call_command("contracts", "--write")
    assert (tmp_path / "orders.json").read_text() == text


@pytest.mark.parametrize(
    ("text", "why"),
    [('{"x-contract-format": 9}', "has format 9"), ('{"openapi": "2.0", "x-contract-format": 2}', 'is OpenAPI "2.0"')],
)
def test_an_interface_of_another_form_is_told(files: Gate, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "http" / "orders.json").write_text(text)
    message = only(broken())
    assert message.id == "contracts.E007"
    assert why in message.msg


def test_a_type_without_a_json_form_is_told(files: Gate) -> None:
    files.edit(
        "orders", (CARD, "    card: Any\n    made_by: complex\n"), ("ClassVar, Literal", "Any, ClassVar, Literal")
    )
    message = only(broken())
    assert message.id == "contracts.E008"
    assert message.msg.startswith("contracts/orders.py has no schema")
    assert "complex" in message.msg


def test_a_definition_file_that_cannot_be_imported_is_told(files: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Mapping[str, Definition]:
        raise SyntaxError("invalid syntax (orders.py, line 3)")

    monkeypatch.setattr(gate, "definitions", fails)
    message = only(broken())
    assert message.id == "contracts.E008"
    assert "orders.py, line 3" in message.msg


def test_a_view_that_cannot_be_described_is_told(files: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    from modules.orders.api.views import OrderView

    monkeypatch.setattr(OrderView, "schema", SimpleNamespace())
    message = only(broken())
    assert message.id == "contracts.E008"
    assert message.msg.startswith("the HTTP interfaces have no schema")
    with pytest.raises(CommandError, match="the HTTP interfaces have no schema"):
        call_command("contracts")


def test_a_module_that_is_gone_takes_its_schema_with_it(files: Gate, tmp_path: Path) -> None:
    (tmp_path / "http" / "users.json").unlink()
    files.forget("users")
    told = broken()
    assert any("users.customer_registered.v1: was removed" in message.msg for message in told)
    assert any(
        "users.customer: was removed" in message.msg and "modules/orders/service.py" in message.msg for message in told
    )


def test_only_the_modules_of_this_unit_answer_over_http(files: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that holds some of the modules has nothing to say of the others' interfaces."""
    monkeypatch.setattr(configuration, "urls", {"orders": ("/api/orders/",)})
    assert broken() == []


def test_a_module_that_does_not_exist_is_refused(files: Gate) -> None:
    with pytest.raises(CommandError, match="no contract of billing; there are inventory, orders, payments, users"):
        call_command("contracts", "billing")
