import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xpfeh.xp.deredden import R55, attenuation, e4455
from xpfeh.xp.grid import WAVELENGTH_NM


def magnitudes(ebv: float, wavelength_nm: float) -> float:
    return float(-2.5 * np.log10(attenuation(np.array([ebv]))[0, WAVELENGTH_NM == wavelength_nm][0]))


def test_equation_1() -> None:
    np.testing.assert_allclose(e4455(np.array([0.0, 1.0])), [0.0011, 0.9621])


def test_the_colour_excess_between_440_and_550_nm_is_e4455() -> None:
    """The scale of Zhang et al. (2024); their published table itself is 3 % off at 440 nm."""
    excess = magnitudes(0.3, 440) - magnitudes(0.3, 550)
    np.testing.assert_allclose(excess, 0.961 * 0.3 + 0.0011, rtol=0.04)


def test_extinction_at_550_nm_is_r55() -> None:
    np.testing.assert_allclose(magnitudes(0.3, 550), R55 * (0.961 * 0.3 + 0.0011), rtol=0.005)


def test_blue_is_dimmed_more_than_red() -> None:
    curve = attenuation(np.array([0.2]))[0]
    assert (np.diff(curve[WAVELENGTH_NM < 900]) > 0).mean() > 0.97


@given(near=st.floats(0, 3), far=st.floats(0, 3))
def test_dust_dims_at_every_wavelength_and_magnitudes_of_clouds_add_up(near: float, far: float) -> None:
    one, other, both, none = attenuation(np.array([near, far, near + far, 0.0]))
    assert ((one > 0) & (one < 1)).all()
    np.testing.assert_allclose(both * none, one * other, rtol=1e-12)
