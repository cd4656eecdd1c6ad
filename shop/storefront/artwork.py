"""A picture for a product that has none: a pattern drawn from its sku."""

import hashlib

from django.utils.html import format_html
from django.utils.safestring import SafeString

COLUMNS, ROWS, CELL = 4, 3, 30
PALETTES = 8
"""Classes palette-0 … palette-7 of the style sheet; each sets the colours of .ink-0, .ink-1 and .ink-2."""
_INKS = 3

_SHAPES = (
    "M{x} {y}h30a30 30 0 0 1-30 30z",
    "M{r} {y}v30a30 30 0 0 1-30-30z",
    "M{r} {b}h-30a30 30 0 0 1 30-30z",
    "M{x} {b}v-30a30 30 0 0 1 30 30z",
    "M{x} {y}h30a15 15 0 0 1-30 0z",
    "M{r} {b}h-30a15 15 0 0 1 30 0z",
    "M{x} {m}a15 15 0 1 1 30 0a15 15 0 1 1-30 0z",
    "M{x} {y}h30l-30 30z",
    "M{x} {y}h30v30h-30z",
    "",
)


def artwork(sku: str) -> SafeString:
    """An SVG of a few hundred bytes, the same each time."""
    digest = hashlib.sha256(sku.encode()).digest()
    paths = [""] * _INKS
    for cell in range(COLUMNS * ROWS):
        x, y = cell % COLUMNS * CELL, cell // COLUMNS * CELL
        shape = _SHAPES[digest[2 * cell] % len(_SHAPES)]
        paths[digest[2 * cell + 1] % _INKS] += shape.format(x=x, y=y, r=x + CELL, b=y + CELL, m=y + CELL // 2)
    return format_html(
        '<svg class="artwork palette-{}" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">'
        '<path class="ink-0" d="{}"/><path class="ink-1" d="{}"/><path class="ink-2" d="{}"/></svg>',
        digest[-1] % PALETTES,
        COLUMNS * CELL,
        ROWS * CELL,
        *paths,
    )
