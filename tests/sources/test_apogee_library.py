from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy_healpix import HEALPix
from xpfeh.errors import UserError
from xpfeh.sources import apogee_library as library
from xpfeh.sources import reader

PATH = library.library_path(library.NAME)


def small_copy(path: Path, **changes: np.ndarray | None) -> Path:
    """Write 5 real rows as a FITS file of the layout; a change of None drops the column."""
    table = Table(fits.getdata(PATH, 1)[:5])
    for name, values in changes.items():
        if values is None:
            del table[name]
        else:
            table[name] = values
    table.write(path)
    return path


def test_rows_and_sources_are_those_of_the_published_file() -> None:
    assert library.count_rows(PATH) == (40_226, 39_851)


def test_pieces_deliver_every_source_once_and_tell_the_rejected() -> None:
    pieces = reader.pieces(library.NAME, 7_000)
    ids = np.concatenate([library.read_spectra(PATH, p.start, p.start + p.rows)["source_id"] for p in pieces])
    assert len(np.unique(ids)) == len(ids) == 39_851
    assert [p.rejected for p in pieces] == [{"repeated source_id": 375}] + [{}] * (len(pieces) - 1)


def test_positions_lie_in_the_pixel_that_the_source_id_names(spectra: dict[str, np.ndarray]) -> None:
    lon, lat = HEALPix(4096, order="nested").healpix_to_lonlat(spectra["source_id"] // 34_359_738_368)
    apart = SkyCoord(lon, lat).separation(SkyCoord(spectra["ra"] * u.deg, spectra["dec"] * u.deg))
    assert apart.max() < 60 * u.arcsec


def test_fluxes_are_physical(spectra: dict[str, np.ndarray]) -> None:
    row = fits.getdata(PATH, 1)[0]
    mine = np.flatnonzero(spectra["source_id"] == row["gaiaedr3_source_id"])[0]
    np.testing.assert_allclose(spectra["flux"][mine], row["flux"] * np.float64(row["medflux"]), rtol=1e-7)
    assert 1e-19 < np.median(spectra["flux"]) < 1e-12


def test_labels_are_finite_and_within_the_range_of_the_library() -> None:
    labels = library.read_labels(PATH)
    assert np.isfinite(labels["feh"]).all()
    assert -2.5 < labels["feh"].min() < -2.4
    assert 0.5 < labels["feh"].max() < 0.6


def test_a_users_own_file_of_the_layout_is_read(tmp_path: Path) -> None:
    path = small_copy(tmp_path / "own.fits")
    assert reader.read(str(path), 0, 5)["flux"].shape == (5, 343)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"medflux": None}, "columns are missing: medflux"),
        ({"gaiaedr3_source_id": np.linspace(1e18, 2e18, 5)}, "float"),
        ({"flux": np.ones((5, 342), dtype=np.float32)}, "342"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, changes: dict[str, np.ndarray], told: str) -> None:
    with pytest.raises(UserError, match=told):
        reader.pieces(str(small_copy(tmp_path / "other.fits", **changes)), 10)


def test_a_missing_file_and_one_that_is_no_fits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        reader.pieces(str(tmp_path / "none.fits"), 10)
    (tmp_path / "text.fits").write_text("hello")
    with pytest.raises(UserError, match="not a FITS file"):
        reader.pieces(str(tmp_path / "text.fits"), 10)
