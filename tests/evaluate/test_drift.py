from pathlib import Path

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.evaluate.drift import drift, drift_figure
from xpfeh.flags import MEANING, Flag
from xpfeh.inference.seen import PERCENTILES, Seen, describe

STARS = 2000


def stars(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """Return made-up stars of 60 pixels, one in a hundred of them outside the domain."""
    rng = np.random.default_rng(7)
    flags = np.zeros(STARS, np.uint32)
    flags[::100] |= np.uint32(Flag.OUTSIDE_DOMAIN)
    flags[1::100] |= np.uint32(Flag.NOT_GIANT)  # does not pass the cuts
    made = {
        "flux": rng.normal(1.0, 0.1, (STARS, 60)).astype(np.float32),
        "flags": flags,
        "domain_score": rng.gamma(4.0, 0.3, STARS),
        "phot_g_mean_mag": rng.normal(13, 1, STARS),
        "bp_rp0": rng.normal(1.2, 0.1, STARS),
        "ebv": rng.gamma(2.0, 0.03, STARS),
    }
    return made | changed


def test_only_stars_that_pass_the_cuts_are_counted() -> None:
    made = stars()
    passing = (made["flags"] & np.uint32(Flag.NOT_GIANT)) == 0
    found = describe(made)
    assert found.stars == passing.sum() == STARS - 20
    assert found.flags["OUTSIDE_DOMAIN"] == pytest.approx(20 / (STARS - 20))
    assert set(found.flags) == {flag.name for flag in MEANING}
    assert found.percentiles["ebv"] == pytest.approx(tuple(np.percentile(made["ebv"][passing], PERCENTILES)))
    assert found.flux == pytest.approx(tuple(np.median(made["flux"][passing], axis=0)), abs=1e-6)
    assert Seen.model_validate_json(found.model_dump_json()) == found


def test_similar_stars_show_no_drift() -> None:
    found = drift(describe(stars()), describe({name: values[::2] for name, values in stars().items()}))
    assert found.differences == []
    assert np.abs(found.shift).max() < 0.3


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("flux", lambda flux: flux + 0.2 * (np.arange(60) == 30), "spreads off at 684 nm"),
        ("flags", lambda flags: flags | np.uint32(Flag.LOW_SN), "LOW_SN: 100.0%; training stars: 0.0%"),
        (
            "flags",
            lambda flags: flags | np.where(np.arange(STARS) % 20 == 0, np.uint32(Flag.OUTSIDE_DOMAIN), np.uint32(0)),
            "5.1% are outside the model's domain",
        ),
        ("phot_g_mean_mag", lambda g: g + 3, "phot_g_mean_mag: median 16.0"),
    ],
)
def test_each_kind_of_drift_is_reported(name: str, change: object, message: str) -> None:
    made = stars()
    found = drift(describe(made), describe({**made, name: change(made[name]).astype(made[name].dtype)}))
    assert len(found.differences) == 1
    assert message in found.differences[0]


def test_distances_by_parallax_are_not_drift_and_older_cards_lack_them() -> None:
    made = stars()
    older = describe(made)
    del older.flags["PARALLAX_DISTANCE"]
    given = describe({**made, "flags": made["flags"] | np.uint32(Flag.PARALLAX_DISTANCE)})
    assert drift(older, given).differences == []
    assert drift(older, given).flags == {}
    drift_figure(older, given, "made stars")


def test_stars_without_photometry_have_no_photometry_line(tmp_path: Path) -> None:
    unknown = stars(phot_g_mean_mag=np.full(STARS, np.nan), bp_rp0=np.full(STARS, np.nan))
    assert drift(describe(stars()), describe(unknown)).differences == []
    figure = drift_figure(describe(stars()), describe(unknown), "made stars")
    figure.savefig(tmp_path / "drift.png")


def test_no_passing_star_is_an_error() -> None:
    none = stars(flags=np.full(STARS, Flag.NOT_GIANT, np.uint32))
    with pytest.raises(UserError, match=r"none of 2000 stars passes cuts 1 to 3"):
        describe(none)
