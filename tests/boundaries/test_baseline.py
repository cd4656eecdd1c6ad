"""A baseline accepts what was there and may only shrink."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from extraction.boundaries import baseline
from extraction.boundaries.baseline import BadBaseline, Baseline, entry, hold
from extraction.boundaries.findings import Finding
from extraction.boundaries.run import Looked


def finding(
    line: int = 1, *, what: str = "imports modules.payments", code: str = "E101", other: str = "payments"
) -> Finding:
    return Finding(
        path="modules/orders/service.py",
        line=line,
        code=code if "." in code else f"boundaries.{code}",
        module="orders",
        other=other,
        what=what,
    )


def looked(*findings: Finding, layer: str = "imports", skipped: str = "") -> Looked:
    return Looked(layer, tuple(sorted(findings)), 0.0, skipped)


def made_of(*all_of: Looked) -> Baseline:
    return hold(Baseline(), all_of).after


def test_what_was_there_is_accepted_wherever_in_its_file_it_stands_now() -> None:
    accepted = made_of(looked(finding(3), finding(7)))
    held = hold(accepted, [looked(finding(30), finding(70))])
    assert (held.new, held.accepted, held.gone) == ((), 2, {})


def test_the_way_through_helpers_may_change() -> None:
    accepted = made_of(looked(finding(code="E102", what="reaches payments through helper\na.py:1 → b")))
    held = hold(accepted, [looked(finding(code="E102", what="reaches payments through helper\na.py:1 → c → b"))])
    assert (held.new, held.gone) == ((), {})


def test_a_new_one_is_told_and_so_is_one_more_of_the_same() -> None:
    accepted = made_of(looked(finding(3)))
    other = finding(4, what="imports modules.payments.models")
    assert hold(accepted, [looked(finding(3), other)]).new == (other,)
    assert hold(accepted, [looked(finding(3), finding(9))]).new == (finding(3), finding(9))


def test_what_no_longer_occurs_is_gone_and_cannot_come_back() -> None:
    accepted = made_of(looked(finding(3), finding(7)))
    held = hold(accepted, [looked(finding(3))])
    assert sum(held.gone.values()) == 1
    assert hold(held.after, [looked(finding(3))]).gone == {}
    assert len(hold(held.after, [looked(finding(3), finding(7))]).new) == 2


def test_a_baseline_never_takes_in_what_is_new() -> None:
    accepted = made_of(looked(finding(3)))
    held = hold(accepted, [looked(finding(3), finding(4, what="imports modules.payments.models"))])
    assert held.after == accepted


def test_what_a_layer_that_did_not_look_would_find_is_not_missed() -> None:
    privilege = finding(code="E404")
    accepted = made_of(looked(finding()), looked(privilege, layer="database"))
    assert hold(accepted, [looked(finding())]).gone == {}
    assert hold(accepted, [looked(finding()), looked(layer="database", skipped="no server")]).gone == {}
    assert sum(hold(accepted, [looked(finding()), looked(layer="database")]).gone.values()) == 1


def test_a_layer_that_looks_for_the_first_time_may_add_its_own_once() -> None:
    privilege, another = finding(code="E404"), finding(code="E404", what="owns it")
    accepted = made_of(looked(finding()), looked(layer="database", skipped="no server"))
    held = hold(accepted, [looked(finding()), looked(privilege, layer="database")])
    assert held.new == (privilege,), "until the file is written"
    assert hold(held.after, [looked(finding()), looked(privilege, layer="database")]).new == ()
    assert hold(held.after, [looked(finding()), looked(privilege, another, layer="database")]).new == (another,)


def test_a_file_that_cannot_be_read_is_never_accepted_and_goes_out_of_a_baseline_that_has_it() -> None:
    broken = finding(code="E001", other="", what="a syntax error")
    found = [looked(finding(), broken), looked(layer="source")]
    made = made_of(*found)
    assert made == made_of(looked(finding()), looked(layer="source"))
    held = hold(made, found)
    assert (held.new, held.accepted, held.gone) == ((broken,), 1, {})
    old = hold(replace(made, counts=made.counts + Counter([entry("source", broken)])), found)
    assert (old.new, old.accepted, sum(old.gone.values()), old.after) == ((broken,), 1, 1, made)


def test_of_one_module_only_its_own_entries_are_missed() -> None:
    accepted = made_of(looked(finding(), finding(other="users")))
    held = hold(accepted, [looked()], frozenset({"payments"}))
    assert [key[3] for key in held.gone] == ["payments"]


def test_an_entry_that_was_edited_by_hand_is_missed(tmp_path: Path) -> None:
    """Under another layer, another code, another module's name, or with the slashes of another system."""
    file = tmp_path / "boundaries.json"
    for before, after in [('imports", "code', 'import", "code'), ("E101", "E999"), ("orders", "order"), ("/", "\\\\")]:
        baseline.write(file, made_of(looked(finding()), looked(layer="source")))
        file.write_text(file.read_text().replace(before, after))
        held = hold(baseline.read(file), [looked(finding()), looked(layer="source")])
        assert (len(held.new), sum(held.gone.values())) == (1, 1), after
        assert hold(held.after, [looked(finding()), looked(layer="source")]).gone == {}


def test_a_file_is_written_as_it_is_read_an_entry_to_a_line(tmp_path: Path) -> None:
    file = tmp_path / "boundaries.json"
    accepted = made_of(looked(finding(3), finding(7), finding(8, what='calls "é\udcff"\n→')), looked(layer="source"))
    baseline.write(file, accepted)
    assert baseline.read(file) == accepted
    assert json.loads(file.read_text())["version"] == 1
    assert sum('"count"' in line for line in file.read_text().splitlines()) == 2
    assert "line" not in json.loads(file.read_text())["findings"][0]
    baseline.write(file, Baseline())
    assert baseline.read(file) == Baseline()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"version": 2, "layers": [], "findings": []}', "of version 2, and this reads version 1: run the version"),
        ('{"version": 0, "findings": []}', "of version 0, and this reads version 1: delete it and make it anew"),
        ('{"findings": []}', "is no baseline: it has no version"),
        ("[]", "is no baseline"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"version": 1, "layers": "imports", "findings": []}', "cannot be read.*layers"),
        ('{"version": 1, "layers": []}', "cannot be read.*findings"),
        ('{"version": 1, "layers": [], "findings": [{"code": "boundaries.E101"}]}', "has an entry that cannot be read"),
        ('{"version": 1, "layers": [], "findings": [7]}', "has an entry that cannot be read"),
    ],
)
def test_a_file_of_another_version_or_kind_is_refused_with_what_to_do(tmp_path: Path, said: str, message: str) -> None:
    file = tmp_path / "boundaries.json"
    file.write_text(said)
    with pytest.raises(BadBaseline, match=message):
        baseline.read(file)
