"""From features to catalog rows: the same function for a catalog and for the endpoint."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xpfeh.flags import NO_PREDICTION, Flag, bits, is_good
from xpfeh.inference.predictor import Predictor
from xpfeh.labels.cuts import MAX_LOGG

_FROM_FEATURES = {
    "source_id": "source_id",
    "gl": "l",
    "gb": "b",
    "ra": "ra",
    "dec": "dec",
    "phot_bp_rp_excess_factor": "phot_bp_rp_excess_factor",
    "BP_RP0": "bp_rp0",
    "PHOT_G_MEAN_MAG": "phot_g_mean_mag",
    "M_G": "m_g",
    "EBV": "ebv",
    "rgeo": "rgeo",
}
"""The catalog's columns that are copied from features, by the paper's names (Table 2)."""

_UNDECIDED = 0.75  # dex, LOGG_err beyond which LOGG does not decide: giants and dwarfs of one colour differ by 1 to 3
_CLEARLY = 1.0  # dex from the border: there LOGG decides even without an error


def estimate(features: Mapping[str, NDArray], predictor: Predictor) -> dict[str, NDArray]:
    """Return the columns of `xpfeh.columns.CATALOG` for N stars, in their order.

    A star without a usable spectrum or E(B-V) keeps its row, with NaN in the predicted columns and a flag.
    """
    return {
        **{name: features[feature] for name, feature in _FROM_FEATURES.items()},
        **predict_and_flag(features, predictor),
        "model_version": np.full(len(features["source_id"]), predictor.version, dtype=object),
    }


def predict_and_flag(features: Mapping[str, NDArray], predictor: Predictor) -> dict[str, NDArray]:
    """Return the predictor's columns for N stars, and ``flags`` and ``good``."""
    predicted = predictor.predict(features)
    flags = all_flags(features, predicted, predictor.card.domain_threshold)
    return {**predicted, "flags": flags, "good": is_good(flags, predictor.card.recipe.stars == "all")}


def all_flags(
    features: Mapping[str, NDArray], predicted: Mapping[str, NDArray], domain_threshold: float
) -> NDArray[np.uint32]:
    """Return the (N,) flags of the features combined with those that follow from the prediction.

    These are OUTSIDE_DOMAIN; FEH_EDGE if a limit is open; for a star without a distance GIANT_BY_SPECTRUM, and
    NOT_GIANT by LOGG, or CUT_NOT_EVALUATED if LOGG does not decide; and BAD_SPECTRUM if there is no prediction and no
    other flag explains why: the recipe could not deredden the spectrum.

    Parameters
    ----------
    features : mapping of (N,) arrays
        ``flags``, and ``m_g``, mag, NaN where no distance is known.
    predicted : mapping of (N,) arrays
        The predictor's columns.
    domain_threshold : float
    """
    open_end = np.isnan(predicted["FEH_lo95"]) | np.isnan(predicted["FEH_hi95"])
    answered = np.isfinite(predicted["domain_score"])
    explained = (features["flags"] & np.uint32(NO_PREDICTION)) > 0
    no_distance = np.isnan(features["m_g"]) & answered
    logg, error = predicted["LOGG"], predicted["LOGG_err"]
    # LOGG has no error if its interval reaches the end of the labels, far from the border between giants and dwarfs.
    decides = (error < _UNDECIDED) | (np.isnan(error) & (np.abs(logg - MAX_LOGG) > _CLEARLY))
    return features["flags"] | bits({
        Flag.BAD_SPECTRUM: ~answered & ~explained,
        Flag.OUTSIDE_DOMAIN: predicted["domain_score"] > domain_threshold,
        Flag.FEH_EDGE: open_end & answered,
        Flag.GIANT_BY_SPECTRUM: no_distance & decides,
        Flag.NOT_GIANT: no_distance & decides & (logg >= MAX_LOGG),
        Flag.CUT_NOT_EVALUATED: no_distance & ~decides,
    })  # fmt: skip
