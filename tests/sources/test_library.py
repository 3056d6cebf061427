from functools import cache
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy_healpix import HEALPix
from xpfeh.errors import UserError
from xpfeh.sources import library, reader

PATH = library.library_path(library.NAME)
RAGGED = np.array([np.ones(n) for n in (343, 343, 342, 343, 343)], dtype=object)


@cache
def five_rows() -> Table:
    """Unpacking the library takes two seconds."""
    return Table(fits.getdata(PATH, 1)[:5])


def small_copy(path: Path, **changes: np.ndarray | None) -> Path:
    """Write 5 real rows as a FITS file of the layout; a change of None drops the column."""
    table = five_rows().copy()
    for name, values in changes.items():
        if values is None:
            del table[name]
        else:
            table[name] = values
    table.write(path, overwrite=True)
    return path


def test_rows_and_sources_are_those_of_the_published_file() -> None:
    file = library.Library(library.NAME)
    assert sum(rows for _, rows in file.ranges() if rows) == 40_226
    ids = np.concatenate([array for rows in file.ranges() for array in file.source_ids(*rows)])
    assert (len(ids), len(np.unique(ids))) == (40_226, 39_851)


def test_ranges_deliver_every_source_once_and_name_the_rejected() -> None:
    batches = [
        batch
        for file in reader.find_spectra(library.NAME)
        for rows in file.ranges()
        for batch in reader.read(file, *rows, reader.NO_COMPANIONS)
    ]
    ids = np.concatenate([batch.columns["source_id"] for batch in batches])
    assert len(np.unique(ids)) == len(ids) == 39_851
    rejected = [reject for batch in batches for reject in batch.rejected]
    assert {reject.reason for reject in rejected} == {"repeated source_id"}
    assert sum(batch.rows_read for batch in batches) == 40_226
    assert {reject.source_id for reject in rejected} <= set(ids.tolist())


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
    labels = library.read_apogee_labels(PATH)
    assert np.isfinite(labels["feh"]).all()
    assert -2.5 < labels["feh"].min() < -2.4
    assert 0.5 < labels["feh"].max() < 0.6


def test_a_users_own_file_of_the_layout_is_read(tmp_path: Path) -> None:
    path = small_copy(tmp_path / "own.fits")
    file = reader.open_spectra(str(path))
    (batch,) = reader.read(file, *file.ranges()[0], reader.NO_COMPANIONS)
    assert batch.columns["flux"].shape == (5, 343)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"medflux": None}, "columns are missing: medflux"),
        ({"flux": None}, "holds no XP spectra, neither coefficients"),
        ({"gaiaedr3_source_id": np.linspace(1e18, 2e18, 5)}, "float"),
        ({"flux": np.ones((5, 342), dtype=np.float32)}, "flux has 342 numbers per star, not 343"),
        ({"flux_error": np.ones(5)}, "flux_error has 1 numbers per star, not 343"),
        ({"flux": RAGGED}, "flux must hold numbers, equally many for each star"),
        ({"medflux": np.array(["1e-16"] * 5)}, "medflux must hold numbers"),
        ({"logg": np.ones((5, 2))}, "logg has 2 numbers per star, not 1"),
        ({"gaiaedr3_source_id": np.ma.masked_equal([1, 2, 3, 99, 5], 99)}, "gaiaedr3_source_id of row 3 is missing"),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UserError, match=message):
        reader.open_spectra(str(small_copy(tmp_path / "other.fits", **changes))).ranges()


def test_a_missing_file_and_one_that_is_not_fits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        reader.open_spectra(str(tmp_path / "none.fits")).ranges()
    with pytest.raises(UserError, match="no such file"):
        library.read_spectra(tmp_path / "none.fits", 0, None)
    (tmp_path / "text.fits").write_text("hello")
    with pytest.raises(UserError, match="not a FITS file"):
        reader.open_spectra(str(tmp_path / "text.fits")).ranges()
    small_copy(tmp_path / "whole.fits")
    (tmp_path / "cut.fits").write_bytes((tmp_path / "whole.fits").read_bytes()[:-2880])
    with pytest.raises(UserError, match=r"cut\.fits: not a FITS file with a valid table"):
        reader.open_spectra(str(tmp_path / "cut.fits")).ranges()
    fits.PrimaryHDU().writeto(tmp_path / "no_table.fits")
    with pytest.raises(UserError, match="a FITS file, but without a table"):
        reader.open_spectra(str(tmp_path / "no_table.fits")).ranges()
    fits.BinTableHDU(fits.getdata(PATH, 1)[:0]).writeto(tmp_path / "no_star.fits")
    with pytest.raises(UserError, match="holds no star"):
        reader.open_spectra(str(tmp_path / "no_star.fits")).ranges()


def test_a_name_without_a_position_is_refused(tmp_path: Path) -> None:
    path = small_copy(tmp_path / "own.fits", apogee_id=np.array(["2M00000002+7417074"] * 4 + ["HD 122563"]))
    with pytest.raises(UserError, match=r"own\.fits: apogee_id 'HD 122563' is not a 2MASS designation"):
        list(reader.open_spectra(str(path)).read(0, None))


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = small_copy(tmp_path / "own.fits")
    before = library.read_spectra(path, 0, None)["flux"]
    small_copy(path, medflux=2 * fits.getdata(path, 1)["medflux"])
    np.testing.assert_allclose(library.read_spectra(path, 0, None)["flux"], 2 * before)
