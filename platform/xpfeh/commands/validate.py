"""Judge models on stars they have not seen, with the predictor that makes catalogs, and write a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from xpfeh.columns import rows_of
from xpfeh.commands.report_stars import NOTHING, Comparisons, Given
from xpfeh.dataset.dataset import Dataset
from xpfeh.errors import UserError
from xpfeh.evaluate.baseline import BASELINE, boosted_trees
from xpfeh.evaluate.paired import in_both, judging_stars
from xpfeh.evaluate.report import METRICS, Metrics, write_report
from xpfeh.evaluate.sections import final_sample
from xpfeh.evaluate.study import Compared, Judged, Spectra, Study
from xpfeh.experiments.models import bundle_folders
from xpfeh.files import check_output_folder
from xpfeh.inference.cross_validated import NONE, CrossValidated
from xpfeh.inference.inputs import INPUTS, network_inputs
from xpfeh.labels.clusters import Members
from xpfeh.labels.cuts import MAX_LOGG
from xpfeh.labels.neighbourhood import Neighbourhood
from xpfeh.labels.reference_catalogs import REFERENCES
from xpfeh.labels.references import ReferenceStars
from xpfeh.training.noise import as_if_at
from xpfeh.typing import Columns
from xpfeh.xp import photometry

_FAINT = (16.0, 17.0, 17.5)
"""G magnitudes of the faint copies of held-out stars: most of the catalog is fainter than the labels."""
_MAX_EBV = 0.5  # mag: of stars that are compared with other catalogs, as the paper (section 4.2.2)


@dataclass(frozen=True)
class Report:
    """A report: the part of the sky its models were judged on, their numbers, and the page."""

    held_out: str
    metrics: Metrics
    page: Path


def validate_models(
    models: Sequence[str], features: str, labels: str | Path, out: Path, comparisons: Comparisons = NOTHING
) -> list[Report]:
    """Write a report on each model, judged on its held-out stars.

    Parameters
    ----------
    models : sequence of str
        As for `xpfeh.experiments.models.bundle_folders`.
    features : str
    labels : str or Path
    out : Path
        Folder of the report; for several models, with a subfolder for each.
    comparisons : Comparisons

    Raises
    ------
    UserError
        As `validate`.
    """
    reports = []
    for model in models:
        judge = CrossValidated(bundle_folders(model))
        card = judge.cards[0]
        folder = out / f"{card.version}-{judge.salt}" if len(models) > 1 else out
        metrics = validate({card.recipe.name: judge}, features, labels, folder, comparisons)
        reports.append(Report(judge.held_out, metrics, folder / "index.html"))
    return reports


def validate(
    models: Mapping[str, CrossValidated],
    features: str | Path,
    labels: str | Path,
    out: str | Path,
    comparisons: Comparisons = NOTHING,
    truth: str = "the labels'",
) -> Metrics:
    """Write a report on the predictions of models for stars that they have not seen, and return their numbers.

    Parameters
    ----------
    models : mapping of CrossValidated
        By their names in the report; figures show the first.
    features : str or Path
    labels : str or Path
    out : str or Path
        Folder of the report.
    comparisons : Comparisons
    truth : str
        Name of the labels in figures.

    Raises
    ------
    UserError
        If the features, the labels or a comparison cannot be read, a model does not fit the features, models were
        trained on different splits of the sky, or no labelled star is held out.
    """
    check_output_folder(out, mark=METRICS)
    comparisons.check()
    given = Given.read(models, features, labels, comparisons)
    judged = {name: _judge(judge, given) for name, judge in models.items()}
    first_judge, first = next(iter(models.values())), next(iter(judged.values()))
    if comparisons.baseline:
        judged[BASELINE] = _baseline(first_judge, given)
    study = Study(
        judged,
        _spectra(first_judge, given, first),
        truth,
        _count_look(first_judge.salt),
        [_compare(each, first.unseen) for each in given.references],
        {one.title: one.download for name, one in REFERENCES.items() if name not in comparisons.references},
        None if given.clusters is None else [_find_members(each, given, first.unseen) for each in given.clusters],
        None if comparisons.catalog is None else _read_catalog(comparisons.catalog, first),
        None if comparisons.earlier is None else _earlier(comparisons.earlier, comparisons.neighbourhood, first, out),
    )
    return write_report(out, study)


def _judge(judge: CrossValidated, given: Given) -> Judged:
    """Return the predictions for a model's unseen stars, their fainter copies, and its training stars."""
    stars = given.stars
    unseen = judge.unseen_by(stars["source_id"])
    judging = np.where(stars["judges"], unseen, NONE)
    if (judging == NONE).all():
        raise UserError("no labelled star falls in the held-out sky cells; give more labels")
    taught = np.where(stars["judges"], judge.taught_by(stars["source_id"]), NONE)
    in_sample = judge.answers(stars, taught) if (taught != NONE).any() else {}
    fainter = {}
    judges = rows_of(stars, judging != NONE)
    for g_mag in _FAINT:
        flux, flux_error = as_if_at(g_mag, judges, np.random.default_rng(0))
        copies = {
            "flux": flux,
            "flux_error": flux_error,
            **{name: judges[name] for name in ("ebv", "m_g", "flags", "feh")},
        }
        fainter[f"as if G={g_mag:g}"] = judge.answers(copies, judging[judging != NONE])
    return Judged(judge.cards, judge.answers(stars, unseen), in_sample, fainter)


def _baseline(judge: CrossValidated, given: Given) -> Judged:
    """Train boosted trees on each fold of the first model, and predict all labelled stars held out."""
    parts = []
    for card in judge.cards:
        sample = given.sample(card.split.salt, card.split.test_fold)
        held_out = sample.part("test", "test-other").columns
        rows = np.searchsorted(given.stars["source_id"], held_out["source_id"])
        columns = {name: values[rows] for name, values in given.stars.items() if name not in ("flux", "flux_error")}
        parts.append({**columns, **boosted_trees(sample, held_out)})
    return Judged([], {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _spectra(judge: CrossValidated, given: Given, first: Judged) -> Spectra:
    rows = np.searchsorted(given.stars["source_id"], first.stars["source_id"])
    stars = {name: given.stars[name][rows] for name in INPUTS}
    slopes = judge.sensitivity(stars, judge.unseen_by(first.stars["source_id"]))
    inputs = network_inputs(stars, judge.cards[0].recipe, judge.cards[0].preprocess)["flux"]
    return Spectra(stars["flux"], inputs, slopes)


def _compare(reference: tuple[ReferenceStars, pl.DataFrame], unseen: Columns) -> Compared:
    """Return the giants of a catalog that the model has not seen."""
    found, matched = reference
    matched = matched.filter(pl.col("source_id").is_in(pl.Series(unseen["source_id"]).implode())).sort("source_id")
    stars = rows_of(unseen, np.searchsorted(unseen["source_id"], matched["source_id"].to_numpy()))
    logg = matched["logg"].to_numpy() if "logg" in matched.columns else np.full(matched.height, np.nan)
    giant = np.where(
        np.isfinite(stars["m_g"]),
        photometry.passes_giant(stars["m_g"], stars["bp_rp0"]),
        np.where(np.isfinite(stars["logg"]), stars["logg"], logg) < MAX_LOGG,
    )
    giant &= photometry.passes_colour(stars["bp_rp0"]) & (stars["ebv"] < _MAX_EBV)
    giant &= photometry.passes_excess_factor(stars["phot_bp_rp_excess_factor"], stars["bp_rp0"])
    columns = {**stars, "feh_label": stars["feh"], "feh": matched["feh"].to_numpy()}
    if "c_fe" in matched.columns:
        columns["c_fe"] = matched["c_fe"].to_numpy()
    one = found.reference
    counts = found.counts | {"among these stars": matched.height, "giants, E(B−V) < 0.5": int(giant.sum())}
    return Compared(one.name, one.title, one.kind == "spectra", rows_of(columns, giant), counts)


def _find_members(found: Members, given: Given, unseen: Columns) -> Members:
    """Return the members that the model has not seen, as rows of the unseen stars."""
    ids = given.places["source_id"][found.rows]
    rows = np.searchsorted(unseen["source_id"], ids)
    there = unseen["source_id"][np.minimum(rows, len(unseen["source_id"]) - 1)] == ids
    share = there.mean() if len(there) else 0.0
    return replace(found, rows=rows[there], m_g=found.m_g[there], field=found.field * float(share))


def _read_catalog(catalog: str, first: Judged) -> pl.DataFrame:
    dataset, judged = Dataset.finished(catalog, "catalog"), [card.version for card in first.cards]
    if dataset.plan.model not in judged:  # the contamination is expected from this report's judging stars
        raise UserError(f"{catalog}: was made by {dataset.plan.model}; this report judges {', '.join(judged)}")
    return pl.DataFrame(dataset.read(final_sample.OF_CATALOG))


def _earlier(report: Path, neighbourhood: Path | None, first: Judged, out: str | Path) -> pl.DataFrame:
    """Return the judging stars that an earlier report has too."""
    names = ("source_id", "feh", "FEH")
    now = pl.DataFrame({name: first.stars[name] for name in names}, nan_to_null=True).drop_nulls()
    pairs = Neighbourhood(neighbourhood) if neighbourhood else None
    return in_both(judging_stars(report), now, f"{report} and {out}", pairs)


def _count_look(salt: str) -> int | None:
    try:
        from xpfeh.experiments.registry import count_look
    except ModuleNotFoundError as error:
        if error.name not in ("mlflow", "sqlalchemy"):
            raise
        return None  # looks are counted in MLflow's store
    return count_look(salt)
