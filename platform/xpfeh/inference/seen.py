"""Properties of stars, as a model sees them.

The card records them for the stars that the model was judged on; the stars of a dataset are compared with these.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xpfeh.errors import UserError
from xpfeh.flags import MEANING, OUTSIDE_PAPER_SAMPLE
from xpfeh.inference.domain import to_ranges

PERCENTILES = (1, 5, 16, 25, 50, 75, 84, 95, 99)  # of distributions with long tails: both ends, and the quartiles
QUANTITIES = ("domain_score", "phot_g_mean_mag", "bp_rp0", "ebv")


class Seen(BaseModel):
    """Distributions over the stars that `is_compared` selects.

    Attributes
    ----------
    stars : int
    percentiles : dict of 9 floats
        `PERCENTILES` of each of `QUANTITIES`.
    flags : dict of float
        The share of the stars that have each flag, by its name.
    flux, spread : P floats
        Median of the networks' input spectra, 1 around 550 nm, in P = 60 ranges, and half their central 68 %. If the
        recipe takes E(B-V) as a hint, both include dust.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stars: int
    percentiles: dict[str, tuple[float, ...]]
    flags: dict[str, float]
    flux: tuple[float, ...]
    spread: tuple[float, ...]


def is_compared(stars: Mapping[str, NDArray]) -> NDArray[np.bool_]:
    """Return which of N stars have a score and fail none of cuts 1 to 3; an unknown cut does not count as failed."""
    return ((stars["flags"] & np.uint32(OUTSIDE_PAPER_SAMPLE)) == 0) & np.isfinite(stars["domain_score"])


def describe(stars: Mapping[str, NDArray]) -> Seen:
    """Return the properties of N stars.

    Parameters
    ----------
    stars : mapping of (N, ...) arrays
        ``flux`` (N, pixels), ``flags`` and `QUANTITIES`.

    Raises
    ------
    UserError
        If none of them passes the cuts and has a score.
    """
    chosen = is_compared(stars)
    if not chosen.any():
        raise UserError(f"none of {len(chosen)} stars passes cuts 1 to 3 and has a spectrum")
    low, middle, high = np.percentile(to_ranges(stars["flux"][chosen]), (16, 50, 84), axis=0)
    values = {name: stars[name][chosen] for name in QUANTITIES}
    return Seen(
        stars=int(chosen.sum()),
        percentiles={
            name: tuple(np.percentile(each[np.isfinite(each)], PERCENTILES).tolist())
            for name, each in values.items()
            if np.isfinite(each).any()
        },
        flags={flag.name: float(np.mean((stars["flags"][chosen] & np.uint32(flag)) != 0)) for flag in MEANING},
        flux=tuple(middle.tolist()),
        spread=tuple(((high - low) / 2).tolist()),
    )
