import re
from pathlib import Path

from extraction.boundaries.codes import CODES
from extraction.boundaries.report import DOCS, anchor

ROOT = Path(__file__).resolve().parent.parent.parent
HEADINGS = re.findall(r"^### (.+)$", (ROOT / DOCS).read_text(), re.MULTILINE)


def test_every_code_has_its_paragraph_and_no_paragraph_is_of_none() -> None:
    assert list(CODES) == HEADINGS


def test_the_report_points_at_the_heading_as_github_names_it() -> None:
    named = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in HEADINGS}
    assert {anchor(code).partition("#")[2] for code in CODES} == named


def test_codes_are_in_their_layers_order_so_that_a_reader_finds_them() -> None:
    assert list(CODES) == sorted(CODES)
