"""One star in one picture, as a file."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from xpfeh.commands.in_memory import plotted
from xpfeh.errors import UserError
from xpfeh.files import check_output_file, whole_file
from xpfeh.inference.predictor import Predictor

FORMATS = (".png", ".pdf", ".svg")


def plot_star(source: str, source_id: int | None, bundle: str | Path, out: str | Path) -> None:
    """Write the picture of a star of `source`; see `xpfeh.plot`.

    Raises
    ------
    UserError
        If there is no such star, or several and none is named, or `out` cannot be written.
    """
    suffix = check_output_file(out).suffix
    if suffix not in FORMATS:
        raise UserError(f"{out}: not a kind of picture that can be written; choose {', '.join(FORMATS)}")
    plt.switch_backend("agg")
    figure = plotted(source, source_id, Predictor(bundle))
    with whole_file(out) as temporary:
        figure.savefig(temporary, format=suffix[1:])
    plt.close(figure)
