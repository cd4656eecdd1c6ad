"""What a rule finds in one file."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Found:
    code: str
    """Of CODES, without its prefix: `E202`."""
    other: str
    """The other module; empty where that cannot be known."""
    what: str
    line: int
    first: int = 0
    last: int = 0
    """The lines of the whole expression, where it has several: a comment on any of them may accept it."""
    heard: tuple[int, ...] = field(default=(), compare=False)
    """Further lines on which a comment may."""
