"""Headings and formats of the numbers in tables, defined once for reports, pages and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from xpfeh.evaluate.residuals import NAMES
from xpfeh.evaluate.section import Table, text_of


class Number(NamedTuple):
    """The heading of a number's column, and the format of its values."""

    title: str
    form: str


NUMBERS = {
    # counts of stars
    "n": Number("n", ",.0f"),
    "n_without_feh": Number("without [Fe/H]", ",.0f"),
    "n_open": Number("open", ",.0f"),
    "catastrophic": Number("beyond 0.5 dex", ",.0f"),
    "truly": Number("true", ",.0f"),
    "called": Number("selected", ",.0f"),
    "selected": Number("selected", ",.0f"),
    "by_interval": Number("FEH_hi68 below", ",.0f"),
    "right": Number("correct", ",.0f"),
    # residuals
    "mae": Number("MAE", ".4f"),
    "gauss_sigma": Number("Gauss σ", ".3f"),
    "robust_sigma": Number("robust σ", ".3f"),
    "std": Number("std", ".3f"),
    "gauss_mean": Number("Gauss mean", "+.3f"),
    "bias": Number("bias", "+.3f"),
    "median": Number("median", "+.3f"),
    "slope": Number("slope of the residual, dex per dex", "+.3f"),
    # intervals
    "coverage_68": Number("in 68 %", ".3f"),
    "coverage_95": Number("in 95 %", ".3f"),
    "z_robust_std": Number("robust std of z", ".2f"),
    "nll": Number("NLL", ".2f"),
    "nll_t": Number("NLL, t", ".2f"),
    # selections
    "base_rate": Number("base rate", ".1%"),
    "purity": Number("purity", ".3f"),
    "completeness": Number("completeness", ".3f"),
    "dwarfs": Number("dwarfs", ".3f"),
    "contamination": Number("contamination", ".0%"),
    "share": Number("share", ".1%"),
    # a cluster
    "field": Number("field", ".1f"),
    "literature": Number("literature", "+.2f"),
    "mean": Number("mean", "+.2f"),
    "offset": Number("offset", "+.2f"),
    "sigma": Number("σ", ".2f"),
    "own_sigma": Number("intrinsic σ", ".2f"),
    "error": Number("error", ".2f"),
    "z": Number("z", ".2f"),
    "label_mean": Number("label mean", "+.2f"),
    "label_sigma": Number("label σ", ".2f"),
    "label_offset": Number("minus label", "+.2f"),
    # a star
    "c_fe": Number("[C/Fe]", "+.1f"),
    "feh": Number("true", ".2f"),
    "FEH": Number("predicted", ".2f"),
    "FEH_err": Number("± error", ".2f"),
    "phot_g_mean_mag": Number("G", ".1f"),
    "bp_rp0": Number("(BP−RP)₀", ".2f"),
    "ebv": Number("E(B−V)", ".2f"),
    # a run
    "seconds": Number("cost (s)", ".0f"),
}
"""By their keys in ``metrics.json``."""


def titles(keys: Iterable[str]) -> list[str]:
    """Return the headings of some numbers."""
    return [NUMBERS[key].title for key in keys]


def cells(keys: Iterable[str], numbers: Mapping[str, float], decimals: int | None = None) -> list[str]:
    """Return numbers as text for a table, each with its standard error ``KEY_se`` where that is known.

    Parameters
    ----------
    keys : iterable of str
        Of `NUMBERS`.
    numbers : mapping of float
        A missing one becomes a dash.
    decimals : int, optional
        Replaces that of `NUMBERS`, for residuals in a unit other than dex.

    Examples
    --------
    >>> cells(["n", "mae", "bias", "std"], {"n": 1200, "mae": 0.07, "mae_se": 0.0021, "bias": -0.012})
    ['1,200', '0.0700 ± 0.0021', '−0.012', '–']
    """
    shown = []
    for key in keys:
        form = NUMBERS[key].form
        if decimals is not None and key in NAMES:
            form = f"{'+' * form.startswith('+')}.{decimals}f"
        shown.append(text_of(numbers.get(key, math.nan), form, numbers.get(f"{key}_se", math.nan)))
    return shown


def number_table(
    labels: Sequence[str],
    keys: Sequence[str],
    rows: Iterable[tuple[Sequence[str], Mapping[str, float]]],
    note: str = "",
    name: str = "",
) -> Table:
    """Return a table of labelled rows of numbers.

    Parameters
    ----------
    labels : sequence of str
        Headings of the text columns, which come first.
    keys : sequence of str
        Of `NUMBERS`.
    rows : iterable of (sequence of str, mapping of float)
        The text and the numbers of each row.
    note, name : str
        As in `Table`.

    Examples
    --------
    >>> rows = [(["best", "all"], {"n": 9}), (["best", "unflagged"], {"n": 8})]
    >>> number_table(["model", "stars"], ["n"], rows).rows
    [['best', 'all', '9'], ['', 'unflagged', '8']]
    """
    shown = [(words, cells(keys, numbers)) for words, numbers in rows]
    return Table([*labels, *titles(keys)], group_rows(shown), note, len(labels), name)


def group_rows(rows: Iterable[tuple[Sequence[str], Sequence[str]]]) -> list[list[str]]:
    """Return rows of text and numbers, blanking the leading words that a row shares with the one above it."""
    above: Sequence[str] = ()
    found = []
    for words, shown in rows:
        same = 0
        while same < min(len(words) - 1, len(above)) and words[same] == above[same]:
            same += 1
        found.append([*[""] * same, *words[same:], *shown])
        above = words
    return found
