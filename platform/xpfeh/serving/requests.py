"""What the endpoint takes and gives, as checked JSON."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.photometry import excess_factor

MAX_STARS = 1000
"""Stars a request: 15 MB of JSON."""

Samples = Annotated[list[float], Field(min_length=WAVELENGTH_NM.size, max_length=WAVELENGTH_NM.size)]


class Star(BaseModel):
    """A star's sampled XP spectrum and Gaia photometry."""

    model_config = ConfigDict(extra="forbid")

    source_id: int = Field(ge=0, lt=2**63, strict=True, description="Gaia source identifier")
    ra: float = Field(ge=0, lt=360, description="right ascension, ICRS (deg)")
    dec: float = Field(ge=-90, le=90, description="declination, ICRS (deg)")
    phot_g_mean_mag: float
    phot_bp_mean_mag: float
    phot_rp_mean_mag: float
    phot_bp_rp_excess_factor: float | None = Field(None, description="computed from the magnitudes if not given")
    rgeo: float | None = Field(None, gt=0, description="geometric distance (pc), if known")
    flux: Samples = Field(description="343 samples, 336 to 1020 nm in steps of 2 nm, W m-2 nm-1")
    flux_error: Samples = Field(description="their errors, W m-2 nm-1")


class PredictRequest(BaseModel):
    """A request for some stars."""

    model_config = ConfigDict(extra="forbid")

    stars: list[Star] = Field(min_length=1, max_length=MAX_STARS)


def to_spectra(stars: list[Star]) -> dict[str, NDArray]:
    """Return the raw columns, as `xpfeh.xp.preprocess.preprocess` takes them, of the stars asked for."""
    columns = {}
    for name in Star.model_fields:
        values = [getattr(star, name) for star in stars]
        columns[name] = np.array(values, dtype=np.int64 if name == "source_id" else np.float64)
    g, bp, rp = (columns[f"phot_{band}_mean_mag"].astype(np.float64) for band in ("g", "bp", "rp"))
    excess = columns["phot_bp_rp_excess_factor"]
    columns["phot_bp_rp_excess_factor"] = np.where(np.isnan(excess), excess_factor(g, bp, rp), excess)
    return columns


def to_rows(catalog: dict[str, NDArray]) -> list[dict[str, Any]]:
    """Return catalog columns as JSON rows; a number that is not known is null."""
    lists = {name: values.tolist() for name, values in catalog.items()}
    return [
        {name: _known(value) for name, value in zip(lists, row, strict=True)}
        for row in zip(*lists.values(), strict=True)
    ]


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
