"""From features to catalog rows: the flags that follow from a prediction."""

from pathlib import Path

import numpy as np
import pytest
from xpfeh.columns import CATALOG, to_arrays
from xpfeh.dataset.dataset import Dataset
from xpfeh.evaluate.slices import unflagged
from xpfeh.flags import INFORMATIVE, MEANING, NO_PREDICTION, OUTSIDE_PAPER_SAMPLE, Flag, is_good
from xpfeh.inference.estimate import all_flags, estimate
from xpfeh.inference.predictor import COLUMNS, Predictor

UNKNOWN = np.nan
GIANT, DWARF = (2.0, 0.1), (4.4, 0.1)


def flags_of(logg: float, error: float, m_g: float, flags: int = 0, **changes: float) -> Flag:
    """Return the flags of one star whose [Fe/H] is good; its features have `flags`."""
    star = dict.fromkeys(COLUMNS, 0.0) | {"LOGG": logg, "LOGG_err": error, "domain_score": 1.0} | changes
    columns = {name: np.array([value], np.float32) for name, value in star.items()}
    features = {"flags": np.array([flags], np.uint32), "m_g": np.array([m_g])}
    return Flag(int(all_flags(features, columns, 2.0)[0]))


@pytest.mark.parametrize("logg_and_error", [GIANT, DWARF, (UNKNOWN, UNKNOWN), (4.4, 2.0)])
def test_with_a_distance_the_features_flag_decides(logg_and_error: tuple[float, float]) -> None:
    assert flags_of(*logg_and_error, m_g=0.5) == Flag(0)


@pytest.mark.parametrize(
    ("logg", "error", "flags"),
    [
        (*GIANT, Flag.GIANT_BY_SPECTRUM),
        (*DWARF, Flag.GIANT_BY_SPECTRUM | Flag.NOT_GIANT),
        (3.49, 0.74, Flag.GIANT_BY_SPECTRUM),
        (3.5, 0.74, Flag.GIANT_BY_SPECTRUM | Flag.NOT_GIANT),
        (2.0, 0.75, Flag.CUT_NOT_EVALUATED),
        (4.4, 3.0, Flag.CUT_NOT_EVALUATED),
        (4.4, UNKNOWN, Flag.CUT_NOT_EVALUATED),
        (0.0, UNKNOWN, Flag.GIANT_BY_SPECTRUM),  # near the end of the labels, far from the border to dwarfs
        (4.6, UNKNOWN, Flag.GIANT_BY_SPECTRUM | Flag.NOT_GIANT),
        (UNKNOWN, UNKNOWN, Flag.CUT_NOT_EVALUATED),
    ],
)
def test_without_a_distance_log_g_decides_if_it_can(logg: float, error: float, flags: Flag) -> None:
    assert flags_of(logg, error, m_g=UNKNOWN) == flags


@pytest.mark.parametrize("why", [Flag.BAD_SPECTRUM, Flag.NO_DUST])
def test_a_star_that_cannot_be_predicted_keeps_the_flag_with_the_reason(why: Flag) -> None:
    nothing = {name: UNKNOWN for name in COLUMNS if "LOGG" not in name}
    assert flags_of(UNKNOWN, UNKNOWN, UNKNOWN, why, **nothing) == why


def test_a_spectrum_that_a_recipe_cannot_deredden_is_bad() -> None:
    nothing = {name: UNKNOWN for name in COLUMNS if "LOGG" not in name}
    assert flags_of(UNKNOWN, UNKNOWN, UNKNOWN, Flag.HIGH_EXTINCTION, **nothing) == (
        Flag.HIGH_EXTINCTION | Flag.BAD_SPECTRUM
    )


def test_odd_spectra_and_open_intervals_are_flagged_for_any_log_g() -> None:
    assert flags_of(*GIANT, 0.5, domain_score=2.1) == Flag.OUTSIDE_DOMAIN
    assert flags_of(*GIANT, 0.5, FEH_lo95=UNKNOWN) == Flag.FEH_EDGE
    assert flags_of(*GIANT, UNKNOWN, FEH_hi95=UNKNOWN) == Flag.FEH_EDGE | Flag.GIANT_BY_SPECTRUM


def test_flags_that_name_an_origin_are_no_warning() -> None:
    assert not INFORMATIVE & (NO_PREDICTION | OUTSIDE_PAPER_SAMPLE)
    assert Flag.GIANT_BY_SPECTRUM in INFORMATIVE
    assert Flag.OWN_EBV in INFORMATIVE
    assert unflagged(np.array([INFORMATIVE], dtype=np.uint32)).all()
    assert (Flag.GIANT_BY_SPECTRUM, Flag.OWN_EBV) == (262_144, 524_288)  # published catalogs contain them
    assert set(MEANING) == set(Flag)


def test_a_catalog_has_all_columns_and_the_flags_of_features_and_prediction(features_dir: Path, bundle: Path) -> None:
    """A recipe without log g cannot decide whether a star without a distance is a giant."""
    features = {name: values[:500] for name, values in to_arrays(Dataset.at(features_dir).read()).items()}
    features["m_g"] = np.where(np.arange(500) % 2, 0.5, np.nan)
    found = estimate(features, Predictor(bundle))
    assert set(found) == set(CATALOG.names)
    assert all(len(values) == 500 for values in found.values())
    assert np.isnan(found["LOGG"]).all()
    assert ((found["flags"] & features["flags"]) == features["flags"]).all()
    answered = np.isfinite(found["domain_score"])
    added = (found["flags"] & ~features["flags"] & np.uint32(Flag.CUT_NOT_EVALUATED)) > 0
    np.testing.assert_array_equal(added, answered & np.isnan(features["m_g"]))
    np.testing.assert_array_equal(found["good"], is_good(found["flags"], whole_sky=False))
    assert 0 < found["good"].sum() < answered.sum()
