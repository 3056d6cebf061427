"""From features to catalog rows: the same function makes a row of the catalog and an online answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xpfeh.flags import Flag
from xpfeh.inference.predictor import Predictor

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


def estimate(features: Mapping[str, NDArray], predictor: Predictor) -> dict[str, NDArray]:
    """Return the columns of `xpfeh.columns.CATALOG` for N stars, in their order.

    A star without a usable spectrum or E(B-V) keeps its row, with NaN for what is predicted and a flag.
    """
    predicted = predictor.predict(features)
    return {
        **{name: features[feature] for name, feature in _FROM_FEATURES.items()},
        **predicted,
        "flags": features["flags"] | prediction_flags(predicted, predictor.card.domain_threshold),
        "model_version": np.full(len(features["source_id"]), predictor.version, dtype=object),
    }


def prediction_flags(predicted: Mapping[str, NDArray], domain_threshold: float) -> NDArray[np.uint32]:
    """Return the (N,) flags that a prediction decides: OUTSIDE_DOMAIN, and FEH_EDGE where a limit is open."""
    strange = predicted["domain_score"] > domain_threshold
    # A star that cannot be predicted has no score either: its flags are the spectrum's.
    open_end = np.isnan(predicted["FEH_lo95"]) | np.isnan(predicted["FEH_hi95"])
    at_edge = open_end & np.isfinite(predicted["domain_score"])
    return (strange * np.uint32(Flag.OUTSIDE_DOMAIN) | at_edge * np.uint32(Flag.FEH_EDGE)).astype(np.uint32)
