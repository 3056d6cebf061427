"""From features to catalog rows: the same function makes a row of the catalog and an online answer."""

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
"""The catalog's columns that features have, by the paper's names (Table 2)."""

_CANNOT_SAY = 0.75  # dex, of LOGG_err: giants and dwarfs of one colour are 1 to 3 dex apart
_CLEARLY = 1.0  # dex from the border: there LOGG says what a star is, though its error is open


def estimate(features: Mapping[str, NDArray], predictor: Predictor) -> dict[str, NDArray]:
    """Return the columns of `xpfeh.columns.CATALOG` for N stars, in their order.

    A star without a usable spectrum or E(B-V) keeps its row, with NaN for what is predicted and a flag.
    """
    predicted = predictor.predict(features)
    flags = all_flags(features, predicted, predictor.card.domain_threshold)
    return {
        **{name: features[feature] for name, feature in _FROM_FEATURES.items()},
        **predicted,
        "good": is_good(flags, predictor.card.recipe.stars == "all"),
        "flags": flags,
        "model_version": np.full(len(features["source_id"]), predictor.version, dtype=object),
    }


def all_flags(
    features: Mapping[str, NDArray], predicted: Mapping[str, NDArray], domain_threshold: float
) -> NDArray[np.uint32]:
    """Return the (N,) flags of features, and those that a prediction decides.

    OUTSIDE_DOMAIN, and FEH_EDGE where a limit is open; of a star without a distance, GIANT_BY_SPECTRUM and NOT_GIANT if
    LOGG says so, CUT_NOT_EVALUATED if it cannot say; and BAD_SPECTRUM where there is no answer and no flag says why: a
    spectrum that a recipe could not deredden.

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
    # An error is open where its interval reaches the end of the labels, which is far from where giants end.
    says = (error < _CANNOT_SAY) | (np.isnan(error) & (np.abs(logg - MAX_LOGG) > _CLEARLY))
    return features["flags"] | bits({
        Flag.BAD_SPECTRUM: ~answered & ~explained,
        Flag.OUTSIDE_DOMAIN: predicted["domain_score"] > domain_threshold,
        Flag.FEH_EDGE: open_end & answered,
        Flag.GIANT_BY_SPECTRUM: no_distance & says,
        Flag.NOT_GIANT: no_distance & says & (logg >= MAX_LOGG),
        Flag.CUT_NOT_EVALUATED: no_distance & ~says,
    })  # fmt: skip
