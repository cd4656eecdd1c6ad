"""Templates, template tags and static files of another module; its URLs and permissions, where templates name them.

A template is a module's if it stands in a `templates` or `jinja2` directory of its; where no module has it, the first
part of its path tells whose it is, if that is a module's name or label. A static file is a module's if it stands in its
`static` directory.
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
SUFFIXES = (".html", ".htm", ".txt", ".xml", ".j2", ".jinja", ".jinja2", ".md", ".svg", ".eml", ".mjml")
_FILE = re.compile(rf"(?:{'|'.join(map(re.escape, SUFFIXES))})$", re.IGNORECASE)
_STATIC = re.compile(r"^\w[\w./-]*\.(?:js|mjs|css|png|jpe?g|gif|svg|webp|ico)$")
_UNREAD = re.compile(
    r"\{#.*?#\}|\{%-?\s*comment\b.*?%\}.*?\{%-?\s*endcomment\s*-?%\}"
    r"|\{%-?\s*verbatim\b.*?%\}.*?\{%-?\s*endverbatim\b.*?%\}",
    re.DOTALL,
)
_TAG = re.compile(
    r"\{%-?\s*(?P<tag>\w+)\s+(?P<rest>.*?)-?%\}"
    r"|\{\{-?\s*(?P<called>url|static|include)\(\s*(?P<given>.*?)-?\}\}",  # in Jinja2
    re.DOTALL,
)
_TAKES_TEMPLATE = ("include", "extends", "import", "from")
_GIVEN = re.compile(r"""(?:"([^"]*)"|'([^']*)')""")
_PERMISSION = re.compile(r"""\bperms\.(\w+)|["'](\w+)\.\w+["']\s+in\s+perms\b""")


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
        if _STATIC.search(text.value) and (other := neighbours.static(text.value)):
            code.take(text.node)
            yield Found("E216", other, f"names the static file {text.value}", first, first, last)
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
        tag, rest = match["tag"] or match["called"], (match["rest"] or match["given"] or "").strip()
        shown = f"{{% {tag} {' '.join(rest.split())} %}}" if match["tag"] else " ".join(match[0].split())
        for code, other in set(_in_tag(tag, rest, name, neighbours)):
            if other:
                yield code, other, f"says {shown}", match.start()


def _in_tag(tag: str, rest: str, name: str, neighbours: Neighbours) -> Iterator[tuple[str, str]]:
    """Code and module."""
    if tag == "load":
        yield "E216", _library(neighbours, rest)
        return
    for match in _PERMISSION.finditer(rest):
        yield "E205", neighbours.other(neighbours.claims.namespaces, match[1] or match[2])
    for match in _GIVEN.finditer(rest):
        value = match[1] or match[2] or ""
        is_first = not match.start()
        if value.startswith(("./", "../")):
            value = posixpath.normpath(posixpath.join(posixpath.dirname(name), value))
        if tag == "url" and is_first:
            yield "E206", urls.owner(neighbours, value)
        elif tag == "static" and is_first:
            yield "E216", neighbours.static(value)
        elif (tag in _TAKES_TEMPLATE and is_first) or _FILE.search(value):
            yield "E216", _owner(neighbours, value)


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
