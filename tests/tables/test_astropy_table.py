"""A result as astropy's table: every format writes it and reads it back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xpfeh
from astropy.table import QTable, Table, vstack

from tests.genuine import datalink_file

HDF5: dict[str, Any] = {"path": "stars"}


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Two rows of one star: one answered, one rejected, and one without [Fe/H] to come."""
    star = Table.read(datalink_file("fits", tmp_path_factory.mktemp("star")))
    other = star.copy()
    other["source_id"] += 1
    other["bp_coefficients"] = np.nan
    with pytest.warns(UserWarning, match="1 row was rejected"):
        return xpfeh.predict(vstack([star, star, other]))


def same(found: Table, expected: Table, name: str) -> bool:
    values, wanted = found[name], expected[name]
    if wanted.dtype.kind == "f":
        return np.array_equal(np.ma.filled(values, np.nan), wanted, equal_nan=True)
    return values.astype(str).tolist() == wanted.astype(str).tolist()


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("stars.fits", {}, {}),
        ("stars.vot", {"format": "votable"}, {}),
        ("stars.ecsv", {}, {}),
        ("stars.parquet", {}, {}),
        ("stars.hdf5", {**HDF5, "serialize_meta": True}, {**HDF5, "character_as_bytes": False}),
    ],
)
def test_every_digit_comes_back(
    name: str, written: dict[str, Any], read: dict[str, Any], answer: Table, tmp_path: Path
) -> None:
    answer.write(tmp_path / name, **written)
    found = Table.read(tmp_path / name, **read)
    assert found.colnames == answer.colnames
    assert [each for each in answer.colnames if not same(found, answer, each)] == []
    if name != "stars.vot":  # astropy leaves the header out
        kept = {key.lower(): value for key, value in found.meta.items()}
        assert {key: kept[key] for key in ("model", "settings", "versions")} == {
            key: answer.meta[key] for key in ("model", "settings", "versions")
        }
        assert answer.meta["rejected"][0] in np.atleast_1d(kept["rejected"]).tolist()


@pytest.mark.parametrize(("name", "rows"), [("stars.csv", slice(None)), ("stars.tex", slice(1, None))])
def test_text_has_the_digits_that_are_printed(name: str, rows: slice, answer: Table, tmp_path: Path) -> None:
    star = answer["source_id", "FEH", "FEH_err", "TEFF", "LOGG", "PHOT_G_MEAN_MAG", "flags", "model_version"][:1]
    star.write(tmp_path / name)
    (row,) = Table.read(tmp_path / name)[rows]  # LaTeX has a row of units first
    for column, digits in (("FEH", 3), ("FEH_err", 3), ("TEFF", 0), ("LOGG", 3), ("PHOT_G_MEAN_MAG", 3)):
        shown = f"{star[column][0]:.{digits}f}"
        assert shown in (tmp_path / name).read_text()
        assert shown in "\n".join(star.pformat(max_width=-1))
        assert float(row[column]) == float(shown)
    assert (int(row["source_id"]), int(row["flags"])) == (star["source_id"][0], star["flags"][0])


def test_quantities_can_be_compared_with_numbers(answer: Table) -> None:
    stars = QTable(answer)
    assert (stars["FEH"] < 100)[0]


def test_a_header_holds_the_rejected_rows_of_any_file(tmp_path: Path) -> None:
    star = Table.read(datalink_file("fits", tmp_path))
    vstack([star, star], metadata_conflicts="silent").write(tmp_path / "étoiles.fits")
    with pytest.warns(UserWarning, match="1 row was rejected"):
        answer = xpfeh.predict(tmp_path / "étoiles.fits")
    answer.write(tmp_path / "feh.fits")
    (line,) = answer.meta["rejected"]
    assert r"\xe9toiles.fits: row 1" in line
    assert Table.read(tmp_path / "feh.fits").meta["REJECTED"] == line
