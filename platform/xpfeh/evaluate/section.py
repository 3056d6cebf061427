"""The parts of a report: sections with tables, figures and numbers; and how they become text and pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import jinja2
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers.

    Attributes
    ----------
    head : sequence of str
    rows : sequence of sequences of str
        Cells as text. If some first cells are empty, each one that is not begins a new group.
    note : str
        The meaning of the columns.
    text_columns : int
        The number of text columns, from the left.
    name : str
        Of its Markdown and LaTeX files; if empty, they are not written.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    text_columns: int = 1
    name: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure, the name of its files, and a caption that explains it."""

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes
    ----------
    key : str
        Its name in ``metrics.json`` and in links.
    title : str
    text : str
    tables, pictures : sequences
    numbers : mapping
        For ``metrics.json``.
    absent : str
        If the section is empty: the reason, and what to do.
    """

    key: str
    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    absent: str = ""


def text_of(value: float, form: str, error: float = math.nan) -> str:
    """Return a number as text for a page, with its standard error where that is known; NaN is a dash.

    Examples
    --------
    >>> text_of(0.073, ".4f", 0.0024), text_of(0.7, ".0%"), text_of(math.nan, ".3f"), text_of(-1.5, "+.2f")
    ('0.0730 ± 0.0024', '70 %', '–', '−1.50')
    """
    if math.isnan(value):
        return "–"
    shown = format(value, form).replace("%", " %").replace("-", "−")
    return shown if math.isnan(error) else f"{shown} ± {format(error, form.removeprefix('+')).replace('%', ' %')}"


def page(name: str, filters: Mapping[str, Callable[..., str]], **content: Any) -> str:
    """Return a page of HTML from one of the templates, which may use the filters and show the content."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(filters)
    return environment.from_string((files("xpfeh.evaluate") / "templates" / name).read_text()).render(content)


def markdown(table: Table) -> str:
    """Return a table as Markdown.

    Examples
    --------
    >>> print(markdown(Table(["test", "σ"], [["PASTEL", "0.09"]])))
    | test | σ |
    |---|---|
    | PASTEL | 0.09 |
    """
    lines = [table.head, *table.rows]
    cells = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines]
    return "\n".join([f"| {cells[0]} |", "|" + "---|" * len(table.head), *(f"| {line} |" for line in cells[1:])])


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "σ": r"$\sigma$", "α": r"$\alpha$",
    "−": "$-$", "<": "$<$", ">": "$>$", "≤": r"$\leq$", "≥": r"$\geq$", "–": "--", "₀": "$_0$",
    "°": r"$^\circ$", "`": "",
}  # fmt: skip


def latex(table: Table) -> str:
    """Return a table as a LaTeX ``tabular`` with the rules of booktabs.

    Examples
    --------
    >>> print(latex(Table(["test", "σ"], [["PASTEL", "0.09 ± 0.01"]])))
    \\begin{tabular}{lr}
    \\toprule
    test & $\\sigma$ \\\\
    \\midrule
    PASTEL & 0.09 $\\pm$ 0.01 \\\\
    \\bottomrule
    \\end{tabular}
    """
    columns = "l" * table.text_columns + "r" * (len(table.head) - table.text_columns)
    head, *rows = [" & ".join(map(_latex, line)) + r" \\" for line in (table.head, *table.rows)]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule",
                      r"\end{tabular}"])  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
