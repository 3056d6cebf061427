"""Groups of the labelled stars of the whole sky, and their numbers, checked by hand."""

import numpy as np
import pytest
from xpfeh.evaluate.whole_sky import DUSTIEST, DUSTY, DWARFS, EVERY, GIANTS, PLANE, TITLES, groups_of, sky_numbers
from xpfeh.evaluate.whole_star import giants_by_flags, giants_found, label_numbers, prediction
from xpfeh.flags import Flag
from xpfeh.inference.further_labels import FURTHER_LABELS

from tests.evaluate.made_up import ONE_CELL, whole_sky

TEFF, LOGG, ALPHA_M = FURTHER_LABELS


def test_every_giant_is_in_one_group_of_dust_and_every_star_of_known_log_g_a_giant_or_a_dwarf() -> None:
    stars = whole_sky()
    stars["logg"][::50] = np.nan
    groups = groups_of(stars)
    assert list(groups) == list(TITLES)
    np.testing.assert_array_equal(sum(groups[name].astype(int) for name in DUSTY), groups[GIANTS])
    np.testing.assert_array_equal(groups[DUSTIEST[0]] | groups[DUSTIEST[1]], groups[DUSTY[-1]])
    np.testing.assert_array_equal(groups[GIANTS] ^ groups[DWARFS], np.isfinite(stars["logg"]))
    assert groups[EVERY].all()
    assert (groups[PLANE] == groups[GIANTS] & (stars["ebv"] > 0.5)).all()  # by construction


@pytest.mark.parametrize(("ebv", "group"), [(0.1999, 0), (0.2, 1), (0.5, 2), (0.8, 3), (1.5, 4), (12.0, 4)])
def test_a_group_begins_with_its_lower_edge(ebv: float, group: int) -> None:
    groups = groups_of({"logg": np.array([2.0]), "ebv": np.array([ebv]), "b": np.array([30.0])})
    assert [name for name in DUSTY if groups[name][0]] == [DUSTY[group]]


def test_a_bias_behind_dust_shows_only_in_its_group_and_flags_remove_stars() -> None:
    stars = whole_sky()
    before = sky_numbers(stars)
    dusty = stars["ebv"] == 0.6
    stars["feh"] = stars["feh"] - 0.3 * dusty  # the intervals are unchanged
    stars["flags"][:100] |= np.uint32(Flag.OUTSIDE_DOMAIN)
    after = sky_numbers(stars)
    moved = {name for name in DUSTY if after[name]["all"]["median"] != before[name]["all"]["median"]}
    assert moved == {"giants 0.5<=ebv<0.8"}
    (name,) = moved
    assert after[name]["all"]["median"] == pytest.approx(before[name]["all"]["median"] + 0.3)
    assert after[name]["all"]["coverage_95"] < 0.1 < before[name]["all"]["coverage_95"]
    assert after[EVERY]["all"]["n"] == before[EVERY]["all"]["n"] == 1200
    assert after[EVERY]["unflagged"]["n"] < before[EVERY]["unflagged"]["n"] < 1200
    assert 0 < after[DWARFS]["all"]["mae_se"] < 0.01


def test_a_star_without_an_error_is_open_and_one_without_a_prediction_is_counted() -> None:
    stars = whole_sky()
    full = label_numbers(stars, TEFF)
    assert full["n"] == 1200
    assert full["coverage_68"] == pytest.approx(0.68, abs=0.04)
    assert full["mae"] == pytest.approx(80 * np.sqrt(2 / np.pi), rel=0.05)
    stars["TEFF_err"][:200] = np.nan
    stars["TEFF"][:50] = np.nan
    stars["teff"][1190:] = np.nan
    some = label_numbers(stars, TEFF)
    assert (some["n"], some["n_without"], some["n_open"]) == (1140, 50, 150)
    stars["TEFF_err"][200:] = 1e6
    assert label_numbers(stars, TEFF)["coverage_68"] == 1.0


@pytest.mark.parametrize("absent", [True, False])
def test_a_label_that_is_not_learned_has_no_numbers(absent: bool) -> None:
    stars = whole_sky()
    for name in ("ALPHA_M", "ALPHA_M_err"):
        if absent:
            del stars[name]
        else:
            stars[name] = np.full(1200, np.nan)
    found = label_numbers(stars, ALPHA_M)
    assert (found["n"], found["n_without"]) == (0, 1200)
    assert np.isnan([found["mae"], found["coverage_68"], found["coverage_68_se"]]).all()
    assert np.isnan(prediction(stars, "ALPHA_M")).all()


def test_missed_giants_and_selected_dwarfs_are_counted() -> None:
    logg = np.repeat([2.0, 4.5], 200)
    stars = {"source_id": np.arange(400) * ONE_CELL, "logg": logg, "flags": np.zeros(400, np.uint32)}
    low = logg.copy()
    low[:20], low[20:30], low[200:240] = 4.0, np.nan, 3.0  # 30 missed, 10 of them without LOGG; 40 dwarfs selected
    found = giants_found(stars, low < 3.5)
    assert (found["truly"], found["called"], found["right"]) == (200, 210, 170)
    assert (found["purity"], found["completeness"]) == (170 / 210, 0.85)
    assert found["completeness_se"] == pytest.approx(np.sqrt(0.85 * 0.15 / 200), rel=0.1)  # each star in its own cell
    nothing = giants_found(stars, np.zeros(400, dtype=bool))
    assert nothing["called"] == 0
    assert np.isnan(nothing["purity"])


def test_a_star_of_unknown_gravity_does_not_count_in_a_selection() -> None:
    stars = whole_sky()
    found = giants_found(stars, stars["LOGG"] < 3.5)
    stars["logg"][:8] = np.nan
    assert giants_found(stars, stars["LOGG"] < 3.5)["n"] == found["n"] - 8


def test_by_the_flags_a_giant_is_neither_a_dwarf_nor_undecided() -> None:
    flags = np.array([0, Flag.NOT_GIANT, Flag.CUT_NOT_EVALUATED, Flag.GIANT_BY_SPECTRUM, 0], dtype=np.uint32)
    stars = {"source_id": np.arange(5), "flags": flags, "LOGG": np.array([2.0, 4.0, 3.4, 2.0, np.nan])}
    assert giants_by_flags(stars).tolist() == [True, False, False, True, False]
    del stars["LOGG"]
    assert not giants_by_flags(stars).any()  # flags alone, as of boosted trees, are not enough
