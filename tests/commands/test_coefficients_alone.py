"""Answers from coefficients and their errors alone: no correlations, no photometry, no distance."""

import warnings

import numpy as np
import pytest
import xpfeh
from astropy.table import Table
from xpfeh.flags import Flag

from tests.genuine import shared


def numbers(table: Table, column: str) -> np.ndarray:
    return np.asarray(np.ma.filled(table[column], np.nan), dtype=np.float64)


@pytest.fixture(scope="module")
def answers() -> Table:
    """Of 2,000 sources of Gaia's bulk files, of all kinds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one has no usable spectrum
        return xpfeh.predict(shared("xp_chunk0/xp_continuous_combined_chunk0.fits"))


def test_errors_grow_with_magnitude(answers: Table) -> None:
    g_mag = numbers(answers, "PHOT_G_MEAN_MAG")
    for column in ("FEH_err", "LOGG_err", "TEFF_err"):
        error = numbers(answers, column)
        medians = [np.nanmedian(error[(g_mag >= low) & (g_mag < low + 2)]) for low in (11, 13, 15, 17)]
        assert (np.diff(medians) > 0).all(), column


def test_each_star_is_called_a_giant_or_not(answers: Table) -> None:
    flags = np.asarray(answers["flags"]).astype(np.int64)
    bright = numbers(answers, "PHOT_G_MEAN_MAG") < 16
    assert ((flags & Flag.GIANT_BY_SPECTRUM) > 0)[bright].mean() > 0.95
    not_giant = ((flags & Flag.NOT_GIANT) > 0)[bright].mean()
    assert 0.5 < not_giant < 0.98  # most sources of the sky are dwarfs


def test_only_flags_on_the_origin_of_numbers_are_on_all_stars(answers: Table) -> None:
    flags = np.asarray(answers["flags"]).astype(np.int64)
    shares = {flag: ((flags & flag) > 0).mean() for flag in Flag}
    wholesale = {flag for flag, share in shares.items() if share > 0.9}
    assert wholesale <= {Flag.NO_PHOTOMETRY, Flag.NO_CORRELATIONS, Flag.NOT_GIANT, Flag.GIANT_BY_SPECTRUM}
    assert shares[Flag.FEH_EDGE] < 0.25
