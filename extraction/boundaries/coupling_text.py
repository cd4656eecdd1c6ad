"""Coupling for a terminal, 80 columns wide, and as a flowchart."""

import textwrap
from collections.abc import Iterator, Sequence

from extraction.boundaries.coupling import BREAKS, NO_MODULE, Cell, Coupling, Seen, Together, Touch
from extraction.boundaries.mermaid import node, quoted

WIDTH = 80
_NAME_OF = {"": NO_MODULE}


def lines_of(coupling: Coupling, *, most: int) -> Iterator[str]:
    """The matrix, and the places behind it."""
    yield from _head(coupling)
    yield from ("", "Whose code on whose tables: reads / writes / joins")
    yield from _matrix(coupling)
    if coupling.touches:
        yield from ("", "Across boundaries, the most first")
        yield from _places(coupling, coupling.touches, most)
    else:
        yield from ("", "Nobody touched another's tables.")
    yield from _transactions(coupling, coupling.together, most)
    yield from _foot(coupling)


def lines_of_module(coupling: Coupling, module: str, *, most: int) -> Iterator[str]:
    """What the module's extraction would break, the worst first."""
    yield f"What an extraction of {module} would break"
    yield ""
    yield from _head(coupling)
    nothing = []
    for kind, touches in coupling.of_module(module).items():
        title, meaning = BREAKS[kind]
        if not touches:
            nothing.append(title.lower())
            continue
        total = Seen(seen=sum(each.seen for each in touches), estimate=sum(each.estimate for each in touches))
        yield ""
        yield f"{title}: {_number(coupling, total)} at {_count(len(touches), 'place')}"
        yield from _item(f"{meaning[0].upper()}{meaning[1:]}.")
        yield from _places(coupling, touches, most)
    if nothing:
        yield ""
        yield from _item(f"None of: {', '.join(nothing)}.", indent=0)
    mine = [one for one in coupling.together if module in dict(one.modules)]
    yield from _transactions(coupling, mine, most)
    yield from _foot(coupling)


def flowchart(coupling: Coupling, *, around: str = "") -> str:
    """Whose code reaches into whose tables; thick where one statement joins them."""
    return "\n".join(_arrows(coupling, around))


def _arrows(coupling: Coupling, around: str) -> Iterator[str]:
    yield "flowchart LR"
    pairs = [pair for pair in sorted(coupling.matrix) if pair[0] != pair[1] and around in ("", *pair)]
    for module in sorted({module for pair in pairs for module in pair} | ({around} if around else set())):
        yield f"  {node(module)}[{quoted(_name(module))}]"
    for code, owner in pairs:
        cell = coupling.matrix[code, owner]
        counted = [(cell.reads, "reads"), (cell.writes, "writes"), (cell.joins, "joins")]
        label = "<br/>".join(f"{_number(coupling, seen)} {what}" for seen, what in counted if seen.seen)
        yield f'  {node(code)} {"==>" if cell.joins.seen else "-->"}|"{label}"| {node(owner)}'


def _head(coupling: Coupling) -> Iterator[str]:
    began, ended = (moment[:16].replace("T", " ") for moment in (coupling.began, coupling.ended))
    yield f"Recorded from {began} to {ended} UTC by {_count(coupling.processes, 'process', 'es')}."
    looked = ", ".join(f"{times:,} × {kind}" for kind, times in sorted(coupling.operations.items()))
    shares = ", ".join(f"{share:.4g}" for share in coupling.shares)
    said = f"Looked at: {looked or 'nothing'}, a share of {shares}."
    yield from _item(
        said if coupling.is_exact else f"{said} Figures with ~ are what was seen, divided by it.", indent=0
    )


def _matrix(coupling: Coupling) -> Iterator[str]:
    modules = coupling.modules
    cells = [[_cell(coupling.matrix.get((code, owner))) for owner in modules] for code in modules]
    rows = [["", *map(_name, modules)], *([_name(code), *row] for code, row in zip(modules, cells, strict=True))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if 2 + sum(widths) + 2 * len(modules) <= WIDTH:
        for row in rows:
            head, *others = zip(row, widths, strict=True)
            yield "  " + f"{head[0]:<{head[1]}}" + "".join(f"  {cell:>{width}}" for cell, width in others)
        return
    pairs = sorted(coupling.matrix.items(), key=lambda item: -item[1].reads.estimate - item[1].writes.estimate)
    width = max(len(_name(module)) for module in modules)
    for (code, owner), cell in pairs:
        if code != owner:
            yield f"  {_name(code):<{width}} → {_name(owner):<{width}}  {_cell(cell)}"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "·"
    return " / ".join(_short(seen.estimate) for seen in (cell.reads, cell.writes, cell.joins))


def _short(number: float) -> str:
    for unit in ("", "k", "M"):
        if number < 9.95 and unit:
            return f"{number:.1f}{unit}"
        if number < 999.5:
            return f"{number:.0f}{unit}" if number else "·"
        number /= 1000
    return f"{number:.1f}G"


def _places(coupling: Coupling, touches: Sequence[Touch], most: int) -> Iterator[str]:
    for touch in touches[:most]:
        others = ", ".join(_name(owner) for owner in sorted(touch.owners, key=lambda owner: (owner == "", owner)))
        verb = "joins" if touch.is_join else "writes" if touch.writes else "reads"
        yield f"{_number(coupling, touch):>11}  {_name(touch.code)} {verb} {others}"
        yield from _item(touch.place or "(no line of the project)", indent=13)
        for what, tables in (("writes", touch.writes), ("reads", touch.reads)):
            names = ", ".join(name or f"tables of {_name(owner)}" for owner, name in tables)
            if names:
                yield from _item(f"{what} {names}", indent=13)
    yield from _more(len(touches) - most)


def _transactions(coupling: Coupling, together: Sequence[Together], most: int) -> Iterator[str]:
    if not together:
        return
    yield from ("", "Transactions over several modules: no commit holds for two databases")
    for one in together[:most]:
        wrote = ", ".join(_name(module) for module, wrote in one.modules if wrote)
        read = ", ".join(_name(module) for module, wrote in one.modules if not wrote)
        yield from _item(
            f"{_number(coupling, one):>11}  wrote {wrote}{f'; read {read}' if read else ''}", indent=0, hanging=13
        )
        yield from _item(f"second at {one.place}" if one.place else "(no line of the project)", indent=13)
    yield from _more(len(together) - most)


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"{'':>13}and {count:,} more; --most shows them"


def _foot(coupling: Coupling) -> Iterator[str]:
    if coupling.crowded:
        yield ""
        yield from _item(f"{coupling.crowded:,} were counted without their place: there were too many.", indent=0)
    if coupling.unread:
        yield ""
        yield from _item(f"{_count(coupling.unread, 'line')} left out: cut, or written by another version.", indent=0)


def _number(coupling: Coupling, seen: Seen) -> str:
    return f"{'' if coupling.is_exact else '~'}{round(seen.estimate):,}"


def _name(module: str) -> str:
    return _NAME_OF.get(module, module)


def _count(number: int, of: str, plural: str = "s") -> str:
    return f"{number:,} {of}{'' if number == 1 else plural}"


def _item(text: str, *, indent: int = 2, hanging: int | None = None) -> Iterator[str]:
    following = indent + 2 if hanging is None else hanging
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * following,
        break_long_words=False,
        break_on_hyphens=False,
    )
