"""Bases of another release from a folder: GaiaXPy's DR3 file with the last BP functions dropped, MADE to play DR4."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from xpfeh.errors import UserError
from xpfeh.files import package_file
from xpfeh.releases import RELEASES
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.gaia_files import GaiaFile
from xpfeh.xp.bases import BANDS, load_bands
from xpfeh.xp.calibrate import calibrate
from xpfeh.xp.preprocess import preprocess

from tests.genuine import datalink_file
from tests.sources.reading import read_whole


@pytest.fixture(scope="module")
def made_dr4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a file of 51 BP functions."""
    folder = tmp_path_factory.mktemp("bases")
    write_bases(folder / "XpFilter_v999made.xml", 51)
    return folder


def write_bases(path: Path, n_bp: int) -> None:
    tree = ElementTree.parse(package_file("gaiaxpy", "config/filters/XpFilter_v375wiv142r.xml"))
    functions = tree.find("XpSampling/bpSampledBases")
    for place, number in enumerate(list(functions)):
        if place % 55 >= n_bp:
            functions.remove(number)
    tree.write(path)


def as_dr4(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    widths = {"coefficients": 51, "coefficient_errors": 51, "coefficient_correlations": 51 * 50 // 2}
    return columns | {f"bp_{kind}": columns[f"bp_{kind}"][:, :width] for kind, width in widths.items()}


def test_a_release_is_calibrated_with_the_bases_of_a_folder(made_dr4: Path, tmp_path: Path) -> None:
    columns = read_whole(datalink_file("csv", tmp_path)).columns
    flux, error = calibrate(as_dr4(columns), "dr4", bases=str(made_dr4))
    columns["bp_coefficients"][:, 51:] = 0
    columns["bp_coefficient_errors"][:, 51:] = 0
    expected, expected_error = calibrate(columns, "dr3")
    np.testing.assert_allclose(flux, expected, rtol=1e-12)
    np.testing.assert_allclose(error, expected_error, rtol=1e-12)


def test_a_release_without_typical_correlations_takes_them_as_0(made_dr4: Path, tmp_path: Path) -> None:
    star = as_dr4(read_whole(datalink_file("csv", tmp_path)).columns)
    unknown, zero = (
        star | {f"{band}_coefficient_correlations": fill(star[f"{band}_coefficient_correlations"]) for band in BANDS}
        for fill in (lambda values: np.full_like(values, np.nan), np.zeros_like)
    )
    for ours, expected in zip(*(calibrate(each, "dr4", bases=str(made_dr4)) for each in (unknown, zero)), strict=True):
        assert ours.tobytes() == expected.tobytes()


def test_features_of_another_release_need_its_settings(made_dr4: Path, tmp_path: Path) -> None:
    star = as_dr4(read_whole(datalink_file("csv", tmp_path)).columns)
    star |= {
        name: np.array([12.0]) for name in ("phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "ra", "dec")
    }
    star |= {"phot_bp_rp_excess_factor": np.array([1.2]), "rgeo": np.array([np.nan])}
    dr4 = PreprocessSettings().with_overrides(["release=dr4", f"bases={made_dr4}"])
    assert np.isfinite(preprocess(star, dr4)["flux"]).all()
    with pytest.raises(UserError, match="spectra are of DR4, the settings are for DR3; set release=dr4"):
        preprocess(star, PreprocessSettings())
    with pytest.raises(UserError, match=r"no bases for Gaia DR4: pip install .* gaiaxpy, or set bases=DIR"):
        preprocess(star, PreprocessSettings(release="dr4"))


def test_bases_that_the_installed_package_brings_are_found_by_their_number(
    made_dr4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_bands.cache_clear()
    monkeypatch.setattr("xpfeh.xp.bases.package_folder", lambda *_: made_dr4)
    assert {band: len(each.basis) for band, each in load_bands("dr4").items()} == RELEASES["dr4"].n_coefficients
    load_bands.cache_clear()


def test_an_invalid_folder_of_bases_is_refused(made_dr4: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"0 files XpFilter_\*.xml there; one of Gaia DR4 is needed"):
        load_bands("dr4", str(tmp_path))
    with pytest.raises(UserError, match=r"has {'bp': 51, 'rp': 55} basis functions, Gaia DR3 {'bp': 55, 'rp': 55}"):
        load_bands("dr3", str(made_dr4))
    (tmp_path / "XpFilter_a.xml").write_text("<not")
    with pytest.raises(UserError, match="not GaiaXPy's file of sampled bases"):
        load_bands("dr4", str(tmp_path))
    (tmp_path / "XpFilter_a.xml").write_text("<filter/>")
    with pytest.raises(UserError, match=r"XpFilter_a\.xml"):
        load_bands("dr4", str(tmp_path))
    with pytest.raises(UserError, match="your own sampling needs the models of GaiaXPy"):
        load_bands("dr4", wavelength_nm=(400.0, 500.0))


def test_bases_are_a_setting_that_models_from_before_it_do_not_have() -> None:
    assert "bases" not in PreprocessSettings().model_dump()
    assert PreprocessSettings(bases="here").bases == str(Path("here").absolute())
    with pytest.raises(UserError, match="correction=huang2024 is for DR3 spectra"):
        PreprocessSettings().with_overrides(["release=dr4", "correction=huang2024"])


@pytest.mark.parametrize("kind", ["ecsv", "vot", "fits"])
def test_the_release_that_a_header_names_decides(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = datalink_file(kind, tmp_path)
    assert GaiaFile(str(path)).releases == ("dr3",)
    monkeypatch.setitem(RELEASES, "dr4", RELEASES["dr3"])  # as if both had 55 and 55
    assert GaiaFile(str(path)).releases == ("dr3", "dr4")
    old = b"(unique within a particular Data Release)"
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, b"(unique within Gaia DR4)".ljust(len(old))))
    assert GaiaFile(str(path)).releases == ("dr4",)
    monkeypatch.undo()
    with pytest.raises(
        UserError, match=rf"{path.name}: its header names Gaia DR4, but its 55 and 55 coefficients are DR3"
    ):
        _ = GaiaFile(str(path)).releases


def test_bands_are_named_alike_everywhere() -> None:
    assert all(tuple(release.n_coefficients) == BANDS for release in RELEASES.values())
    assert set(RELEASES) == set(PreprocessSettings.model_fields["release"].annotation.__args__)
