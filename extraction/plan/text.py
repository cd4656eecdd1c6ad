"""A plan for people who decide: the verdict first, then what it rests on, then what to type."""

import textwrap
from collections.abc import Iterator
from typing import Any

from extraction.boundaries.sizes import size
from extraction.plan.plan import Plan
from extraction.plan.sizes import Moves
from extraction.plan.steps import Step

WIDTH = 100


def lines_of(plan: Plan) -> Iterator[str]:
    """The whole of it, no line wider than WIDTH but for statements and code."""
    yield from _summary(plan)
    yield from _moves(plan)
    yield from _rates(plan)
    yield from _estimates(plan)
    yield from _obstacles(plan)
    yield from _staircase(plan)
    yield from _rules(plan)


def span(seconds: tuple[float, float]) -> str:
    """A range of time."""
    low, high = seconds
    if high < 1:
        return "under 1 s"
    if high < 120:
        return f"{max(1, round(low))} to {max(1, round(high))} s"
    if high < 7200:
        return f"{low / 60:.1f} to {high / 60:.1f} min"
    return f"{low / 3600:.1f} to {high / 3600:.1f} h"


def _summary(plan: Plan) -> Iterator[str]:
    yield f"{plan.module.name}: {plan.verdict.word}"
    yield from _say(f"Because: {plan.verdict.reason}.")
    if plan.moves:
        yield from _say(_sentence(plan.moves))
    if plan.estimates:
        yield from _say(f"Copy: {span(plan.estimates.copy_s)}, an estimate. Pause of writers: {_pause(plan)}.")
    if plan.obstacles is not None:
        yield from _say(f"Obstacles: {_count(plan)}.")
    first, later = _split(plan.steps)
    yield from _say(f"Staircase: {len(first)} steps before extract, {len(later)} that may come after.")
    if plan.skipped:
        yield ""
        yield "Left out"
        for skipped in plan.skipped:
            yield from _item(skipped)


def _moves(plan: Plan) -> Iterator[str]:
    if not plan.moves:
        return
    yield ""
    yield f"What moves ({plan.server})"
    yield f"  {'table':<44}{'rows':>14}{'heap':>11}{'indexes':>11}{'toast':>11}"
    for table in plan.moves.tables:
        rows = "?" if table.rows < 0 else f"{'' if table.is_counted else '~'}{table.rows:,}"
        sizes = "".join(f"{size(count):>11}" for count in (table.heap_bytes, table.index_bytes, table.toast_bytes))
        yield f"  {table.name:<44}{rows:>14}{sizes}"
    if any(not table.is_counted for table in plan.moves.tables):
        yield from _item("~ is what ANALYZE estimated; ? was never analyzed.")
    for name in plan.moves.partitioned:
        yield f"  {name} is partitioned; its partitions are listed"
    yield from _item(f"Sequences: {', '.join(plan.moves.sequences) or 'none'}.")


def _rates(plan: Plan) -> Iterator[str]:
    rates = plan.rates
    if not rates:
        return
    yield ""
    yield f"Writes, watched for {rates.watched_s:g} s"
    share = "nobody wrote" if rates.share is None else f"{rates.share:.1%} of the server's"
    yield f"  {rates.rows_per_s:,.1f} rows/s of the module ({share})"
    statements = "" if rates.statements_per_s is None else f", {rates.statements_per_s:,.1f} statements/s"
    yield f"  {rates.commits_per_s:,.1f} commits/s in its database{statements}"
    yield f"  {size(rates.wal_bytes_per_s)}/s of WAL in the whole server"
    since = f"since {rates.written_since:%Y-%m-%d %H:%M}" if rates.written_since else "since the counters began"
    yield f"  {rates.written_ever:,} rows written {since}"
    for one in rates.transactions:
        yield from _item(
            f"open for {one.age_s:.0f} s: pid {one.pid}, {one.role} in {one.database}"
            f"{f' ({one.application})' if one.application else ''}, {one.state}; a new slot waits for it"
        )


def _estimates(plan: Plan) -> Iterator[str]:
    found = plan.estimates
    if not found:
        return
    yield ""
    yield "Estimates"
    if found.sample:
        part = "all of it" if found.sample.is_whole else "a part"
        yield from _item(
            f"Copy: {span(found.copy_s)}. Read with COPY TO STDOUT: {found.sample.table}, {part}, "
            f"{found.sample.rows:,} rows in {found.sample.seconds:.2f} s ({found.sample.rows_per_s:,.0f} rows/s, "
            f"{size(found.sample.bytes_per_s)}/s). That is the lower end; writing and indexing on the target make the "
            "upper."
        )
        if found.sample.seconds < 0.1:
            yield from _item("The sample is too short to be trusted: there is little to copy.")
    else:
        yield from _item("Copy: there is no row to read.")
    yield from _item(f"Disk on the target: up to {size(found.target_bytes)}, and its own WAL.")
    yield from _item(_wal(plan))
    yield from _item(
        f"Pause of writers: {_pause(plan)}; from {found.pause_from}. --max-pause-ms (300) bounds it up to the commit; "
        "from there it lasts until the target has heard of it."
    )


def _wal(plan: Plan) -> str:
    found = plan.estimates
    assert found is not None
    if found.wal_bytes is None:
        return "WAL held on the source meanwhile: not known, the write rate was not watched."
    low, high = found.wal_bytes
    text = f"WAL held on the source meanwhile: {size(low)} to {size(high)}"
    if found.slot_limit_bytes >= 0:
        text += f"; max_slot_wal_keep_size is {size(found.slot_limit_bytes)}"
        text += ", TOO LITTLE: the copy would be lost" if found.slot_limit_bytes < high else ""
    else:
        text += "; max_slot_wal_keep_size sets no limit"
    if found.free_bytes is not None:
        text += f"; {size(found.free_bytes)} are free on its disk"
        text += ", TOO LITTLE" if found.free_bytes < high else ""
    else:
        text += "; how much room its disk has is not seen from here"
    return f"{text}."


def _obstacles(plan: Plan) -> Iterator[str]:
    if not plan.obstacles:
        return
    yield ""
    yield "Obstacles"
    said = ("", "", "")
    for one in plan.obstacles:
        if (one.severity, one.code, one.why) != said:
            yield from _item(f"[{one.severity}] {one.code}{f': {one.why}' if one.why else ''}")
        said = one.severity, one.code, one.why
        yield from _item(f"{one.unit}: {one.what}", indent=6)
        yield from _item(one.mend, indent=8)


def _staircase(plan: Plan) -> Iterator[str]:
    first, later = _split(plan.steps)
    number = 0
    for title, steps in (("Staircase: before extract", first), ("Staircase: may come after extract", later)):
        if not steps:
            continue
        yield ""
        yield title
        for step in steps:
            number += 1
            yield from _step(number, step)


def _step(number: int, step: Step) -> Iterator[str]:
    yield f"  {number}. {step.title} [{step.code}]"
    for why in step.why:
        yield from _item(why, indent=5)
    for edit in step.edits:
        yield f"     {edit.file}:{edit.line}" + ("" if edit.before else ", behind this line")
        if edit.before:
            yield from _code(edit.before, indent=7, mark="- ")
        if edit.after:
            yield from _code(edit.after.strip("\n"), indent=7, mark="+ ")
    for file in step.files:
        yield f"     write {file.path}"
        yield from _code(file.text.rstrip("\n"), indent=7)
    for do in step.does:
        yield {"sql": "     SQL", "settings": "     at the end of the settings", "shell": "     run"}[do.where]
        yield from _code("\n".join(do.lines), indent=7)
    yield from _item(f"Done when: {step.done}.", indent=5)


def _rules(plan: Plan) -> Iterator[str]:
    yield ""
    yield f"Verdict: {plan.verdict.word}"
    for rule in plan.verdict.rules:
        says = {True: "AGAINST", False: "fine", None: "not judged"}[rule.speaks_against]
        yield from _item(
            f"{rule.name} ({rule.weight if rule.weight == 'decides' else 'a doubt'}): {says}. {rule.figure}; against "
            f"it would be {rule.threshold}: {rule.because}."
        )
    for sentence in plan.verdict.evidence:
        yield from _item(sentence)
    yield ""
    yield f"Next: {following(plan)}"


def following(plan: Plan) -> str:
    """What to type, or to do, now."""
    name = plan.module.name
    if plan.home:
        return f"in {plan.home}: manage.py extract plan {name}"
    if plan.verdict.word == "do not extract":
        return "leave it where it is; docs/plan.md says what each rule means"
    if plan.verdict.word == "extract after the staircase":
        return f"the first step above, then: manage.py extract plan {name}"
    if plan.moves is None:
        return f"bring its database back, then: manage.py extract plan {name}"
    if any(one.severity == "blocks" for one in plan.obstacles or ()):
        return f"mend what blocks, then: manage.py extract plan {name}"
    return f"manage.py extract provision {name}"


def _sentence(moves: Moves) -> str:
    unknown = " and those nobody counted" if any(table.rows < 0 for table in moves.tables) else ""
    return (
        f"Moves: {len(moves.tables)} tables, {moves.rows:,} rows{unknown}, {size(moves.bytes)}, "
        f"{len(moves.sequences)} sequences."
    )


def _pause(plan: Plan) -> str:
    assert plan.estimates is not None
    low, high = plan.estimates.pause_ms
    return f"{low:.0f} to {high:.0f} ms expected"


def _count(plan: Plan) -> str:
    found = [one.severity for one in plan.obstacles or ()]
    words = {"blocks": "that block", "decide": "to decide", "note": "to note"}
    return ", ".join(f"{found.count(word)} {text}" for word, text in words.items() if word in found) or "none"


def _split(steps: tuple[Step, ...]) -> tuple[list[Step], list[Step]]:
    return [step for step in steps if step.is_required], [step for step in steps if not step.is_required]


def _say(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _item(text: str, indent: int = 2) -> Iterator[str]:
    at: dict[str, Any] = {"initial_indent": " " * indent, "subsequent_indent": " " * (indent + 2)}
    yield from textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False, **at)


def _code(text: str, *, indent: int, mark: str = "") -> Iterator[str]:
    for line in text.splitlines():
        yield f"{' ' * indent}{mark}{line}".rstrip()
