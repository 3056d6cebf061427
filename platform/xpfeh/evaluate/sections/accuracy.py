"""How good the predictions are, in short: the paper's Fig. 3a and b; and slice by slice."""

from __future__ import annotations

import numpy as np

from xpfeh.evaluate import feh_figures
from xpfeh.evaluate.metrics import with_errors
from xpfeh.evaluate.numbers import number_table
from xpfeh.evaluate.residuals import residual_numbers
from xpfeh.evaluate.section import Picture, Section, Table
from xpfeh.evaluate.slices import BOTH_SAMPLES
from xpfeh.evaluate.study import Study, rows_of

# At 1,200 pixels there is room for no more; metrics.json has the Gaussian mean and the networks' own sigma.
_IN_SHORT = (
    "n", "mae", "gauss_sigma", "robust_sigma", "std", "bias", "coverage_68", "coverage_95", "catastrophic",
)  # fmt: skip
_IN_COMMON = ("n", "mae", "robust_sigma", "std", "bias", "coverage_68", "coverage_95")
_OF_A_SLICE = (
    "n", "n_without_feh", "n_open", "mae", "median", "robust_sigma", "std", "coverage_68", "coverage_95",
    "z_robust_std", "nll", "nll_t", "catastrophic",
)  # fmt: skip


def accuracy(study: Study) -> Section:
    """Return the section that a reader in a hurry reads."""
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
                "The metal-poor end with both intervals. An interval that misses the line is an uncertainty that is "
                "too small.",
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
        "(1.8°): stars of one cell are not independent. Gauss: σ of the residuals within 3 σ, iterated, corrected for "
        "the clipping. Robust σ is 1.4826 × the median absolute deviation. In 68 %, in 95 %: share of the stars "
        "inside their intervals. Unflagged: none of `ODD_SN`, `OUTSIDE_DOMAIN`, `FEH_EDGE` by each model's own flags "
        "(trees know `ODD_SN` alone)."
    )
    return Section(
        "accuracy",
        "In short",
        tables=[number_table(["model", "stars"], _IN_SHORT, rows, note, "accuracy"), *_in_common(study)],
        pictures=pictures,
        numbers=numbers,
    )


def slice_by_slice(study: Study) -> Section:
    """Return the section with the numbers of every slice of every model."""
    note = (
        "n: stars with a predicted [Fe/H], whose residuals are counted. Open: their 95 % interval has no lower (or no "
        "upper) end. In 68 %, in 95 %: share of the stars with an interval whose true value is inside; an open end "
        "leaves nothing out. z is residual / predicted error; NLL the mean negative log-likelihood of a Gaussian with "
        "the predicted error, or of Student's t with 4 degrees of freedom and the same 68 % interval, of stars with a "
        "closed interval. Literature: labels that are not APOGEE's."
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
    """Return the models on the stars that none of them has seen, unless these are the same anyway."""
    ids = [model.stars["source_id"] for model in study.models.values()]
    common = set.intersection(*(set(each.tolist()) for each in ids))
    if not common or all(len(common) == len(each) for each in ids):
        return []
    chosen = np.array(sorted(common))
    rows = [
        ([name], with_errors(rows_of(model.stars, np.isin(model.stars["source_id"], chosen))))
        for name, model in study.models.items()
    ]
    note = "The models on the same stars: those that none of them has seen."
    return [number_table(["model"], _IN_COMMON, rows, note)]
