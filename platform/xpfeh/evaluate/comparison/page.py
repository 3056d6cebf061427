"""The page of `xpfeh compare --html`: a table of runs grouped by recipe, and the finalists, in one file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from xpfeh.evaluate.comparison.finalists import data_url, finalists_figure, rank_finalists
from xpfeh.evaluate.comparison.runs import ERROR, OF_A_RUN, SHORT_ID, Row, varied
from xpfeh.evaluate.numbers import NUMBERS, titles
from xpfeh.evaluate.section import page, text_of
from xpfeh.files import check_output_file, whole_file
from xpfeh.typing import Columns


def write_page(out: Path, rows: Sequence[Row], stars: Mapping[str, Columns], experiment: str) -> None:
    """Write one self-contained page.

    Parameters
    ----------
    out : Path
    rows : sequence of Row
        Best first.
    stars : mapping
        `xpfeh.evaluate.validation_stars.OF_VALIDATION` by run id, for the finalists that kept them.
    experiment : str

    Raises
    ------
    UserError
        If `out` is a folder, or its parent is a file.
    """
    check_output_file(out)
    plt.switch_backend("agg")
    finalists = rank_finalists(rows, stars)
    filters = {
        "mae": lambda run: text_of(run.numbers["mae"], NUMBERS["mae"].form, run.numbers.get(ERROR, math.nan)),
        "signed": lambda value: text_of(value, "+.4f"),
        "short": lambda run: run.run_id[:SHORT_ID],
    }
    text = page(
        "comparison.html",
        filters,
        rows=rows,
        n_runs=sum(len(row.runs) for row in rows),
        names=varied(rows),
        columns=list(zip(OF_A_RUN, titles(OF_A_RUN), strict=True)),
        finalists=finalists,
        picture=data_url(finalists_figure(finalists)) if finalists else "",
        experiment=experiment,
    )
    with whole_file(out) as temporary:
        temporary.write_text(text)
