"""The section on a catalog: the stars shown, what is missing, and the expected contamination."""

import numpy as np
import polars as pl
import pytest
from xpfeh.evaluate.section import Section
from xpfeh.evaluate.sections.final_sample import OF_CATALOG, contamination, final_sample
from xpfeh.evaluate.study import Study
from xpfeh.flags import Flag

from tests.evaluate.made_up import held_out, study


def catalog(n: int = 300) -> pl.DataFrame:
    """Return made-up rows, a third of which fail the paper's cuts or its limit in E(B-V)."""
    rng = np.random.default_rng(0)
    feh = rng.uniform(-2.4, 0.3, n)
    columns = dict.fromkeys(OF_CATALOG, np.ones(n)) | {
        "gl": rng.uniform(0, 360, n), "gb": rng.uniform(-90, 90, n), "rgeo": rng.uniform(300, 8000, n),
        "PHOT_G_MEAN_MAG": rng.uniform(9, 16, n), "EBV": np.where(np.arange(n) % 6, 0.1, 0.7),
        "FEH": feh, "FEH_err": np.full(n, 0.1), "FEH_hi68": feh + 0.1,
        "flags": np.where(np.arange(n) % 6 == 1, Flag.NOT_GIANT, 0).astype(np.uint32),
    }  # fmt: skip
    return pl.DataFrame(columns)


def section_of(table: pl.DataFrame) -> Section:
    given = study(best=held_out())
    return final_sample(Study(given.models, given.spectra, "APOGEE", catalog=table))


def test_the_papers_cuts_apply_and_distances_make_maps() -> None:
    section = section_of(catalog())
    assert section.numbers["catalog"] == 300
    assert section.numbers["after cuts 1 to 3, E(B-V) < 0.5"] == 200
    assert [picture.name for picture in section.pictures] == ["distributions", "uncertainties", "galaxy"]
    rows = catalog().filter((pl.col("EBV") < 0.5) & (pl.col("flags") == 0))
    assert section.numbers["selections"][0]["selected"] == rows.filter(pl.col("FEH") < -2).height


@pytest.mark.parametrize("missing", ["rgeo", "PHOT_G_MEAN_MAG", "FEH_err"])
def test_missing_columns_are_left_out(missing: str) -> None:
    section = section_of(catalog().with_columns(pl.lit(None, pl.Float64).alias(missing)))
    assert ("galaxy" in [picture.name for picture in section.pictures]) == (missing != "rgeo")
    assert ("need distances" in section.text) == (missing == "rgeo")


def test_a_catalog_without_a_passing_star_is_reported() -> None:
    section = section_of(catalog().with_columns(EBV=pl.lit(0.9)))
    assert "No star of the catalog passes" in section.absent
    assert section.pictures == ()


def test_too_few_judging_stars_give_no_share() -> None:
    judges = {"FEH": np.full(4, -2.1), "feh": np.full(4, -2.2)}
    stars = {"FEH": np.array([-2.1]), "FEH_hi68": np.array([-2.0])}
    assert np.isnan(contamination(judges, stars, -2.0)["right"])
    five = {name: np.r_[values, values[:1]] for name, values in judges.items()}
    assert contamination(five, stars, -2.0)["right"] == 1
