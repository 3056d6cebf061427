"""How good the predictions are: a summary with the paper's Fig. 3a and b, and the numbers slice by slice."""

from __future__ import annotations

import numpy as np

from xpfeh.columns import rows_of
from xpfeh.evaluate import feh_figures
from xpfeh.evaluate.metrics import with_errors
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.residuals import residual_numbers
from xpfeh.evaluate.section import Picture, Section, Table
from xpfeh.evaluate.slices import BOTH_SAMPLES
from xpfeh.evaluate.study import Study

# No more fits in 1,200 pixels; metrics.json also has the Gaussian mean and the networks' own sigma.
_IN_SHORT = (
    "n", "mae", "gauss_sigma", "robust_sigma", "std", "bias", "coverage_68", "coverage_95", "catastrophic",
)  # fmt: skip
_IN_COMMON = ("n", "mae", "robust_sigma", "std", "bias", "coverage_68", "coverage_95")
_OF_A_SLICE = (
    "n", "n_without_feh", "n_open", "mae", "median", "robust_sigma", "std", "coverage_68", "coverage_95",
    "z_robust_std", "nll", "nll_t", "catastrophic",
)  # fmt: skip


def accuracy(study: Study) -> Section:
    """Return the summary section, for a reader in a hurry."""
    stars = study.first.stars
    pictures = [
        Picture(
            "predicted",
            feh_figures.predicted_against_true(stars, study.truth),
            "Fig. 3a and b. Each star is predicted by a model that has not seen its part of the sky. Orange: flagged. "
            "A star far from the line without a flag is the dangerous case in a catalog.",
        )
    ]
    if feh_figures.has_metal_poor(stars):
        pictures.append(
            Picture(
                "metal_poor",
                feh_figures.metal_poor(stars),
                "The metal-poor end with both intervals. If more intervals miss the line than their level allows, "
                "uncertainties are too small.",
            )
        )
    numbers = {
        name: {
            sample: residual_numbers(rows_of(model.stars, model.chosen[sample]))
            for sample in BOTH_SAMPLES
            if model.slices[sample]["n"]
        }
        for name, model in study.models.items()
    }
    rows = [
        ([name, sample], fit | study.models[name].slices[sample])
        for name, samples in numbers.items()
        for sample, fit in samples.items()
    ]
    note = (
        "Residuals are predicted minus true, in dex. ± is the standard error by resampling whole cells of the sky "
        "(1.8°): stars in one cell are not independent. Gauss: σ of the residuals within 3 σ, iterated, corrected for "
        "the clipping. Robust σ is 1.4826 × the median absolute deviation. In 68 %, in 95 %: share of the stars "
        "inside their intervals. Unflagged: without `ODD_SN`, `OUTSIDE_DOMAIN` and `FEH_EDGE`, by each model's own "
        "flags (boosted trees can only have `ODD_SN`)."
    )
    return Section(
        "accuracy",
        "In short",
        tables=[number_table(["model", "stars"], _IN_SHORT, rows, note, "accuracy"), *_in_common(study)],
        pictures=pictures,
        numbers=numbers,
    )


def slice_by_slice(study: Study) -> Section:
    """Return the section with every model's numbers for every slice."""
    note = (
        "n: stars with a predicted [Fe/H] and hence a residual. Open: stars whose 95 % interval has no lower or no "
        "upper limit. In 68 %, in 95 %: share of the stars with an interval whose true value is inside it; an open "
        "end excludes nothing. z: residual / predicted error. NLL: mean negative log-likelihood, for stars with a "
        "closed interval, of a Gaussian with the predicted error, or of Student's t with 4 degrees of freedom and the "
        "same 68 % interval. Literature: labels from sources other than APOGEE."
    )
    tables = [
        number_table(
            [name],
            _OF_A_SLICE,
            [([label], m) for label, m in model.slices.items() if m["n"] or m["n_without_feh"]],
        )
        for name, model in study.models.items()
    ]
    return Section("slices", "Slice by slice", note, tables)


def _in_common(study: Study) -> list[Table]:
    """Return a table of the models on the stars that none of them has seen, unless all have the same stars anyway."""
    ids = [model.stars["source_id"] for model in study.models.values()]
    common = set.intersection(*(set(each.tolist()) for each in ids))
    if not common or all(len(common) == len(each) for each in ids):
        return []
    chosen = np.array(sorted(common))
    rows = [
        ([name], with_errors(rows_of(model.stars, np.isin(model.stars["source_id"], chosen))))
        for name, model in study.models.items()
    ]
    note = "All models on the same stars: those that none of them has seen."
    return [number_table(["model"], _IN_COMMON, rows, note)]
