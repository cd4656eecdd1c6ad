"""Templates and fixtures, and the code that names them."""

import pytest

from tests.boundaries.source.looking import Look, codes

PAGE = "templates/orders/list.html"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ('{% include "payments/badge.html" %}', '{% include "payments/badge.html" %}'),
        ("{% include 'receipt.html' with x=1 %}", "{% include 'receipt.html' with x=1 %}"),
        ('{%- extends "payments/base.html" -%}', '{% extends "payments/base.html" %}'),
        ('{% extends "../payments/badge.html" %}', '{% extends "../payments/badge.html" %}'),
        ("{% load i18n money %}", "{% load i18n money %}"),
        ("{% load euro from money %}", "{% load euro from money %}"),
        ('{% from "payments/macros.html" import badge %}', '{% from "payments/macros.html" import badge %}'),
        ('{% with t="payments/badge.html" %}', '{% with t="payments/badge.html" %}'),
        ('{% include t|default:"payments/badge.html" %}', '{% include t|default:"payments/badge.html" %}'),
        ('{% include "notes/paid.md" %}', '{% include "notes/paid.md" %}'),
        ("{% static 'payments/pay.js' %}", "{% static 'payments/pay.js' %}"),
        ("{{ static('payments/pay.js') }}", "{{ static('payments/pay.js') }}"),
        ('{{- include("payments/badge.html") }}', '{{- include("payments/badge.html") }}'),
    ],
)
def test_a_template_or_a_tag_of_another_module_is_found(look: Look, source: str, what: str) -> None:
    [found] = look(f"<p>\n{source}\n</p>", PAGE)
    assert (found.code, found.other, found.line) == ("boundaries.E216", "payments", 2)
    assert found.what == f"says {what}"


@pytest.mark.parametrize("source", ["{% url 'payments:index' %}", "{{ url('payments:index', pk=1) }}"])
def test_a_url_of_another_module_in_a_template_is_found(look: Look, source: str) -> None:
    [found] = look(f'<a href="{source}">', PAGE)
    assert (found.code, found.what) == ("boundaries.E206", f"says {source}")


@pytest.mark.parametrize(
    "source",
    [
        "{% if perms.payments.view_payment %}",
        "{% elif x and perms.payments %}",
        "{% if 'payments.view_payment' in perms %}",
    ],
)
def test_a_permission_of_another_module_in_a_template_is_found(look: Look, source: str) -> None:
    [found] = look(source, PAGE)
    assert (found.code, found.other) == ("boundaries.E205", "payments")


@pytest.mark.parametrize("name", ["mail.mjml", "mail.eml", "mail.md", "mark.svg"])
def test_a_template_is_read_whatever_it_makes(look: Look, name: str) -> None:
    assert codes(look("{% url 'payments:index' %}", f"templates/orders/{name}")) == ["E206"]


@pytest.mark.parametrize(
    "source",
    [
        '{% include "orders/order.html" %}',
        '{% include "orders/order.html" with title="payments/list" %}',
        "{% static 'payments/gone.js' %}",
        "{% if perms.orders.view_order %}",
        '{% include "./order.html" %}',
        "{% include name %}",
        "{% load i18n lines %}",
        "{% load money from lines %}",
        '{# {% include "payments/badge.html" %} #}',
        '{% comment %}{% include "payments/badge.html" %}{% endcomment %}',
        '{% verbatim %}{% include "payments/badge.html" %}{% endverbatim %}',
        "{% url 'orders:index' %}",
        "{{ url('orders:index') }}",
        "{{ url }}{{ payments.url('payments:index') }}",
        "{# {{ url('payments:index') }} #}",
        "{% url name %}",
        '{% include "emails/receipt.html" %}',
    ],
)
def test_a_template_of_its_own_or_of_nobody_is_none(look: Look, source: str) -> None:
    assert not look(source, PAGE)


@pytest.mark.parametrize(
    "source",
    [
        'render(request, "payments/badge.html")',
        'render(request, "payments/gone.html")',
        'render_to_string(f"payments/{name}.html")',
        'TemplateResponse(request, "receipt.html")',
        'class V:\n    template_name = "payments/gone.html"',
        'V.as_view(template_name="payments/gone.html")',
        '@register.inclusion_tag("payments/badge.html")\ndef tag(): ...',
        'select_template(["orders/order.html", "payments/badge.html"])',
        'NAMES = ["receipt.html"]',
        'render(request, "notes/paid.md")',
        'static("payments/pay.js")',
        'class Media:\n    js = ["payments/pay.js"]',
        "Template('{% include \"payments/badge.html\" %}')",
    ],
)
def test_code_that_names_another_modules_template_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E216"]


@pytest.mark.parametrize(
    "source",
    [
        'render(request, "orders/order.html")',
        'render(request, "emails/receipt.html")',
        'path = "payments/gone.html"',
        'open("payments.txt")',
        'static("payments/gone.js")',
    ],
)
def test_code_that_names_its_own_template_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "rows.json",
            '[\n{"model": "orders.order"},\n{"pk": 1, "model": "payments.payment"},{"model":"payments.payment"}]',
        ),
        (
            "rows.yaml",
            "- model: orders.order\n  pk: 1\n- model: payments.payment\n  pk: 1\n- pk: 2\n  model: payments.payment\n",
        ),
        (
            "rows.yml",
            "- {model: orders.order, pk: 1}\n# - {model: payments.payment}\n- {model: payments.payment}\n"
            '- {"pk": 2, "model": "payments.payment"}\n',
        ),
        ("rows.xml", '<django-objects>\n\n<object pk="1" model="payments.payment"/><object model="payments.payment"/>'),
    ],
)
def test_rows_of_another_module_in_a_fixture_are_one_finding(look: Look, name: str, source: str) -> None:
    [found] = look(source, f"fixtures/{name}")
    assert codes(look(source, f"fixtures/more/{name}")) == ["E217"]
    assert (found.code, found.other, found.line) == ("boundaries.E217", "payments", 3)
    assert found.what == "holds 2 rows of payments.payment"


def test_rows_of_its_own_and_files_that_are_no_fixtures_are_none(look: Look) -> None:
    assert not look('[{"model": "orders.order"}]', "fixtures/rows.json")
    assert not look('[{"model": "payments.payment"}]', "tests/answer.json")


@pytest.mark.parametrize(
    "source",
    [
        'call_command("loaddata", "cards")',
        'call_command("loaddata", "cards.json")',
        'class T:\n    fixtures = ["cards"]',
        'class T:\n    fixtures = ["more/banks.json"]',
        'call_command("loaddata", "banks", "baskets")',
        'call_command("loaddata", "shop/payments/fixtures/cards.json")',
    ],
)
def test_code_that_loads_another_modules_fixture_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E217"]


@pytest.mark.parametrize("source", ['call_command("loaddata", "baskets")', 'class T:\n    fixtures = ["baskets"]'])
def test_code_that_loads_its_own_fixture_is_none(look: Look, source: str) -> None:
    assert not look(source)
