"""The command: what it shows, to whom, how it ends, and what it says when it is asked for wrongly."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.checks import CheckMessage, Error, Info
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command, load_command_class
from pytest_django import Settings

from extraction.boundaries.__main__ import main
from extraction.boundaries.catalogue import Call, Event, Offer, offers
from extraction.boundaries.command import FOUND, UNREAD, WRONG_USE, carry_out
from extraction.boundaries.findings import Finding, Layer, Partly, Skipped
from extraction.boundaries.house import House
from tests.boundaries.conftest import MODULES, Checkout
from tests.embedded import unembedded

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICE = "modules/orders/service.py"
BREACH = {SERVICE: "\nimport modules.payments.models\n"}
OPTIONS: dict[str, Any] = {
    "module": [],
    "layer": [],
    "format": "text",
    "strict": False,
    "baseline": None,
    "update_baseline": False,
}


def typed(checkout: Checkout, *words: str) -> tuple[int, str]:
    """`python -m extraction.boundaries` with these words, and the imports alone."""
    modules = ",".join(f"{name}={package}" for name, package in MODULES.items())
    said, real = StringIO(), (sys.stdout, sys.stderr)
    sys.stdout = sys.stderr = said
    try:
        return main([str(checkout.root), "--modules", modules, "--layer", "imports", *words]), said.getvalue()
    finally:
        sys.stdout, sys.stderr = real


def carried_out(checkout: Checkout, layers: dict[str, Layer], **options: Any) -> tuple[int, str]:
    lines: list[str] = []
    offers = options.pop("offers", dict)
    status = carry_out(
        checkout.house(), layers, OPTIONS | options, write=lines.append, typed="manage.py boundaries", offers=offers
    )
    return status, "\n".join(lines)


def one(**more: Any) -> Finding:
    said = {"code": "boundaries.E101", "module": "orders", "other": "payments", "what": "imports modules.payments"}
    return Finding(**(said | more))


def test_a_finding_asks_first_whether_the_module_should_know_the_other_at_all(checkout: Checkout) -> None:
    checkout.write(BREACH | {"docs/boundaries.md": ""})
    status, said = typed(checkout)
    assert status == FOUND
    assert said.startswith(
        "modules/orders/service.py:2 boundaries.E101 orders → payments imports modules.payments.models\n"
        "    Should orders know of payments at all?\n"
        "    If it should: ask it with a contract call, or hear an event of it\n"
        "    docs/boundaries.md#boundariese101\n"
    )
    assert re.search(r"^ +1  boundaries\.E101  an import of another module$", said, re.MULTILINE)
    assert re.search(r"^ +1  orders → payments$", said, re.MULTILINE)
    assert re.search(r"^imports +1 findings +\d\.\d\d s$", said, re.MULTILINE)
    assert said.splitlines()[-1].startswith("1 finding in ")


def test_nothing_found_ends_well(checkout: Checkout) -> None:
    status, said = typed(checkout)
    assert status == 0
    assert re.fullmatch(r"imports +0 findings +\d\.\d\d s\n0 findings in \d\.\d\d s\.\n", said)


def test_a_finding_names_the_calls_and_events_that_the_other_module_offers(checkout: Checkout) -> None:
    offered = {
        "payments": Offer(
            calls=tuple(Call(name=f"call_{number}", signature="()") for number in range(7)),
            publishes=(Event(type="payments.captured.v1", fields=""),),
        ),
        "users": Offer(),
    }
    _, said = carried_out(
        checkout,
        {"imports": lambda _: [one(), one(other="users"), one(code="boundaries.E104", what="breaks it")]},
        offers=lambda: offered,
    )
    assert (
        "If it should: ask it with a contract call (call_0, call_1, call_2, call_3, call_4 and 2 more), or hear an "
        "event of it (payments.captured.v1)"
    ) in said
    assert "If it should: users publishes no call and no event; let it publish one" in said
    assert "If it should: see the contract" in said


def test_what_a_project_offers_is_asked_only_when_something_is_found(checkout: Checkout) -> None:
    def never() -> dict[str, Offer]:
        raise AssertionError

    assert carried_out(checkout, {"imports": lambda _: []}, offers=never)[0] == 0


def test_json_has_a_version_and_a_list(checkout: Checkout) -> None:
    checkout.write(BREACH)
    status, said = typed(checkout, "--format", "json")
    told = json.loads(said)
    assert (status, told["version"]) == (FOUND, 1)
    (found,) = told["findings"]
    assert (found["path"], found["line"], found["code"], found["layer"]) == (SERVICE, 2, "boundaries.E101", "imports")
    assert (found["module"], found["other"]) == ("orders", "payments")
    assert found["question"] == "Should orders know of payments at all?"
    assert found["docs"].startswith("docs/boundaries.md#")
    assert [layer["name"] for layer in told["layers"]] == ["imports"]


def test_the_imports_by_which_helpers_lead_in_are_counted_the_most_first(checkout: Checkout) -> None:
    """What a helper costs: one import taken away, and all that pass there are gone."""
    helpers = {
        "shop/money.py": "import modules.payments.models\n",
        "shop/prices.py": "import shop.money\n",
        "shop/lists.py": "import modules.payments\n",
    }
    users = {f"modules/orders/a{number}.py": "import shop.prices\n" for number in range(3)}
    checkout.write(helpers | users | {"modules/orders/b.py": "import shop.lists\n"})
    ways = ["shop/money.py:1 → modules.payments.models", "shop/lists.py:1 → modules.payments"]
    _, said = typed(checkout, "--format", "json")
    assert json.loads(said)["ways_in"] == [{"way": ways[0], "findings": 3}, {"way": ways[1], "findings": 1}]
    _, said = typed(checkout)
    assert re.findall(r"^ +(\d+)  by way of (.*)$", said, re.MULTILINE) == [("3", ways[0]), ("1", ways[1])]


def test_github_gets_an_annotation_from_the_current_directory(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.root.parent)
    checkout.write(BREACH)
    status, said = typed(checkout, "--format", "github")
    assert status == FOUND
    assert said.splitlines()[0] == (
        "::error file=shop/modules/orders/service.py,line=2,title=boundaries.E101 orders → payments::imports "
        "modules.payments.models%0AShould orders know of payments at all?%0Aask it with a contract call, or hear an "
        "event of it"
    )


def test_an_annotation_keeps_what_would_end_it(checkout: Checkout) -> None:
    finding = one(path="a,b.py", line=0, what="50 %: x\ny")
    _, said = carried_out(checkout, {"imports": lambda _: [finding]}, format="github")
    assert "/a%2Cb.py,line=1,title=boundaries.E101 orders → payments::50 %25: x%0Ay%0A" in said.splitlines()[0]


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_what_a_terminal_cannot_show_is_escaped(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    checkout.write(dict.fromkeys((f"modules/orders/{name}.py" for name in ("a\nb", "é", "\x1b[1m")), BREACH[SERVICE]))
    (checkout.root / "modules/orders/od\udcff.py").touch()
    latin, modules = BytesIO(), ",".join(f"{name}={package}" for name, package in MODULES.items())
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(latin, "ascii"))
    assert main([str(checkout.root), "--modules", modules, "--format", form]) == FOUND
    said = latin.getvalue().decode()
    assert "orders \\u2192 payments" in said or form == "json"
    assert "\x1b" not in said
    names = {"text": r"a\nb", "json": r"a\nb", "github": "a%0Ab"}
    assert f"modules/orders/{names[form]}.py" in said
    assert r"modules/orders/od\udcff.py" in said
    if form == "json":
        assert "modules/orders/é.py" in {each["path"] for each in json.loads(said)["findings"]}


def test_one_module_shows_what_touches_it(checkout: Checkout) -> None:
    checkout.write(
        {
            SERVICE: "import modules.payments.models\nimport modules.users\n",
            "contracts/payments.py": "import django\n",
            "modules/users/x.py": "import modules.orders\n",
        }
    )
    _, said = typed(checkout, "--published", "contracts.payments", "--module", "payments")
    assert [line.split()[0] for line in said.splitlines() if line[:1] != " " and "E10" in line] == [
        "contracts/payments.py:1",
        f"{SERVICE}:1",
    ]


def test_a_layer_that_could_not_look_says_why_and_fails_only_a_strict_run(checkout: Checkout) -> None:
    def unreachable(_: House) -> Iterator[Finding]:
        yield one()
        raise Skipped("no server answers at payments")

    def silent(_: House) -> list[Finding]:
        raise Skipped("no server answers")

    status, said = carried_out(checkout, {"imports": lambda _: [], "database": silent})
    assert status == 0
    assert re.search(r"^database +0 findings +\d\.\d\d s\n +skipped: no server answers$", said, re.MULTILINE)
    assert carried_out(checkout, {"imports": lambda _: [], "database": silent}, strict=True)[0] == FOUND
    status, said = carried_out(checkout, {"database": unreachable})
    assert (status, "no server answers at payments" in said) == (FOUND, True), "what it found before stays"


def test_a_run_that_only_strict_fails_says_so(checkout: Checkout) -> None:
    def away(house: House) -> list[Finding]:
        raise Skipped("no server")

    for form, line in (("text", "Failed"), ("github", "::error title=boundaries::Failed")):
        _, said = carried_out(checkout, {"database": away}, strict=True, format=form)
        assert f"{line}, for --strict: database could not look." in said


def test_a_module_that_is_alone_is_told_that_nothing_is_compared(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkout.root), "--modules", "payments=modules.payments"]) == 0
    assert "One module alone is declared" in capsys.readouterr().out


def test_offers_of_another_shape_are_refused(settings: Settings) -> None:
    settings.EXTRACTION = settings.EXTRACTION | {"offers": "tests.boundaries.test_command.no_offers"}
    with pytest.raises(ImproperlyConfigured, match=r"returns .* it returns a dictionary with an Offer"):
        offers()


def no_offers() -> dict[str, list[str]]:
    return {"payments": ["x"]}


def test_what_a_layer_can_never_see_is_said_and_it_has_looked_all_the_same(checkout: Checkout, tmp_path: Path) -> None:
    def partly(_: House) -> Iterator[Finding]:
        yield one(code="boundaries.E401")
        raise Partly("privileges: they share a role")

    kept = {"baseline": tmp_path / "kept.json"}
    assert carried_out(checkout, {"database": partly}, **kept, update_baseline=True)[0] == 0
    status, said = carried_out(checkout, {"database": partly}, **kept, strict=True)
    assert status == 0
    assert re.search(r"^database +1 findings .*\n +not seen: privileges: they share a role$", said, re.MULTILINE)
    status, said = carried_out(checkout, {"database": lambda _: []}, **kept)
    assert (status, "1 of the baseline no longer occurs" in said) == (FOUND, True)
    assert '"unseen": "privileges' in carried_out(checkout, {"database": partly}, format="json")[1]
    _, said = carried_out(checkout, {"database": partly}, format="github")
    assert "::notice title=boundaries::database does not see: privileges: they share a role" in said


def test_a_file_that_two_layers_cannot_read_is_told_once(checkout: Checkout) -> None:
    def broken(line: int) -> Layer:
        return lambda _: [one(code="boundaries.E001", path="a.py", line=line, other="")]

    _, said = carried_out(checkout, {"imports": broken(3), "source": broken(4)})
    assert said.count("boundaries.E001 orders") == 1
    checkout.write({"modules/orders/odd.py": "# coding: undefined\n"})
    assert typed(checkout, "--layer", "source")[1].count("boundaries.E001 orders") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--module", "payment"], "no module 'payment'; there are orders, payments, users"),
        (["--layer", "sources"], "no layer 'sources'; there are imports, source"),
        (["--update-baseline"], r"which file\? Type: .*--baseline FILE --update-baseline"),
        (["--baseline", "nowhere.json"], r"there is no nowhere\.json\. To make it: .*--update-baseline"),
        (["--baseline", "nowhere.json", "--update-baseline", "--module", "orders"], "leave --module out"),
        (["--baseline", ".", "--update-baseline"], "give a file"),
        (["--baseline", "no/where.json", "--update-baseline"], "give a file that can be written"),
        (["--baseline", "."], "give a file"),
        (["--published", "contracts.order"], r"no package 'contracts\.order'.*there is contracts\.orders"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(
    checkout: Checkout, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.root)
    status, said = typed(checkout, *words)
    assert status == WRONG_USE
    assert re.search(message, said)
    assert len(said.splitlines()) == 1


def test_modules_that_are_no_pairs_are_refused(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(checkout.root), "--modules", "modules.orders"])
    assert ended.value.code == WRONG_USE
    assert "'modules.orders' is not NAME=PACKAGE: write order=saleor.order" in capsys.readouterr().err


def test_a_baseline_is_made_held_and_shrunk_with_the_commands_that_are_named(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.root)
    checkout.write({SERVICE: "import modules.payments.models\nimport modules.users\n"})
    status, said = typed(checkout, "--baseline", "boundaries.json")
    assert status == WRONG_USE
    make = shlex.split(said.rpartition("To make it: python -m extraction.boundaries ")[2])

    assert main(make) == 0
    assert typed(checkout, "--baseline", "boundaries.json")[0] == 0

    checkout.write({SERVICE: "import modules.users\n"})
    status, said = typed(checkout, "--baseline", "boundaries.json")
    assert status == FOUND
    assert f"{SERVICE} boundaries.E101 orders → payments imports modules.payments.models" in said
    shrink = shlex.split(
        said.rpartition("so that it cannot come back: python -m extraction.boundaries ")[2].splitlines()[0]
    )
    assert main(shrink) == 0
    assert typed(checkout, "--baseline", "boundaries.json")[0] == 0

    checkout.write({SERVICE: "import modules.payments.models\nimport modules.users\n"})
    kept = (checkout.root / "boundaries.json").read_text()
    for words in ([], ["--update-baseline"]):
        status, said = typed(checkout, "--baseline", "boundaries.json", *words)
        assert status == FOUND
        assert f"{SERVICE}:1 boundaries.E101" in said
        assert f"{SERVICE}:2" not in said
        assert "1 of them in the baseline" in said
    assert "It takes in none that is new" in said
    assert (checkout.root / "boundaries.json").read_text() == kept


def test_a_baseline_of_another_version_is_refused_before_anything_is_looked_at(checkout: Checkout) -> None:
    file = checkout.root / "boundaries.json"
    file.write_text('{"version": 9}')
    checkout.write(BREACH)
    status, said = typed(checkout, "--baseline", str(file))
    assert (status, "version 9" in said, "E101" in said) == (WRONG_USE, True, False)


def test_the_shop_has_no_import_of_another_module() -> None:
    said = StringIO()
    call_command("boundaries", "--layer", "imports", stdout=said)
    assert "0 findings in" in said.getvalue()


def test_a_breach_ends_the_command_with_1_and_a_wrong_word_with_2(settings: Settings) -> None:
    apps = {"shop": "shop", "carrier": "contracts.runtime"}  # the one imports the other
    settings.EXTRACTION = {
        "modules": {name: {"apps": [app], "database": "default", "schema": "public"} for name, app in apps.items()}
    }
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("boundaries", "--layer", "imports", stdout=said)
    assert ended.value.code == FOUND
    assert re.search(r"^shop/\S+\.py:\d+ boundaries\.E101 shop → carrier imports contracts\.runtime", said.getvalue())
    with pytest.raises(CommandError, match="no module 'orders'; there are shop, carrier") as refused:
        call_command("boundaries", "--module", "orders")
    assert refused.value.returncode == WRONG_USE


class At(str):
    path, line = "modules/orders/models.py", 7


def of_the_project() -> list[CheckMessage]:
    return [
        Error(
            "the schema of orders.order is stale", hint="type: manage.py contracts --write", obj="orders", id="own.E1"
        ),
        Error("a line too many", obj=ROOT / "modules" / "payments" / "models.py", id="own.E2"),
        Error("a line here", obj=At("orders"), id="own.E2"),
        Info("silenced", id="own.E3"),
    ]


def test_a_layer_of_the_projects_own_reports_under_its_own_ids(settings: Settings) -> None:
    settings.EXTRACTION = settings.EXTRACTION | {"layers": [f"{__name__}.of_the_project"]}
    settings.SILENCED_SYSTEM_CHECKS = ["own.E3"]
    said = StringIO()
    with pytest.raises(SystemExit):
        call_command("boundaries", "--layer", "tests", "--format", "json", stdout=said)
    found = json.loads(said.getvalue())["findings"]
    assert [(each["code"], each["module"], each["path"], each["line"], each["instead"]) for each in found] == [
        ("own.E1", "orders", "", 0, "type: manage.py contracts --write"),
        ("own.E2", "orders", "modules/orders/models.py", 7, ""),
        ("own.E2", "payments", "modules/payments/models.py", 0, ""),
    ]


def test_layers_that_are_no_list_are_refused(settings: Settings) -> None:
    settings.EXTRACTION = settings.EXTRACTION | {"layers": "shop.gates.told"}
    with pytest.raises(CommandError, match=r'EXTRACTION\["layers"\] is .shop\.gates\.told.; it takes a list of names'):
        call_command("boundaries", "--layer", "shop")


def test_a_layer_that_is_not_there_is_named(settings: Settings) -> None:
    settings.EXTRACTION = settings.EXTRACTION | {"layers": ["shop.gates.nothing"]}
    with pytest.raises(CommandError, match=r'EXTRACTION\["layers"\]: No module named .shop\.gates') as refused:
        call_command("boundaries", "--layer", "shop")
    assert refused.value.returncode == WRONG_USE


def test_the_database_is_left_alone_where_that_is_asked() -> None:
    with pytest.raises(CommandError, match=r"no layer 'database'; there are imports, source, checks"):
        call_command("boundaries", "--no-database", "--layer", "database")


@pytest.mark.parametrize(
    ("settings", "status", "message"),
    [
        ("", WRONG_USE, r"^CommandError: settings: no EXTRACTION with modules\. Add EXTRACTION = "),
        (
            "EXTRACTION = {'modules': dict.fromkeys('ab', {'apps': ['extraction'], 'database': 'default'})}",
            WRONG_USE,
            r"^CommandError: 'extraction' is in the modules a and b",
        ),
        (
            "EXTRACTION = {'modules': {'a': {'apps': ['app'], 'database': 'default', 'schema': 'public'}}}",
            0,
            r"(?s)^imports +0 findings.*^database .*^ +skipped: .*^0 findings in",
        ),
    ],
)
def test_another_project_is_answered_as_a_process_and_without_a_server(
    tmp_path: Path, settings: str, status: int, message: str
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    database = {"ENGINE": "django.db.backends.postgresql", "HOST": str(tmp_path / "no-server"), "NAME": "x"}
    (tmp_path / "settings.py").write_text(
        "SECRET_KEY = 'of tests'\nINSTALLED_APPS = ['app', 'extraction', 'django.contrib.contenttypes']\n"
        f"DATABASES = {{'default': {database}}}\n{settings}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "django", "boundaries"],
        cwd=tmp_path,
        env=unembedded() | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert re.search(message, done.stdout + done.stderr, re.MULTILINE), done.stdout + done.stderr
    assert done.returncode == status


@pytest.mark.parametrize("words", [["extraction.boundaries", str(ROOT)], ["django", "boundaries"]])
def test_a_reader_that_leaves_ends_it_without_a_word(words: list[str]) -> None:
    modules = ["--modules", "shop=shop,carrier=contracts.runtime"] if words[0] != "django" else []
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", *words, *modules, "--layer", "imports"],
        cwd=ROOT,
        env=unembedded() | {"DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONIOENCODING": "latin-1"},
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writer)
    assert (done.stderr, done.returncode) == (b"", UNREAD)


def test_the_pre_commit_hook_types_a_command_that_there_is() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    python, manage, command, *words = shlex.split(hook["entry"])
    assert (python, manage, hook["pass_filenames"]) == ("python", "manage.py", False)
    load_command_class("extraction", command).create_parser(manage, command).parse_args(words)
    assert hook["always_run"], "what is deleted may be an entry of the baseline"
