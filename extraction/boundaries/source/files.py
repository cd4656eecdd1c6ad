"""Files as text, and the comments in them that accept a finding.

`# boundaries: accept E202 the reason` accepts E202 on its line, or on the next where it stands alone on its own; in a
template `{# … #}`, in SQL `-- …`, in YAML `# …`. Several codes are separated by commas. An acceptance without a
code or a reason accepts nothing and is reported as E001: a breach that nobody can explain is one to mend.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import detect_encoding

from extraction.boundaries.source.found import Found

MARK = b"boundaries: accept"
_ACCEPT = re.compile(
    rb"boundaries: accept\b[ \t]*(?P<codes>(?:boundaries\.)?E\d{3}(?:[ \t]*,[ \t]*(?:boundaries\.)?E\d{3})*)?"
    rb"(?P<reason>[^\n]*?)(?:#\}|\*/|-->)?[ \t]*\r?$",
    re.MULTILINE,
)
_COMMENT = re.compile(rb"(?:\{#|--|/\*)[^\"']*$")
_YAML_COMMENT = re.compile(rb"(?:^|[ \t])#[^\"']*$")
_ALONE = re.compile(rb"\s*(?:#|\{#|--|/\*|<!--)[^\"']*$")


class Unreadable(Exception):
    """A file that is no text, or is not there any more."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


@dataclass(slots=True)
class Acceptances:
    """What the comments of one file accept, by line."""

    accepted: dict[int, set[str]] = field(default_factory=dict)
    broken: list[Found] = field(default_factory=list)

    def cover(self, found: Found) -> bool:
        first, last = found.first or found.line, found.last or found.line
        return any(found.code in self.accepted.get(line, ()) for line in (*range(first, last + 1), *found.heard))


def read(path: Path) -> bytes:
    """In UTF-8 and without a byte order mark, whatever the file's coding cookie says. Raises Unreadable."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(0, error.strerror or str(error)) from error
    encoding = _encoding(path, data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(line, f"byte 0x{data[error.start]:02x} is not {encoding}") from error
    except (LookupError, ValueError) as error:  # no such encoding, or one that refuses in its own way
        raise Unreadable(1, str(error)) from error
    return data if encoding == "utf-8" else text.encode(errors="replace")


def in_comment(data: bytes, at: int) -> bool:
    """Whether a place in a template or in SQL stands in a comment, by what precedes it on its line."""
    return _COMMENT.search(_before(data, at)) is not None


def in_yaml_comment(data: bytes, at: int) -> bool:
    """The same in YAML."""
    return _YAML_COMMENT.search(_before(data, at)) is not None


def acceptances(data: bytes, is_comment: Callable[[bytes, int], bool] = in_comment) -> Acceptances:
    """Of a whole file."""
    result = Acceptances()
    if MARK not in data:
        return result
    for match in _ACCEPT.finditer(data):
        if not is_comment(data, match.start()):
            continue
        line = data.count(b"\n", 0, match.start()) + 1
        codes = {code.strip()[-4:].decode() for code in (match["codes"] or b"").split(b",") if code.strip()}
        if not codes or not match["reason"].strip():
            missing = "a reason" if codes else "a code"
            result.broken.append(Found("E001", "", f"accepts a finding without {missing}", line))
            continue
        if others := {code for code in codes if not code.startswith("E2")}:
            told = (
                f"accepts {', '.join(sorted(others))}, which no comment can: a baseline or SILENCED_SYSTEM_CHECKS does"
            )
            result.broken.append(Found("E001", "", told, line))
        result.accepted.setdefault(line, set()).update(codes)
        if _ALONE.match(_before(data, match.start())):
            result.accepted.setdefault(line + 1, set()).update(codes)
    return result


def lines(data: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, re.Match[bytes]]]:
    """The matches of a pattern, each with its line."""
    at, line = 0, 1
    for match in pattern.finditer(data):
        line += data.count(b"\n", at, match.start())
        at = match.start()
        yield line, match


def _before(data: bytes, at: int) -> bytes:
    """What stands on the same line."""
    return data[data.rfind(b"\n", 0, at) + 1 : at]


def _encoding(path: Path, data: bytes) -> str:
    if path.suffix == ".py" and b"coding" in data[:300]:
        try:
            found, _ = detect_encoding(io.BytesIO(data).readline)
        except SyntaxError as error:
            raise Unreadable(1, str(error)) from error
        if found != "utf-8":
            return found
    return "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
