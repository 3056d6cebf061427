"""Compare the recipes of an experiment, as rows and as one page."""

from __future__ import annotations

from pathlib import Path

from xpfeh.evaluate.comparison.finalists import shown_finalists
from xpfeh.evaluate.comparison.page import write_page
from xpfeh.evaluate.comparison.runs import Row
from xpfeh.experiments.recipes_table import recipe_rows, stars_of
from xpfeh.files import check_output_file


def compare(experiment: str, html: str | Path | None = None) -> list[Row]:
    """Return the recipes of an MLflow experiment, best first, and write them to the page `html` if given.

    Raises
    ------
    UserError
        If there is no such experiment, no run in it has a model, or the page cannot be written.
    """
    if html is not None:
        check_output_file(html)
    rows = recipe_rows(experiment)
    if html is not None:
        write_page(Path(html), rows, stars_of(shown_finalists(rows)), experiment)
    return rows
