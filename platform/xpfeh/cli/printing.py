"""The tables that commands print."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from xpfeh.errors import UserError

if TYPE_CHECKING:
    from xpfeh.archive.cache import Size
    from xpfeh.archive.probe import Finding
    from xpfeh.commands.drift import FoundDrift
    from xpfeh.commands.one_table import Written
    from xpfeh.commands.promote import NotPromotedError, Promotion
    from xpfeh.dataset.records import Record
    from xpfeh.dataset.status import Status
    from xpfeh.dataset.verify import Account
    from xpfeh.evaluate.comparison.runs import Row
    from xpfeh.evaluate.paired import Difference
    from xpfeh.evaluate.report import Metrics
    from xpfeh.serving.keys import Key

console = Console(markup=False, emoji=False)  # a path may hold [brackets] and :colons:

_SLICE_KEYS = ("mae", "bias", "median", "robust_sigma", "coverage_68", "coverage_95", "nll")
"""Numbers of `xpfeh.evaluate.metrics.summary` that fit into 80 columns; a report shows all."""


def _table(*columns: str | Column, title: str | None = None) -> Table:
    """Return a table without side borders: more fits in, and it can be copied from a terminal."""
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _number(title: str) -> Column:
    return Column(title, justify="right", no_wrap=True)


def print_recipes(rows: Sequence[Row], shown: int, experiment: str) -> None:
    """Print recipes, best first, each with all its seeds."""
    from xpfeh.evaluate.comparison.runs import OF_A_RUN, SHORT_ID, varied
    from xpfeh.evaluate.numbers import titles

    names = varied(rows[:shown])
    numbers = _table(
        Column("run", no_wrap=True),
        "recipe",
        _number("seeds"),
        *(Column(title, justify="right", min_width=6) for title in titles(OF_A_RUN)),
        title=f"{experiment}: validation stars, {len(rows[:shown])} of {len(rows)} recipes",
    )
    parameters = _table(Column("run", no_wrap=True), "settings that differ")
    for row in rows[:shown]:
        run = row.best.run_id[:SHORT_ID]
        numbers.add_row(run, row.recipes, str(len(row.runs)), *(row.text(number) for number in OF_A_RUN))
        parameters.add_row(run, "  ".join(f"{name}={row.parameter(name)}" for name in names))
    console.print(numbers)
    if names:
        console.print(parameters)


def print_differences(reports: tuple[Any, Any], differences: Sequence[Difference]) -> None:
    """Print the star-by-star comparison of two reports."""
    table = _table(
        Column("dex", no_wrap=True), *map(_number, ("A", "B", "A − B", "95 % interval")), "",
        title=f"{differences[0].n:,} stars in both",
    )  # fmt: skip
    for d in differences:
        numbers = [f"{d.a:.4f}", f"{d.b:.4f}", f"{d.a - d.b:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}"]
        table.add_row(d.name, *numbers, d.verdict())
    console.print(f"A: {reports[0]}\nB: {reports[1]}", soft_wrap=True)
    console.print(table)


def print_rows(out: str, records: Sequence[Record]) -> None:
    """Print how many rows of a dataset were written and rejected; for a catalog, the kinds of answers."""
    read, written = sum(r.rows_read for r in records), sum(r.rows_written for r in records)
    rejected: Counter[str] = sum((Counter(r.rejected) for r in records), Counter())
    kinds: Counter[str] = sum((Counter(r.kinds) for r in records), Counter())
    if kinds:
        console.print(f"{_count(kinds)} -> {out}", soft_wrap=True)
        return
    reasons = "".join(f", {n:,} rejected: {reason}" for reason, n in rejected.items())
    console.print(f"{read:,} rows read = {written:,} written{reasons} -> {out}", soft_wrap=True)


def print_warning(line: str) -> None:
    """Print a warning on stderr, as one line."""
    print(f"xpfeh: warning: {line}", file=sys.stderr)


def print_written(out: Any, written: Written) -> None:
    """Print how many stars of a source were written and rejected."""
    _print_outcome(out, written, f"{_stars(written.stars)} written, {written.rejected:,} rejected")


def print_answers(out: Any, written: Written) -> None:
    """Print what kinds of answers the stars got, each counted once."""
    kinds = {**written.kinds, "rejected": written.rejected - written.repeated, "repeated": written.repeated}
    _print_outcome(out, written, _count(kinds))


def _print_outcome(out: Any, written: Written, counts: str) -> None:
    for line in written.warnings:
        print_warning(line)
    console.print(f"{counts} -> {out}{' (replaced)' if written.replaced else ''}", soft_wrap=True)
    if written.rejected:
        console.print(f"reasons for the rejected rows: {written.listing}", soft_wrap=True)
    if not written.stars:
        raise UserError(f"{out}: has no star, all were rejected")


def _count(kinds: Mapping[str, int]) -> str:
    """Return the number of stars, of good ones, and of each other kind.

    Examples
    --------
    >>> _count({"dwarf": 2, "good": 6, "repeated": 0, "outside the model's domain": 1})
    "9 stars: 6 good, 2 dwarfs, 1 outside the model's domain"
    """
    from xpfeh.inference.kinds import DWARF, GOOD

    good = kinds.get(GOOD, 0)
    others = sorted(((n, kind) for kind, n in kinds.items() if n and kind != GOOD), key=lambda each: -each[0])
    counts = [f"{n:,} {kind}{'s' * (kind == DWARF and n > 1)}" for n, kind in [(good, GOOD), *others]]
    return f"{_stars(sum(kinds.values()))}: {', '.join(counts)}"


def _stars(number: int) -> str:
    return "1 star" if number == 1 else f"{number:,} stars"


def print_cache(sizes: Mapping[str, Size]) -> None:
    """Print how much of the archive's answers is cached, by release."""
    table = _table("release", *map(_number, ("stars", "with spectrum", "MB")), Column("folder", overflow="fold"))
    for release, size in sizes.items():
        table.add_row(
            release, f"{size.asked:,}", f"{size.with_spectrum:,}", f"{size.bytes / 1e6:,.1f}", str(size.folder)
        )
    console.print(table)


def print_keys(keys: Iterable[Key]) -> None:
    """Print who may use an endpoint."""
    limits_of = map(_number, ("requests/minute", "stars/day"))
    table = _table(Column("owner", overflow="fold"), "scopes", *limits_of, Column("made", no_wrap=True))
    for key in keys:
        limits = f"{key.requests_per_minute:,}", f"{key.stars_per_day:,}"
        table.add_row(key.name, ", ".join(key.scopes), *limits, f"{key.made:%Y-%m-%d}")
    console.print(table)


def print_findings(release: str, findings: Iterable[Finding], as_json: bool = False) -> list[Finding]:
    """Print what the archives should have and do have, and advice; return the findings."""
    from xpfeh.archive.probe import advice

    with console.status("querying the archive", spinner="dots") if not as_json else nullcontext():
        found = list(findings)
    if as_json:
        listed = [{"what": f.what, "expected": f.expected, "found": f.found, "verdict": f.verdict} for f in found]
        print(json.dumps({"release": release, "findings": listed, "advice": advice(found)}, indent=1))
        return found
    colours = {"holds": "green", "adapted": "green", "differs": "red", "unknown": "yellow"}
    table = _table("what", "expected", "found", Column("", no_wrap=True), title=f"{release} in Gaia's archive")
    for each in found:
        table.add_row(each.what, each.expected, each.found, Text(each.verdict, style=colours[each.verdict]))
    console.print(table)
    counts = Counter(each.verdict.value for each in found)
    console.print(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    for line in advice(found):
        console.print(f"- {line}", soft_wrap=True)
    return found


def print_status(out: str, now: Status) -> None:
    """Print a dataset's progress."""
    table = Table(show_header=False, title=f"{now.kind}: {out}", title_justify="left", box=None, pad_edge=False)
    table.add_row("parts", f"{now.done:,} of {now.parts:,} done" + (f", {now.failed:,} failed" if now.failed else ""))
    table.add_row("rows", f"{now.rows_read:,} read = {now.rows_written:,} written + {now.rejected.total():,} rejected")
    for reason, count in now.rejected.most_common():
        table.add_row("  rejected", f"{count:,}: {reason}")
    if now.latest:
        table.add_row("speed", f"{now.rate:,.0f} stars per second; latest part {now.latest:%Y-%m-%d %H:%M:%S} UTC")
    if now.done < now.parts and now.seconds_left is not None:
        table.add_row("time left", str(timedelta(seconds=round(now.seconds_left))))
    console.print(table)


def print_account(account: Account) -> None:
    """Print what `verify` found."""
    for problem in account.problems:
        console.print(problem, style="red", soft_wrap=True)
    console.print(
        f"{account.kind}: {account.requested:,} requested, {account.written:,} written + {account.rejected:,} rejected"
        f"; {account.parts:,} parts match their record and their input",
        soft_wrap=True,
    )
    count = len(account.problems)
    console.print(f"{count} problem{'s' * (count > 1)}" if count else "each star exactly once")


def print_cuts(counts: Mapping[str, int], title: str = "labelled sample") -> None:
    """Print how many stars each cut left."""
    table = _table("cut", _number("stars left"), title=title)
    for name, left in counts.items():
        table.add_row(name, f"{left:,}")
    console.print(table)


def print_metrics(metrics: Metrics, where: str) -> None:
    """Print a report's numbers, one table for each model."""
    from xpfeh.evaluate.numbers import NUMBERS
    from xpfeh.evaluate.section import text_of

    for name, slices in metrics.items():
        table = _table(Column("stars", no_wrap=True), *_numbers(("n", *_SLICE_KEYS)), title=f"{name}: {where}")
        for label, m in slices.items():
            if m["n"]:
                table.add_row(label, str(m["n"]), *(text_of(m[key], NUMBERS[key].form) for key in _SLICE_KEYS))
        console.print(table)
        if "caught" in slices["all"]:
            found, caught = slices["all"]["catastrophic"], slices["all"]["caught"]
            console.print(f"{found} residuals beyond 0.5 dex, {caught} of them among the 1 % of largest domain scores")


def print_spread(judged: Sequence[Metrics]) -> None:
    """Print mean and standard deviation over models of one recipe, on their own held-out stars."""
    by_name: dict[str, list[dict[str, dict[str, float]]]] = {}
    for metrics in judged:
        for name, slices in metrics.items():
            by_name.setdefault(name, []).append(slices)
    for name, runs in by_name.items():
        for keys in (_SLICE_KEYS[:3], _SLICE_KEYS[3:]):  # three fit into 80 columns, or four short ones
            title = f"{name}: mean ± standard deviation over {len(runs)} models"
            table = _table(Column("stars", no_wrap=True), *_numbers(keys), title=title)
            for label in runs[0]:
                known = [slices[label] for slices in runs if slices[label]["n"]]
                if len(known) > 1:
                    table.add_row(label, *(_mean_and_spread(known, key) for key in keys))
            console.print(table)


def _mean_and_spread(known: Sequence[Mapping[str, float]], key: str) -> str:
    from xpfeh.evaluate.numbers import NUMBERS
    from xpfeh.evaluate.section import text_of

    values = [m[key] for m in known]
    return text_of(mean(values), NUMBERS[key].form, stdev(values))


def _numbers(keys: Iterable[str]) -> list[Column]:
    from xpfeh.evaluate.numbers import titles

    return [_number(title.replace(" ", "\n", 1)) for title in titles(keys)]


def print_drift(found: FoundDrift) -> None:
    """Print how a dataset differs from a model's stars, and which cuts could not be evaluated."""
    console.print(
        f"{found.given.stars:,} of {found.stars_read:,} stars fail none of the paper's cuts 1 to 3; of these "
        f"{found.drift.outside:.1%} are outside the model's domain"
    )
    for cut, share in found.not_evaluated.items():
        console.print(f"{cut}: not evaluated for {share:.1%} of them")
    for line in found.drift.differences or ["no noteworthy difference from the training stars"]:
        console.print(line, soft_wrap=True)


def print_gates(judged: Promotion | NotPromotedError) -> None:
    """Print the gates of a challenger, and by how much it missed each that failed."""
    table = _table("gate", *map(_number, ("value", "from", "to")), Column("", no_wrap=True), title="gates")
    for gate in judged.gates:
        verdict = Text("passes") if gate.holds else Text(f"fails by {gate.misses_by:.3g}", style="red")
        table.add_row(gate.name, *(f"{number:.4g}" for number in (gate.value, gate.low, gate.high)), verdict)
    console.print(table)
    for note in judged.notes:
        console.print(note, soft_wrap=True)
    if judged.looks is not None:
        console.print(f"models judged on these held-out stars so far: {judged.looks}")


def print_refusal(refused: NotPromotedError) -> None:
    """Print why a challenger did not become champion."""
    print_gates(refused)
    console.print(str(refused), soft_wrap=True)


def print_flags() -> None:
    """Print what the bits of ``flags`` mean, and which of them a good star does not have."""
    from xpfeh.flags import BEYOND_PAPER, GOOD, MEANING, NOT_GOOD

    name, spoiling = Column("name", no_wrap=True), Column("not good", no_wrap=True)
    table = _table(_number("bit"), _number("value"), name, spoiling, "meaning")
    for bit, meaning in MEANING.items():
        spoils = "x" if bit & NOT_GOOD else "(x)" if bit & BEYOND_PAPER else ""
        table.add_row(str(bit.bit_length() - 1), str(int(bit)), bit.name, spoils, meaning)
    console.print(table)
    console.print(
        f"good: {GOOD}. It has none of the flags marked x, nor, if the model was trained on the paper's stars only, "
        "any marked (x)."
    )
