"""`manage.py coupling` on a monolith that is not ours: one alias, one schema, joins across; and on files by hand."""

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.plan.conftest import Bazaar, bazaar  # noqa: F401  (a fixture)

SETTINGS = """
from pathlib import Path
EXTRACTION["modules"]["catalog"] = {"apps": ["catalog"], "database": "default", "schema": "public"}
EXTRACTION["recorder"] = {"share": 1.0, "file": Path(__file__).parent / "var" / "coupling.jsonl"}
BASE_DIR = Path(__file__).parent
"""
REPORTS = """
from django.db import connection, transaction

from billing.models import Line
from catalog.models import Product


def sold():
    return Line.objects.filter(product__name="one").count()


def sold_by_hand():
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from billing_line l join catalog_product p on p.id = l.product_id")


def streamed():
    with transaction.atomic():
        return list(Line.objects.select_related("product").iterator(chunk_size=100))


def rename():
    Product.objects.filter(pk=1).update(name="uno")


@transaction.atomic
def both():
    Line.objects.filter(pk=1).update(origin_id=2)
    Product.objects.filter(pk=1).update(name="one")


def undone():
    with transaction.atomic():
        both()
        transaction.set_rollback(True)
"""
OF_SOLD = 'return Line.objects.filter(product__name="one").count()'
BY_HAND = 'cursor.execute("select count(*) from billing_line l join catalog_product p on p.id = l.product_id")'
STREAMED = 'return list(Line.objects.select_related("product").iterator(chunk_size=100))'
SHELVES = """
from billing.models import Invoice
from billing.reports import sold


def number():
    return Invoice.objects.count()


def strike():
    Invoice.objects.filter(pk=1).update(number=0)


def ask():
    return sold()


def through_a_helper():
    import tools
    return tools.last()
"""
TOOLS = """
from billing.models import Invoice


def last():
    return Invoice.objects.order_by("pk").values("pk").last()
"""
DAY = """
from billing import reports
from catalog import shelves
for _ in range(3):
    reports.sold()
for do in (reports.sold_by_hand, reports.streamed, reports.rename, reports.both, reports.undone):
    do()
for do in (shelves.number, shelves.strike, shelves.ask, shelves.through_a_helper):
    do()
import tools
tools.last()
"""


@pytest.fixture
def used(bazaar: Bazaar) -> Bazaar:  # noqa: F811
    """Two modules, and a day on which their code ran."""
    with (bazaar.folder / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    (bazaar.folder / "billing" / "reports.py").write_text(REPORTS)
    (bazaar.folder / "catalog" / "shelves.py").write_text(SHELVES)
    (bazaar.folder / "tools.py").write_text(TOOLS)
    bazaar.manage("shell", "-v0", "-c", DAY)
    return bazaar


def places(breaks: list[dict[str, Any]]) -> dict[str, set[tuple[str, str, int]]]:
    """By kind: whose code, which line, how often."""
    return {
        each["kind"]: {(place["code"], place["place"].partition(":")[2], place["seen"]) for place in each["places"]}
        for each in breaks
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_an_extraction_would_break_is_found_with_its_lines_the_worst_first(used: Bazaar) -> None:
    found = json.loads(used.manage("coupling", "--module", "billing", "--format", "json").stdout)
    assert [each["kind"] for each in found["breaks"]] == ["join", "write", "read", "reach"]
    at = {text.strip(): number for number, text in enumerate(REPORTS.splitlines(), 1)}
    by_kind = places(found["breaks"])
    assert by_kind["join"] == {
        ("billing", f"{at[OF_SOLD]} in sold", 4),
        ("billing", f"{at[BY_HAND]} in sold_by_hand", 1),
        ("billing", f"{at[STREAMED]} in streamed", 1),
    }
    assert by_kind["write"] == {("catalog", "11 in strike", 1)}
    assert by_kind["read"] == {
        ("catalog", "7 in number", 1),
        ("catalog", "20 in through_a_helper", 1),
        ("", "6 in last", 1),
    }, "the nearest line of a module is whose it is, else the nearest of the project"
    assert {(where.partition(" in ")[2], seen) for _, where, seen in by_kind["reach"]} == {("both", 2), ("rename", 1)}
    (join,) = [place for place in found["breaks"][0]["places"] if place["place"].endswith("in sold")]
    assert join["place"].startswith("billing/reports.py:")
    assert join["reads"] == [["billing", "billing_line"], ["catalog", "catalog_product"]]
    (both,) = found["transactions"]
    assert (both["modules"], both["seen"]) == ({"billing": True, "catalog": True}, 1), "what was rolled back is none"
    assert both["place"].endswith(" in both")

    text = used.manage("coupling", "--module", "billing").stdout
    titles = ["Joins across", "Writes from outside", "Reads from outside", "Its own code", "Transactions over several"]
    assert [text.index(title) for title in titles] == sorted(text.index(title) for title in titles)
    for shown in (text, used.manage("coupling").stdout):
        assert max(map(len, shown.splitlines())) <= 80, shown
    assert "m_billing ==>" in used.manage("coupling", "--format", "mermaid").stdout


def line(*, share: float = 1.0, statements: list[dict[str, Any]] | None = None, **given: Any) -> str:
    """Of a file, as a recorder writes it."""
    document = {
        "version": 1,
        "process": 1,
        "from": "2026-01-01T10:00:00+00:00",
        "to": "2026-01-01T11:00:00+00:00",
        "share": share,
        "operations": {"request": 2},
        "statements": statements or [],
        "transactions": [],
        "crowded": 0,
    }
    return json.dumps(document | given) + "\n"


def touch(code: str, *, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (), seen: int = 1) -> dict[str, Any]:
    """Of tables that are named after their modules."""
    tables = {"reads": [[of, f"{of}_t"] for of in reads], "writes": [[of, f"{of}_t"] for of in writes]}
    return {"code": code, "file": f"{code}/a.py", "line": 1, "function": "f", "seen": seen, **tables}


def said(*words: str) -> str:
    stdout = io.StringIO()
    call_command("coupling", *words, stdout=stdout)
    return stdout.getvalue()


def document(*words: str) -> dict[str, Any]:
    return dict(json.loads(said(*words, "--format", "json")))


def test_what_was_seen_is_divided_by_the_share_that_was_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "f"
    seen = [touch("a", reads=("b",), seen=3)]
    file.write_text(line(share=0.01, statements=seen) + line(share=0.5, statements=seen))
    (place,) = document(str(file))["places"]
    assert (place["seen"], place["estimate"]) == (6, 306.0)
    assert "~306  a reads b" in said(str(file))


def test_exact_figures_carry_no_sign_of_an_estimate(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(line(statements=[touch("a", reads=("b",), seen=3)]))
    assert "~" not in said(str(tmp_path / "f"))


def test_the_matrix_counts_reads_writes_and_joins_of_each_pair(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(
        line(
            statements=[
                touch("a", reads=("a",), seen=5),
                touch("a", reads=("a", "b"), seen=7),
                touch("a", writes=("b",), seen=2),
                touch("", reads=("b",), seen=1500),
            ]
        )
    )
    matrix = {(cell["code"], cell["tables"]): cell for cell in document(str(tmp_path / "f"))["matrix"]}
    assert [matrix["a", "b"][name] for name in ("reads", "writes", "joins")] == [7, 2, 7]
    assert (matrix["a", "a"]["reads"], matrix["", "b"]["reads"]) == (12, 1500)
    rows = [row.split() for row in said(str(tmp_path / "f")).splitlines()]
    assert ["a", "12", "/", "·", "/", "7", "7", "/", "2", "/", "7", "·"] in rows
    assert ["(no", "module)", "·", "1.5k", "/", "·", "/", "·", "·"] in rows


def test_many_modules_are_listed_by_pairs_where_a_matrix_would_be_too_wide(tmp_path: Path) -> None:
    names = [f"module_{number}" for number in range(9)]
    pairs = enumerate(pairwise(names), 1)
    statements = [touch(one, reads=(other,), seen=number) for number, (one, other) in pairs]
    (tmp_path / "f").write_text(line(statements=statements))
    text = said(str(tmp_path / "f"))
    assert "  module_7 → module_8  8 / · / ·" in text.splitlines()
    assert max(map(len, text.splitlines())) <= 80


def test_lines_that_are_cut_or_of_another_version_are_counted_and_left_out(tmp_path: Path) -> None:
    good = line(statements=[touch("a", reads=("b",))])
    bad = ["{", "[]\n", "\n", line(version=2), line(share=0), line(statements=[{"code": "a"}]), "\xff\n"]
    bad += [line(process=float("inf")), "[" * 100_000]
    (tmp_path / "f").write_text(good + "".join(each if each.endswith("\n") else f"{each}\n" for each in bad))
    found = document(str(tmp_path / "f"))
    assert (found["unread"], found["places"][0]["seen"], found["operations"]) == (9, 1, {"request": 2})
    assert "9 lines left out" in said(str(tmp_path / "f"))


def test_files_of_several_machines_are_added_up(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(line(statements=[touch("a", reads=("b",))], process=hash(name)))
    found = document(str(tmp_path / "one"), str(tmp_path / "two"))
    assert (found["places"][0]["seen"], found["processes"]) == (2, 2)


def test_what_is_not_shown_is_counted(tmp_path: Path) -> None:
    statements = [touch(f"a{number}", reads=("b",)) for number in range(5)]
    (tmp_path / "f").write_text(line(statements=statements, crowded=4))
    text = said(str(tmp_path / "f"), "--most", "2")
    assert "and 3 more; --most shows them" in text
    assert "4 were counted without their place" in text


def test_a_module_that_nobody_touched_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(line(statements=[touch("a", reads=("b",))]))
    text = " ".join(said(str(tmp_path / "f"), "--module", "orders").split())
    assert "None of: joins across, writes from outside, reads from outside, its own code in others' tables." in text


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, r"No such file or directory.*EXTRACTION\[.recorder.\] on"),
        ("", r"nothing is recorded yet"),
        ("{\n", r"nothing is recorded yet; lines that are cut.*: 1"),
    ],
)
def test_nothing_recorded_says_what_to_do(made: str | None, message: str, tmp_path: Path) -> None:
    if made is not None:
        (tmp_path / "f").write_text(made)
    with pytest.raises(CommandError, match=message):
        said(str(tmp_path / "f"))


def test_a_module_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(line(statements=[touch("a", reads=("b",))]))
    with pytest.raises(CommandError, match=r"no module 'payment'; there are a, b, inventory, orders, payments, users"):
        said(str(tmp_path / "f"), "--module", "payment")
