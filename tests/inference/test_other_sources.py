"""Sources unlike stars with an [Fe/H]: real hot stars, and made-up quasars, galaxies and white dwarfs."""

import numpy as np
import pytest
from xpfeh.flags import is_good
from xpfeh.inference.bundle import PRETRAINED_FOLDER
from xpfeh.inference.estimate import all_flags
from xpfeh.inference.predictor import Predictor
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.library import NAME, library_path, read_apogee_stars, read_spectra
from xpfeh.training.noise import pixel_noise
from xpfeh.xp.grid import WAVELENGTH_NM
from xpfeh.xp.preprocess import preprocess

Columns = dict[str, np.ndarray]
STARS = 12_000  # of the library: enough of every kind


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(PRETRAINED_FOLDER)


@pytest.fixture(scope="module")
def library() -> Columns:
    """Return features and labels of stars, in the same order."""
    path = library_path(NAME)
    features = preprocess(read_spectra(path, 0, STARS), PreprocessSettings())
    labels = read_apogee_stars(path)
    return features | {name: labels[name][:STARS] for name in ("feh", "teff", "logg")}


def outside(predictor: Predictor, features: Columns) -> np.ndarray:
    return predictor.predict(features)["domain_score"] > predictor.card.domain_threshold


def good(predictor: Predictor, features: Columns) -> np.ndarray:
    n = len(features["flux"])
    given = {"flags": np.zeros(n, dtype=np.uint32), "m_g": np.full(n, np.nan)}  # nothing else is known of them
    return is_good(all_flags(given, predictor.predict(features), predictor.card.domain_threshold), whole_sky=True)


def made(spectra: list[np.ndarray], signal_to_noise: float, library: Columns) -> Columns:
    """Return features of made-up spectra with the noise of a giant of that signal-to-noise."""
    giants = (library["logg"] < 3) & (library["teff"] > 4200) & (library["teff"] < 4900) & (library["ebv"] < 0.05)
    relative = np.median(library["flux_error"][giants] / np.abs(library["flux"][giants]), axis=0)
    flux = np.array(spectra)
    flux /= flux[:, (WAVELENGTH_NM >= 540) & (WAVELENGTH_NM <= 560)].mean(axis=1, keepdims=True)
    error = np.maximum(flux, 0.02) * relative / np.median(relative) / signal_to_noise
    noise = pixel_noise(len(flux), WAVELENGTH_NM.size, np.random.default_rng(1))
    return {
        "flux": (flux + error * noise).astype(np.float32),
        "flux_error": error.astype(np.float32),
        "ebv": np.full(len(flux), 0.03),
    }


def quasar(redshift: float) -> np.ndarray:
    """Return a power law with the broad lines of a quasar: rest wavelength (nm), equivalent width and sigma (nm)."""
    lines = (
        (154.9, 3.0, 2.5),
        (190.9, 2.5, 3.5),
        (279.8, 3.5, 3.0),
        (434.0, 1.5, 4.0),
        (486.1, 5.0, 5.0),
        (656.3, 20.0, 7.0),
    )
    rest = WAVELENGTH_NM / (1 + redshift)
    strength = sum(ew / (w * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((rest - at) / w) ** 2) for at, ew, w in lines)
    return (WAVELENGTH_NM / 550) ** -1.5 * (1 + strength)


def elliptical(redshift: float, library: Columns) -> np.ndarray:
    """Return the light of old giants, redshifted."""
    giants = (library["logg"] < 3) & (library["teff"] > 4200) & (library["teff"] < 4900) & (library["ebv"] < 0.05)
    return np.interp(WAVELENGTH_NM / (1 + redshift), WAVELENGTH_NM, np.median(library["flux"][giants], axis=0))


def test_hot_stars_are_outside_the_domain(predictor: Predictor, library: Columns) -> None:
    """Real ones without [Fe/H] in APOGEE; T_eff is APOGEE's."""
    hot = (library["teff"] > 8000) & np.isnan(library["feh"])
    assert hot.sum() > 500
    assert outside(predictor, {name: library[name][hot] for name in ("flux", "flux_error", "ebv")}).mean() > 0.85


def test_stars_like_the_labelled_ones_are_inside(predictor: Predictor, library: Columns) -> None:
    usual = (library["teff"] < 6500) & np.isfinite(library["feh"])
    assert outside(predictor, {name: library[name][usual] for name in ("flux", "flux_error", "ebv")}).mean() < 0.02


@pytest.mark.parametrize(("signal_to_noise", "of_quasars", "of_galaxies"), [(20, 0.35, 0.9), (50, 0.9, 0.95)])
def test_made_up_quasars_and_galaxies_are_outside_the_domain_and_never_good(
    predictor: Predictor, library: Columns, signal_to_noise: float, of_quasars: float, of_galaxies: float
) -> None:
    quasars = [quasar(redshift) for redshift in np.linspace(0.3, 3.0, 109)]
    galaxies = [elliptical(redshift, library) for redshift in np.linspace(0.05, 0.4, 71)]
    for kind, share in ((quasars, of_quasars), (galaxies, of_galaxies)):
        spectra = made(kind, signal_to_noise, library)
        assert outside(predictor, spectra).mean() > share
        assert good(predictor, spectra).mean() < 0.02
    itself = [elliptical(0.0, library)] * 50
    assert outside(predictor, made(itself, signal_to_noise, library)).mean() < 0.1
