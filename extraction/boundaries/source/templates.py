"""Templates, template tags and URLs of another module, in templates and where code names a template.

A template is a module's if it stands in a `templates` or `jinja2` directory of its; where no module has it, the first
part of its path tells whose it is, if that is a module's name or label.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from extraction.boundaries.source import urls
from extraction.boundaries.source.claims import template_name
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import HOLE, Code

_RENDERS = {
    *("render", "render_to_string", "get_template", "select_template", "TemplateResponse", "SimpleTemplateResponse"),
    *("inclusion_tag", "as_view", "include"),
}
_FILE = re.compile(r"\.(?:html?|txt|xml|j2|jinja2?)$", re.IGNORECASE)
_UNREAD = re.compile(
    r"\{#.*?#\}|\{%-?\s*comment\b.*?%\}.*?\{%-?\s*endcomment\s*-?%\}"
    r"|\{%-?\s*verbatim\b.*?%\}.*?\{%-?\s*endverbatim\b.*?%\}",
    re.DOTALL,
)
_TAG = re.compile(r"\{%-?\s*(?P<tag>include|extends|import|from|load|url)\s+(?P<rest>.*?)-?%\}", re.DOTALL)
_GIVEN = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)')""")


def in_file(data: bytes, path: Path, neighbours: Neighbours) -> Iterator[Found]:
    """Of a template file."""
    text = data.decode(errors="replace")
    name = template_name(path, neighbours.house.root)
    for code, other, what, offset in _tags(text, name, neighbours):
        yield Found(code, other, what, text.count("\n", 0, offset) + 1)


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """In Python: names of templates, and templates that stand in a string."""
    for text in code.texts:
        first, last = code.line(text.node), text.node.end_point[0] + 1
        if "{%" in text.value:
            for kind, other, what, offset in _tags(text.value, "", neighbours):
                yield Found(kind, other, what, code.line_of(text, offset), first, last)
        if not _FILE.search(text.value) or text.node.start_byte in code.taken:
            continue
        if not (other := _owner(neighbours, text.value)):
            continue
        calls = list(code.calls_around(text.node))
        renders = next((call for call in calls if code.called(call) in _RENDERS), None)
        keyword = code.keyword(text.node)
        if renders is None and "template" not in keyword and text.value not in neighbours.claims.templates:
            continue
        code.take(text.node)
        shown = (
            f"calls {code.shown(renders.node)}" if renders else f"names the template {text.value.replace(HOLE, '…')}"
        )
        yield Found("E216", other, shown, first, first, last)


def _tags(text: str, name: str, neighbours: Neighbours) -> Iterator[tuple[str, str, str, int]]:
    """Code, module, what and where."""
    text = _UNREAD.sub(_blank, text)
    for match in _TAG.finditer(text):
        tag, rest = match["tag"], match["rest"]
        shown = " ".join(f"{{% {tag} {rest.strip()} %}}".split())
        if tag == "load":
            if other := _library(neighbours, rest):
                yield "E216", other, f"says {shown}", match.start()
            continue
        given = _GIVEN.match(rest)
        value = (given[1] or given[2] or "") if given else ""
        if tag == "url":
            if value and (other := urls.owner(neighbours, value)):
                yield "E206", other, f"says {shown}", match.start()
            continue
        if value.startswith(("./", "../")):
            value = posixpath.normpath(posixpath.join(posixpath.dirname(name), value))
        if value and (other := _owner(neighbours, value)):
            yield "E216", other, f"says {shown}", match.start()


def _library(neighbours: Neighbours, rest: str) -> str:
    """Whose library `{% load a b %}` or `{% load x from a %}` names."""
    words = rest.split()
    named = words[-1:] if "from" in words[:-1] else words
    return next((other for word in named if (other := neighbours.other(neighbours.claims.libraries, word))), "")


def _owner(neighbours: Neighbours, name: str) -> str:
    templates = neighbours.claims.templates
    if name in templates:
        return neighbours.other(templates, name)
    first, slash, _ = name.partition("/")
    return neighbours.named(first) if slash else ""


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])
