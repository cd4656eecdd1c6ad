"""What is read, how, and what a comment accepts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from extraction.boundaries import source
from extraction.boundaries.house import House, Member
from extraction.boundaries.source import findings
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code
from tests.boundaries.source.looking import Look, codes

BREACH = 'import_module("shop.payments")'


def test_a_finding_tells_file_line_both_modules_and_what_is_done(look: Look) -> None:
    [found] = look(f"\n\n{BREACH}\n")
    assert (found.place, found.code) == ("shop/orders/service.py:3", "boundaries.E201")
    assert (found.module, found.other) == ("orders", "payments")
    assert found.what == 'calls import_module("shop.payments")'


def test_a_module_is_not_judged_for_what_others_do(look: Look) -> None:
    assert not look("from shop.orders import models\n")


def test_syntax_newer_than_this_interpreter_is_read(look: Look) -> None:
    newer = "type Ids[T] = list[T]\n\n\ndef first[T](ids: Ids[T]) -> T:\n    return ids[f'{'0'}']\n"
    newest = "try:\n    pass\nexcept ValueError, TypeError:\n    pass\n"
    assert codes(look(f"{newer}{newest}{BREACH}\n")) == ["E201"]


def test_a_syntax_error_is_reported_with_its_line_and_the_rest_is_still_looked_at(look: Look) -> None:
    found = look(f"x = 1\ndef broken(:\n    pass\n\n\n{BREACH}\n")
    assert [(each.code, each.line) for each in found] == [("boundaries.E001", 2), ("boundaries.E201", 6)]


def test_a_statement_of_python_2_is_no_python(look: Look) -> None:
    [found] = look("x = 1\nprint x\n")
    assert (found.code, found.line) == ("boundaries.E001", 2)


def test_a_file_that_is_no_text_is_reported_with_its_line(look: Look) -> None:
    [found] = look(b"x = 1\ny = '\xff'\n")
    assert (found.code, found.line) == ("boundaries.E001", 2)
    assert found.what == "cannot be read: byte 0xff is not utf-8"


def test_a_coding_that_nobody_knows_is_reported(look: Look) -> None:
    [found] = look("# coding: klingon\n")
    assert found.code == "boundaries.E001"
    assert "klingon" in found.what


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\xef\xbb\xbfx = 1\n",
        "# coding: latin-1\nname = 'Zoë'\n".encode("latin-1"),
        b"x = 1\r\ny = 2\r\n",
        b"\n\x0c\n",
    ],
    ids=["empty", "byte order mark", "coding cookie", "carriage returns", "form feed"],
)
def test_a_strange_file_is_fine(look: Look, source: bytes) -> None:
    assert not look(source)


def test_a_breach_behind_a_byte_order_mark_or_a_coding_cookie_is_found(look: Look) -> None:
    assert codes(look(b"\xef\xbb\xbf" + BREACH.encode())) == ["E201"]
    source = "# coding: latin-1\nimport_module('shop.payments.Zoë')\n".encode("latin-1")
    assert [(each.line, each.what) for each in look(source)] == [(2, "calls import_module('shop.payments.Zoë')")]


def test_directories_that_lead_back_to_themselves_and_links_to_nothing_are_passed_over(
    look: Look, street: Path
) -> None:
    folder = street / "shop/orders/loop"
    folder.mkdir()
    (folder / "again").symlink_to(street / "shop/orders")
    (folder / "self.py").symlink_to(folder / "self.py")
    (folder / "gone.py").symlink_to(street / "nowhere.py")
    try:
        assert codes(look(BREACH)) == ["E201"]
    finally:
        for each in folder.iterdir():
            each.unlink()
        folder.rmdir()


def test_a_linked_folder_is_read_once_wherever_it_leads(look: Look, street: Path, tmp_path: Path) -> None:
    (tmp_path / "linked.py").write_text(BREACH)
    (tmp_path / "again").symlink_to(tmp_path)
    links = [street / "shop/orders/linked", street / "shop/orders/twice"]
    for link in links:
        link.symlink_to(tmp_path)
    try:
        assert [each.path for each in look("")] == ["shop/orders/linked/linked.py"]
    finally:
        for link in links:
            link.unlink()


def test_code_that_turns_in_circles_or_goes_deep_is_read(look: Look) -> None:
    circle = "A = B + 'x'\nB = A + 'y'\n\n\ndef fib(n):\n    return fib(n - 1) + fib(n - 2)\n\n\nimport_module(A)\n"
    deep = " + ".join(["'x'"] * 3000)
    nested = "(" * 300 + "'x'" + ")" * 300
    climbs = "def up(node):\n" + "    node = node.parent\n" * 30 + "    node()\n"
    calls = "a = b(a)(a)\n" * 30 + f"f{'()' * 3000}\n"
    source = f"{circle}import_module(fib(3))\nx = {deep}\nimport_module({deep})\ny = {nested}\n"
    source += f"z{'.z' * 3000} = z\n{climbs}{calls}{BREACH}\n"
    found = [each.code for each in look(source) if each.other]
    assert found == ["boundaries.E201"]


def test_a_rule_that_dies_of_a_file_is_told_and_the_other_rules_and_files_go_on(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
        if code.module == "shop.orders.service":
            yield Found("E203", "", "calls what it found before", 1)
            raise RecursionError("too deep")

    monkeypatch.setattr(source, "RULES", (found, *source.RULES))
    assert [(each.place, each.code[-4:], each.what) for each in look(BREACH)] == [
        ("shop/orders/service.py", "E001", "has what the rule 'test_reading' died of: RecursionError: too deep"),
        ("shop/orders/service.py:1", "E201", f"calls {BREACH}"),
        ("shop/orders/service.py:1", "E203", "calls what it found before"),
    ]


def test_a_module_of_one_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text('import_module("payments.models")\n')
    (tmp_path / "payments.py").write_text("")
    members = tuple(Member(name=name, packages=(name,), labels=(name,)) for name in ("orders", "payments"))
    [found] = findings(House(tmp_path, members))
    assert (found.place, found.other) == ("orders.py:1", "payments")


def test_a_module_inside_another_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "shop/cards").mkdir(parents=True)
    (tmp_path / "shop/views.py").write_text('import_module("shop.cards.models")\nimport_module("shop.urls")\n')
    (tmp_path / "shop/cards/models.py").write_text('import_module("shop.views")\n')
    members = (
        Member(name="shop", packages=("shop",), labels=()),
        Member(name="cards", packages=("shop.cards",), labels=()),
    )
    found = [(each.module, each.other, each.line) for each in findings(House(tmp_path, members))]
    assert found == [("shop", "cards", 1), ("cards", "shop", 1)]


@pytest.mark.parametrize(
    "source",
    [
        f"{BREACH}  # boundaries: accept E201 the old importer, until June",
        f"{BREACH}  # boundaries: accept boundaries.E201, E203 the old importer",
        f"# boundaries: accept E201 the old importer\n{BREACH}",
        'import_module(\n    "shop.payments"\n)  # boundaries: accept E201 the old importer',
        'execute("""\n    -- boundaries: accept E211 the yearly report\n    select 1 from payments_payment""")',
        'reverse(  # boundaries: accept E206 until it is published\n    "payments:index",\n    x,\n)',
        'reverse(\n    "payments:index",  # boundaries: accept E206 until it is published\n    x,\n)',
        'x = atomic(\n    # boundaries: accept E215 the old ledger\n    using="payments",\n)',
        'x = atomic(  # boundaries: accept E215 the old ledger\n    durable=True,\n    using="payments",\n)',
        'Identifier(\n    "payments_payment",  # boundaries: accept E211 the yearly report\n)',
        'Identifier(\n    "payments_payment",\n)  # boundaries: accept E211 the yearly report',
        'advisory_lock(\n    "nightly",  # boundaries: accept E210 one for all\n)',
        'Func(  # boundaries: accept E210 one for all\n    Value("payments"),\n    function="pg_advisory_lock",\n)',
        '# boundaries: accept E211 the report\nexecute("""\n    select 1\n    from payments_payment\n""", [1])',
        'execute(  # boundaries: accept E211 the report\n    """\n    select 1\n    from payments_payment\n"""\n)',
        'execute("select 1 "\n    "from payments_payment "  # boundaries: accept E211 the report\n    "where x")',
    ],
)
def test_a_comment_accepts_a_finding(look: Look, source: str) -> None:
    assert not look(source)


def test_a_comment_accepts_only_its_code_and_its_line(look: Look) -> None:
    assert codes(look(f"{BREACH}  # boundaries: accept E202 the old importer\n")) == ["E201"]
    assert codes(look(f"{BREACH}\nx = 1  # boundaries: accept E201 the old importer\n{BREACH}\n")) == ["E201", "E201"]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('register(\n    "payments.Refund",\n    "payments.Payment",  # boundaries: accept E205 until June\n)', 2),
        ('execute("""\nselect 1\nfrom payments_payment\njoin money_back on true -- boundaries: accept E211 x\n""")', 3),
    ],
)
def test_a_comment_within_a_call_or_a_statement_accepts_what_is_on_its_line(look: Look, source: str, line: int) -> None:
    assert [found.line for found in look(source)] == [line]
    assert codes(look(source.replace(" accept", ""))) in (["E205", "E205"], ["E211", "E211"])


def test_a_comment_without_a_reason_or_a_code_accepts_nothing_and_is_reported(look: Look) -> None:
    assert codes(look(f"{BREACH}  # boundaries: accept E201\n")) == ["E001", "E201"]
    assert codes(look(f"{BREACH}  # boundaries: accept the old importer\n")) == ["E001", "E201"]


def test_a_comment_that_accepts_what_no_comment_can_is_reported(look: Look) -> None:
    (found,) = look("import os  # boundaries: accept E101 while it is cut out\n")
    assert found.what == "accepts E101, which no comment can: a baseline or SILENCED_SYSTEM_CHECKS does"


def test_a_string_that_looks_like_a_comment_accepts_nothing(look: Look) -> None:
    assert codes(look(f'{BREACH}; x = "# boundaries: accept E201 because"\n')) == ["E201"]


@pytest.mark.parametrize(
    ("source", "accepted"),
    [
        ("- model: payments.payment  # boundaries: accept E217 until June\n", True),
        ("# boundaries: accept E217 until June\n- model: payments.payment\n", True),
        ("- model: payments.payment\n  fields: {note: '# boundaries: accept E217 until June'}\n", False),
        ("- model: payments.payment # boundaries: accept E202 until June\n", False),
    ],
)
def test_a_comment_in_yaml_accepts_a_finding(look: Look, source: str, accepted: bool) -> None:
    assert codes(look(source, "fixtures/rows.yaml")) == ([] if accepted else ["E217"])


def test_a_comment_in_a_template_accepts_a_finding(look: Look) -> None:
    source = '{% load money %}{# boundaries: accept E216 until the page asks #}\n{% include "receipt.html" %}\n'
    assert [(each.code, each.line) for each in look(source, "templates/orders/list.html")] == [("boundaries.E216", 2)]
