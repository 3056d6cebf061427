"""The report on models: ``index.html``, ``metrics.json``, figures, tables, and the stars behind them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from markupsafe import Markup, escape
from rich.progress import track

from xpfeh.evaluate.explorer import explorer
from xpfeh.evaluate.figures import save
from xpfeh.evaluate.metrics import summary
from xpfeh.evaluate.section import Section, Table, latex, markdown, page
from xpfeh.evaluate.sections.abundances import abundances
from xpfeh.evaluate.sections.accuracy import accuracy, slice_by_slice
from xpfeh.evaluate.sections.clusters import clusters
from xpfeh.evaluate.sections.compared_with_paper import compared_with_paper
from xpfeh.evaluate.sections.errors import errors
from xpfeh.evaluate.sections.faint_copies import faint_copies
from xpfeh.evaluate.sections.final_sample import final_sample
from xpfeh.evaluate.sections.outliers import outliers
from xpfeh.evaluate.sections.references import absent_references, reference_section
from xpfeh.evaluate.sections.releases import releases
from xpfeh.evaluate.sections.selecting import selecting
from xpfeh.evaluate.sections.sky import sky
from xpfeh.evaluate.sections.through_the_plane import through_the_plane
from xpfeh.evaluate.sections.training_stars import training_stars
from xpfeh.evaluate.sections.trends import trends
from xpfeh.evaluate.sections.wavelengths import wavelengths
from xpfeh.evaluate.sections.whole_star import whole_star
from xpfeh.evaluate.study import Judged, Study
from xpfeh.files import whole_folder

Metrics = dict[str, dict[str, dict[str, float]]]
"""Numbers by model, by slice of the stars or fainter copy, and by name: see `xpfeh.evaluate.metrics`."""

METRICS = "metrics.json"
STARS = "stars.parquet"
_STAR_COLUMNS = (
    "source_id", "ra", "dec", "l", "b", "phot_g_mean_mag", "bp_rp0", "ebv", "snr",
    "feh", "feh_err", "teff", "logg", "alpha_m", "reference", "judges",
    "FEH", "FEH_err", "FEH_lo68", "FEH_hi68", "FEH_lo95", "FEH_hi95", "domain_score", "good", "flags",
    "TEFF", "TEFF_err", "LOGG", "LOGG_err", "ALPHA_M", "ALPHA_M_err",
)  # fmt: skip
_TRUE = {name: f"{name}_true" for name in ("feh", "feh_err", "teff", "logg", "alpha_m")}
"""Names of labels next to predictions: to FITS, VOTable and TOPCAT ``feh`` and ``FEH`` are the same column."""
_BEFORE = (
    accuracy, compared_with_paper, training_stars, trends, sky, errors, outliers, selecting, through_the_plane,
    whole_star, abundances, clusters,
)  # fmt: skip
_AFTER = (final_sample, releases, faint_copies, wavelengths, slice_by_slice)


def write_report(out: str | Path, study: Study) -> Metrics:
    """Write the report of a study, whole or not at all, and return its models' numbers.

    Parameters
    ----------
    out : str or Path
        Folder to write; an earlier report there is replaced.
    study : Study

    Raises
    ------
    UserError
        If `out` holds something else.
    """
    plt.switch_backend("agg")  # files only: workers have no display
    with whole_folder(out, mark=METRICS) as work:
        sections = []
        for make in track(_makers(study), "report", transient=True):
            section = make(study)
            for picture in section.pictures:
                save(picture.figure, work / f"{picture.name}.png")
            sections.append(section)
        _write_stars(study, work)
        _write_tables([table for section in sections for table in section.tables if table.name], work)
        (work / METRICS).write_text(json.dumps(_plain(study, sections), indent=1, allow_nan=False) + "\n")
        (work / "index.html").write_text(_page(study, sections))
    return {name: _numbers(model) for name, model in study.models.items()}


def _makers(study: Study) -> list[Callable[[Study], Section]]:
    catalogs = [lambda _, each=each: reference_section(each) for each in study.references]
    absent = absent_references(study)
    return [*_BEFORE, *catalogs, *([lambda _: absent] if absent else []), *_AFTER]


def _numbers(model: Judged) -> dict[str, dict[str, float]]:
    return {**model.slices, **{label: summary(stars) for label, stars in model.fainter.items()}}


def _write_stars(study: Study, work: Path) -> None:
    """Write every unseen star: ``stars.parquet`` for the first model, ``stars-NAME.parquet`` for the others."""
    for number, (name, model) in enumerate(study.models.items()):
        table = pl.DataFrame({column: model.unseen[column] for column in _STAR_COLUMNS if column in model.unseen})
        table = table.with_columns(pl.col("judges").cast(pl.UInt8)).rename(_TRUE, strict=False)
        table.write_parquet(work / (f"stars-{name}.parquet" if number else STARS))


def _write_tables(tables: Sequence[Table], work: Path) -> None:
    for table in tables:
        (work / f"{table.name}.md").write_text(markdown(table) + "\n")
        (work / f"{table.name}.tex").write_text(latex(table) + "\n")


def _page(study: Study, sections: Sequence[Section]) -> str:
    first = study.first
    content = {"study": study, "cards": first.cards, "sections": sections, "explorer": explorer(first.stars)}
    return page("report.html", {"with_code": _with_code}, **content)


def _with_code(text: str) -> Markup:
    """Return text as HTML, with backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _plain(study: Study, sections: Sequence[Section]) -> object:
    """Return the contents of ``metrics.json``; a number that cannot be computed is null."""
    first = study.first.cards[-1] if study.first.cards else None
    made = {} if first is None else {
        "models": {name: [card.version for card in model.cards] for name, model in study.models.items()},
        "features": first.features,
        "labels_sha256": first.labels_sha256,
        "salt": first.split.salt,
        "test_folds": [card.split.test_fold for card in study.first.cards],
        "made_by": first.made_by,
    }  # fmt: skip
    return _without_nan({
        "looks": study.looks,
        "made_from": made,
        "models": {name: {"slices": model.slices} for name, model in study.models.items()},
        "sections": {section.key: dict(section.numbers) for section in sections},
    })  # fmt: skip


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
