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

if TYPE_CHECKING:
    from xpfeh.commands.one_table import Written
    from xpfeh.commands.promote import Promotion, RefusedError
    from xpfeh.dataset.records import Record
    from xpfeh.dataset.status import Status
    from xpfeh.dataset.verify import Account
    from xpfeh.download.cache import Size
    from xpfeh.download.probe import Finding
    from xpfeh.evaluate.comparison.runs import Row
    from xpfeh.evaluate.paired import Difference
    from xpfeh.evaluate.report import Metrics
    from xpfeh.serving.keys import Key

console = Console(markup=False, emoji=False)  # a path may hold [brackets] and :colons:

_COLUMNS = {
    "bias": "+.3f", "median": "+.3f", "robust_sigma": ".3f", "std": ".3f", "mae": ".3f",
    "coverage_68": ".3f", "coverage_95": ".3f", "nll": ".2f", "nll_t": ".2f",
}  # fmt: skip
"""The numbers of `xpfeh.evaluate.metrics.summary` that are printed, and their formats."""


def print_recipes(rows: Sequence[Row], shown: int, experiment: str) -> None:
    """Print recipes side by side, best first, each with all its seeds."""
    from xpfeh.evaluate.comparison.runs import COLUMNS, varied

    names = varied(rows[:shown])
    numbers = Table(
        Column("run", no_wrap=True),
        "recipe",
        Column("seeds", justify="right"),
        *(Column(title, justify="right", min_width=6) for title, _ in COLUMNS.values()),
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        title=f"{experiment}: validation stars, {len(rows[:shown])} of {len(rows)} recipes",
    )
    parameters = Table(Column("run", no_wrap=True), "what differs", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows[:shown]:
        run = row.best.run_id[:8]
        numbers.add_row(run, row.recipes, str(len(row.runs)), *(row.text(number) for number in COLUMNS))
        parameters.add_row(run, "  ".join(f"{name}={row.parameter(name)}" for name in names))
    console.print(numbers)
    if names:
        console.print(parameters)


def print_differences(reports: tuple[Any, Any], differences: Sequence[Difference]) -> None:
    """Print two reports star by star."""
    table = Table("dex", "A", "B", "A − B", "95 % interval", "", title=f"{differences[0].n} stars of both")
    for d in differences:
        numbers = [f"{d.a:.4f}", f"{d.b:.4f}", f"{d.a - d.b:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}"]
        table.add_row(d.name, *numbers, d.verdict)
    console.print(f"A: {reports[0]}\nB: {reports[1]}", soft_wrap=True)
    console.print(table)


def print_rows(out: str, records: Sequence[Record]) -> None:
    """Print what became of a dataset's rows."""
    read, written = sum(r.rows_read for r in records), sum(r.rows_written for r in records)
    rejected: Counter[str] = sum((Counter(r.rejected) for r in records), Counter())
    reasons = "".join(f", {n} rejected: {reason}" for reason, n in rejected.items())
    console.print(f"{read} rows read = {written} written{reasons}: {out}", soft_wrap=True)


def print_warning(line: str) -> None:
    """Print a warning on stderr, as one line."""
    print(f"xpfeh: warning: {line}", file=sys.stderr)


def print_written(out: Any, written: Written) -> None:
    """Print what became of the rows of a source."""
    for line in written.warnings:
        print_warning(line)
    where = f", see {written.listing}" if written.rejected else ""
    console.print(
        f"{written.stars} stars written, {written.rejected} rows rejected{where}: {_named(out, written)}",
        soft_wrap=True,
    )


def print_answered(out: Any, written: Written) -> None:
    """Print what became of the stars that were asked for."""
    for line in written.warnings:
        print_warning(line)
    where = f", see {written.listing}" if written.rejected else ""
    asked = written.stars + written.rejected
    counts = f"{asked} asked = {written.stars} answered + {written.rejected} missing"
    console.print(f"{counts}{where}: {_named(out, written)}", soft_wrap=True)


def _named(out: Any, written: Written) -> str:
    return f"{out} (replaced)" if written.replaced else str(out)


def print_cache(sizes: Mapping[str, Size]) -> None:
    """Print what is kept of the archive's answers."""
    table = Table("release", "stars", "with spectrum", "MB", "folder")
    for release, size in sizes.items():
        table.add_row(
            release, f"{size.asked:,}", f"{size.with_spectrum:,}", f"{size.bytes / 1e6:,.1f}", str(size.folder)
        )
    console.print(table)


def print_keys(keys: Iterable[Key]) -> None:
    """Print who may ask an endpoint."""
    table = Table("key of", "may", "requests a minute", "stars a day", "made")
    for key in keys:
        limits = f"{key.requests_per_minute:,}", f"{key.stars_per_day:,}"
        table.add_row(key.name, ", ".join(key.scopes), *limits, f"{key.made:%Y-%m-%d}")
    console.print(table)


def print_findings(release: str, findings: Iterable[Finding], as_json: bool = False) -> list[Finding]:
    """Print what the archives have, what is expected, and what to do; return the findings."""
    from xpfeh.download.probe import advice

    with console.status("asking the archive", spinner="dots") if not as_json else nullcontext():
        found = list(findings)
    if as_json:
        listed = [{"what": f.what, "expected": f.expected, "found": f.found, "verdict": f.verdict} for f in found]
        print(json.dumps({"release": release, "findings": listed, "advice": advice(found)}, indent=1))
        return found
    colours = {"holds": "green", "adapted": "green", "differs": "red", "unknown": "yellow"}
    table = Table("what", "expected", "found", "", title=f"{release} in Gaia's archive", show_lines=True)
    for each in found:
        table.add_row(each.what, each.expected, each.found, Text(each.verdict, style=colours[each.verdict]))
    console.print(table)
    counts = Counter(each.verdict.value for each in found)
    console.print(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    for line in advice(found):
        console.print(f"- {line}", soft_wrap=True)
    return found


def print_status(out: str, now: Status) -> None:
    """Print how far a dataset is."""
    table = Table(show_header=False, title=f"{now.kind}: {out}")
    table.add_row("parts", f"{now.done:,} of {now.parts:,} done" + (f", {now.failed:,} failed" if now.failed else ""))
    table.add_row("rows", f"{now.rows_read:,} read = {now.rows_written:,} written + {now.rejected.total():,} rejected")
    for reason, count in now.rejected.most_common():
        table.add_row("  rejected", f"{count:,}: {reason}")
    if now.latest:
        table.add_row("speed", f"{now.rate:,.0f} stars a second; latest part {now.latest:%Y-%m-%d %H:%M:%S} UTC")
    if now.done < now.parts and now.seconds_left is not None:
        table.add_row("time left", str(timedelta(seconds=round(now.seconds_left))))
    console.print(table)


def print_account(account: Account) -> None:
    """Print what `verify` found."""
    for problem in account.problems:
        console.print(problem, style="red", soft_wrap=True)
    console.print(
        f"{account.kind}: {account.requested:,} requested, {account.written:,} written + {account.rejected:,} rejected"
        f"; {account.parts:,} parts have their recorded bytes and their input's stars",
        soft_wrap=True,
    )
    console.print(f"{len(account.problems)} problems" if account.problems else "each star exactly once")


def print_cuts(counts: Mapping[str, int], title: str = "labelled sample") -> None:
    """Print how many stars each cut left."""
    table = Table("cut", "stars left", title=title)
    for name, left in counts.items():
        table.add_row(name, str(left))
    console.print(table)


def print_metrics(metrics: Metrics, where: str) -> None:
    """Print a report's numbers, a table a model."""
    for name, slices in metrics.items():
        table = Table("stars", "n", *_COLUMNS, title=f"{name}: {where}")
        for label, m in slices.items():
            if m["n"]:
                table.add_row(label, str(m["n"]), *(f"{m[key]:{form}}" for key, form in _COLUMNS.items()))
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
        table = Table("stars", *_COLUMNS, title=f"{name}: mean ± standard deviation over {len(runs)} models")
        for label in runs[0]:
            known = [slices[label] for slices in runs if slices[label]["n"]]
            if len(known) > 1:
                values = {key: [m[key] for m in known] for key in _COLUMNS}
                cells = [
                    f"{mean(values[key]):{form}} ± {stdev(values[key]):{form.removeprefix('+')}}"
                    for key, form in _COLUMNS.items()
                ]
                table.add_row(label, *cells)
        console.print(table)


def print_gates(judged: Promotion | RefusedError) -> None:
    """Print what a challenger was judged by and beside whom, and by how much it missed."""
    table = Table("gate", "value", "from", "to", "", title="gates")
    for gate in judged.gates:
        verdict = Text("holds") if gate.holds else Text(f"misses by {gate.misses_by:.3g}", style="red")
        table.add_row(gate.name, *(f"{number:.4g}" for number in (gate.value, gate.low, gate.high)), verdict)
    console.print(table)
    for note in judged.notes:
        console.print(note, soft_wrap=True)
    if judged.looks is not None:
        console.print(f"looks at these held-out stars so far: {judged.looks}")


def print_refusal(refused: RefusedError) -> None:
    """Print why a challenger did not become champion."""
    print_gates(refused)
    console.print(str(refused), soft_wrap=True)


def print_flags() -> None:
    """Print what the bits of ``flags`` mean, and which of them a good star does not have."""
    from xpfeh.flags import BEYOND_PAPER, GOOD, MEANING, NOT_GOOD

    table = Table("bit", "value", "name", "not good", "meaning")
    for bit, meaning in MEANING.items():
        spoils = "x" if bit & NOT_GOOD else "(x)" if bit & BEYOND_PAPER else ""
        table.add_row(str(bit.bit_length() - 1), str(int(bit)), bit.name, spoils, meaning)
    console.print(table)
    console.print(
        f"good: {GOOD}. It has none of the flags marked x, and, if the model learned from the paper's stars alone, "
        "none of those marked (x)."
    )
