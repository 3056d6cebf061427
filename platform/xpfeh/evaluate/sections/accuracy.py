"""How good the answers are, in short: the paper's Fig. 3a and b, and its numbers beside ours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xpfeh.evaluate import feh_figures
from xpfeh.evaluate.metrics import with_errors
from xpfeh.evaluate.residuals import residual_numbers
from xpfeh.evaluate.section import Picture, Section, Table, text_of
from xpfeh.evaluate.slices import ALL, BOTH_SAMPLES
from xpfeh.evaluate.study import Study, rows_of


def accuracy(study: Study) -> Section:
    """Return the section that a reader in a hurry reads."""
    stars = study.first.stars
    pictures = [
        Picture(
            "predicted",
            feh_figures.predicted_against_true(stars, study.truth),
            "Fig. 3a and b. Every star by a model that has not seen its part of the sky. Orange: flagged. A star far "
            "from the line without a flag is what one must fear in a catalog.",
        )
    ]
    if feh_figures.has_metal_poor(stars):
        pictures.append(
            Picture(
                "metal_poor",
                feh_figures.metal_poor(stars),
                "The metal-poor end with both intervals. An interval that misses the line is an error that is too "
                "small.",
            )
        )
    rows: list[Sequence[str]] = []
    numbers: dict[str, dict[str, dict[str, float]]] = {}
    for name, model in study.models.items():
        numbers[name] = {}
        for sample in BOTH_SAMPLES:
            m = model.slices[sample]
            if not m["n"]:
                continue
            fit = numbers[name][sample] = residual_numbers(rows_of(model.stars, model.chosen[sample]))
            rows.append([
                name if sample == ALL else "", sample, str(m["n"]),
                text_of(m["mae"], ".4f", m["mae_se"]), text_of(fit["gauss_sigma"], ".3f", fit["gauss_sigma_se"]),
                text_of(m["robust_sigma"], ".3f", m["robust_sigma_se"]), text_of(m["std"], ".3f", m["std_se"]),
                text_of(fit["gauss_mean"], "+.3f", fit["gauss_mean_se"]), text_of(m["bias"], "+.3f", m["bias_se"]),
                *(text_of(m[key], ".3f", m[f"{key}_se"]) for key in ("coverage_68", "coverage_95")),
                text_of(m.get("inside_own_sigma", float("nan")), ".2f"), str(m["catastrophic"]),
            ])  # fmt: skip
    return Section(
        "accuracy",
        "In short",
        tables=[
            Table(
                ["model", "stars", "n", "MAE", "Gauss σ", "robust σ", "std", "Gauss mean", "bias", "in 68 %", "in 95 %",
                 "in own σ", "beyond 0.5 dex"],
                rows,
                "Residuals are predicted minus true, in dex. ± is the standard error by resampling whole cells of "
                "the sky (1.8°): stars of one cell are not independent. Gauss: mean and σ of the residuals within 3 "
                "σ, again and again, corrected for what the cut takes. Robust σ is 1.4826 × the median absolute "
                "deviation. Unflagged: none of `ODD_SN`, `OUTSIDE_DOMAIN`, `FEH_EDGE`, as each model flags for "
                "itself (trees know `ODD_SN` alone). In own σ: within one sigma as the networks say it, before "
                "calibration; true errors hold 68 %.",
                text_columns=2,
                name="accuracy",
            ),
            *_in_common(study),
        ],
        pictures=pictures,
        numbers=numbers,
    )  # fmt: skip


def slice_by_slice(study: Study) -> Section:
    """Return the section with the numbers of every slice of every model."""
    tables = []
    for name, model in study.models.items():
        rows: list[Sequence[str]] = []
        for label, m in model.slices.items():
            if m["n"] or m["n_without_feh"]:
                row = [label, str(m["n"]), str(m["n_without_feh"] or ""), str(m["n_open"] or "")]
                if m["n"]:
                    row += [
                        text_of(m["median"], "+.3f", m["median_se"]), text_of(m["robust_sigma"], ".3f"),
                        text_of(m["std"], ".3f"), text_of(m["mae"], ".3f", m["mae_se"]),
                        text_of(m["coverage_68"], ".2f"), text_of(m["coverage_95"], ".3f"),
                        text_of(m["z_robust_std"], ".2f"), text_of(m["nll"], ".2f"), text_of(m["nll_t"], ".2f"),
                        str(m["catastrophic"]),
                    ]  # fmt: skip
                rows.append(row)
        tables.append(
            Table(
                [name, "n", "without [Fe/H]", "open", "median", "robust σ", "std", "MAE", "in 68 %", "in 95 %",
                 "robust std of z", "NLL", "NLL, t", "beyond 0.5 dex"],
                rows,
            )
        )  # fmt: skip
    note = (
        "n: stars with a predicted [Fe/H], which the residuals are of. Open: their 95 % interval has no lower (or no "
        "upper) end. In 68 %, in 95 %: of the stars that have an interval, those whose truth is inside; an open end "
        "leaves nothing out. z is residual / predicted error; NLL the mean negative log-likelihood of a Gaussian "
        "with the predicted error, or of Student's t with 4 degrees of freedom and the same 68 % interval, of stars "
        "with a closed interval. Literature: labels that are not APOGEE's."
    )
    return Section("slices", "Slice by slice", note, tables)


def _in_common(study: Study) -> list[Table]:
    """Return the models on the stars that all of them have not seen, where these are not the same anyway."""
    ids = [model.stars["source_id"] for model in study.models.values()]
    common = set.intersection(*(set(each.tolist()) for each in ids))
    if not common or all(len(common) == len(each) for each in ids):
        return []
    chosen = np.array(sorted(common))
    rows = []
    for name, model in study.models.items():
        m = with_errors(rows_of(model.stars, np.isin(model.stars["source_id"], chosen)))
        rows.append([
            name, str(m["n"]), *(text_of(m[key], ".4f", m[f"{key}_se"]) for key in ("mae", "robust_sigma", "std")),
            text_of(m["bias"], "+.4f", m["bias_se"]), text_of(m["coverage_68"], ".3f", m["coverage_68_se"]),
            text_of(m["coverage_95"], ".3f", m["coverage_95_se"]),
        ])  # fmt: skip
    note = "The models on the same stars: those that none of them has seen."
    return [Table(["model", "n", "MAE", "robust σ", "std", "bias", "in 68 %", "in 95 %"], rows, note)]
