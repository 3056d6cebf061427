"""The tables that commands print."""

from __future__ import annotations

from collections import Counter
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

from xpfeh.evaluate.gates import Gate

if TYPE_CHECKING:
    from xpfeh.evaluate.comparison import Row

console = Console()


def tell_runs(rows: list[Row], shown: int, experiment: str) -> None:
    """Print recipes side by side, best first, each with all its seeds."""
    from xpfeh.evaluate.comparison import COLUMNS, varied

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
        numbers.add_row(run, row.recipes, str(len(row.runs)), *(row.told(number) for number in COLUMNS))
        parameters.add_row(run, "  ".join(f"{name}={row.parameter(name)}" for name in names))
    console.print(numbers)
    if names:
        console.print(parameters)


def tell_rows(out: str, records: list[Any]) -> None:
    """Print what became of a dataset's rows."""
    read, written = sum(r.rows_read for r in records), sum(r.rows_written for r in records)
    rejected: Counter[str] = sum((Counter(r.rejected) for r in records), Counter())
    told = "".join(f", {n} rejected: {reason}" for reason, n in rejected.items())
    console.print(f"{read} rows read = {written} written{told}: {out}")


def tell_cuts(counts: dict[str, int]) -> None:
    """Print how many stars each cut left."""
    table = Table("cut", "stars left", title="labelled sample")
    for name, left in counts.items():
        table.add_row(name, str(left))
    console.print(table)


_COLUMNS = {
    "bias": "+.3f", "median": "+.3f", "robust_sigma": ".3f", "std": ".3f", "mae": ".3f",
    "coverage_68": ".3f", "coverage_95": ".3f", "nll": ".2f", "nll_t": ".2f",
}  # fmt: skip


def tell_metrics(metrics: dict[str, dict[str, dict[str, float]]], where: str) -> None:
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


def tell_spread(judged: list[dict[str, dict[str, dict[str, float]]]]) -> None:
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
                    f"{mean(values[key]):{form}} ± {stdev(values[key]):{form[-3:]}}" for key, form in _COLUMNS.items()
                ]
                table.add_row(label, *cells)
        console.print(table)


def tell_gates(gates: list[Gate]) -> None:
    """Print what a challenger was asked, and by how much it missed."""
    table = Table("gate", "value", "from", "to", "", title="gates")
    for gate in gates:
        verdict = "holds" if gate.holds else f"[red]misses by {gate.misses_by:.3g}[/red]"
        table.add_row(gate.name, *(f"{number:.4g}" for number in (gate.value, gate.low, gate.high)), verdict)
    console.print(table)
