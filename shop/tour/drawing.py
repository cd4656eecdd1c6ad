"""Plots as inline SVG that takes its colours from the page, so that one drawing serves light and dark."""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

COLOURS = {
    "--ink": "#010101",
    "--muted": "#020202",
    "--line": "#030303",
    "--blue": "#040404",
    "--green": "#050505",
    "--red": "#060606",
    "--amber": "#070707",
    "--violet": "#080808",
}
"""Drawn in a grey that nothing else has, then replaced by the page's variable of that name."""
WIDTH_PX, HEIGHT_PX, TEXT_PX = 440, 250, 13
WIDE_PX = 920
_DPI = 72


def svg(
    name: str,
    title: str,
    description: str,
    draw: Callable[[Any], None],
    *,
    width_px: int = WIDTH_PX,
    height_px: int = HEIGHT_PX,
) -> str:
    """The drawing that `draw` makes on axes of matplotlib. `name` is unique in the page."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": TEXT_PX,
        "axes.edgecolor": colour("--line"),
        "axes.labelcolor": colour("--muted"),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": colour("--line"),
        "grid.linewidth": 0.7,
        "xtick.color": colour("--muted"),
        "ytick.color": colour("--muted"),
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "text.color": colour("--ink"),
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width_px / _DPI, height_px / _DPI), dpi=_DPI, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    size = f"{width_px} {height_px}"
    return _embeddable(file.getvalue(), name=name, title=title, description=description, size=size)


def _embeddable(svg: str, *, name: str, title: str, description: str, size: str) -> str:
    """Without prologue and metadata, ids unique in the page, colours and fonts of the page, a title for readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    for variable, grey in COLOURS.items():
        svg = svg.replace(grey, f"var({variable})")
    head = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-desc" viewBox="0 0 {size}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", head, svg, count=1)


def colour(variable: str) -> str:
    """For matplotlib: stands for the page's variable."""
    return COLOURS[variable]


def legend(axes: Any, *, columns: int = 4) -> None:
    """Above the axes."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        frameon=False,
        handlelength=1.0,
        columnspacing=1.2,
        borderaxespad=0.2,
        labelcolor=colour("--ink"),
    )


def log_axis(axis: Any, set_scale: Callable[[str], None], *, label: str) -> None:
    """A logarithmic axis with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    set_scale("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1, 3)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)
    axis.set_label_text(label)
