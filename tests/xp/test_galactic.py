import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from xpfeh.xp.galactic import galactic


def test_positions_are_those_of_astropy() -> None:
    rng = np.random.default_rng(2)
    ra = np.concatenate([rng.uniform(0, 360, 20_000), [0.0, 360.0, 0.0, 0.0, 192.85948, 12.85948]])
    dec = np.concatenate(
        [np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000))), [0.0, 0.0, 90.0, -90.0, 27.12825, -27.12825]]
    )
    expected = SkyCoord(ra * u.deg, dec * u.deg).galactic
    l_deg, b_deg = galactic(ra, dec)
    apart = SkyCoord(l_deg * u.deg, b_deg * u.deg, frame="galactic").separation(expected)
    assert apart.arcsec.max() < 1e-8
    assert ((l_deg >= 0) & (l_deg < 360)).all()


def test_the_unknown_stays_unknown() -> None:
    assert np.isnan(galactic(np.array([np.nan, 5.0]), np.array([5.0, np.nan]))).all()
