"""A catalog in CDS format, read back by astropy and by STILTS: every column to the printed decimals."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table
from xpfeh.catalog import cds_files
from xpfeh.catalog.cds_files import layout, to_lines, write_cds
from xpfeh.columns import CATALOG

from tests.catalog.made_catalogs import STARS, made_up_stars

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stars() -> pa.Table:
    """Return made-up stars; the first has extreme values."""
    table = made_up_stars()
    extremes = {
        "source_id": 2**63 - 1, "ra": 359.99999999996, "dec": -89.999999999999, "gb": -1e-12, "rgeo": 123_456.789,
        "M_G": float("inf"), "FEH": -0.00004, "flags": 2**32 - 1,
    }  # fmt: skip
    first = pa.Table.from_pylist([table.slice(0, 1).to_pylist()[0] | extremes], schema=table.schema)
    return pa.concat_tables([first, table.slice(1)])


@pytest.fixture(scope="module")
def folder(stars: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "cds"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cds_files, "_PIECE_ROWS", 700)
        write_cds(out, stars.schema, STARS, lambda: [stars.slice(0, 1000), stars.slice(1000)], "3,000 stars, made up.")
    return out


def assert_equal_as_printed(found: Table, stars: pa.Table) -> None:
    assert found.colnames == stars.column_names
    decimals = {place.field.name: place.format.partition(".")[2] for place in layout(stars.schema, [stars])}
    for name in stars.column_names:
        expected, column = stars[name].to_numpy(), found[name]
        if pa.types.is_floating(stars[name].type):
            blank = ~np.isfinite(expected)
            values = np.ma.filled(np.ma.asarray(column, dtype=float), np.nan)
            np.testing.assert_array_equal(np.isnan(values), blank, err_msg=name)
            error = np.abs(values - expected.astype(np.float64))[~blank]
            assert error.max() <= 0.5001 * 10.0 ** -int(decimals[name]), name
        else:
            np.testing.assert_array_equal(np.asarray(column, dtype=expected.dtype), expected, err_msg=name)


def test_astropy_reads_it(folder: Path, stars: pa.Table) -> None:
    for name in ("catalog.dat.gz", "catalog.dat"):
        if name == "catalog.dat":
            (folder / name).write_bytes(gzip.decompress((folder / "catalog.dat.gz").read_bytes()))
        found = Table.read(folder / name, format="ascii.cds", readme=str(folder / "ReadMe"))
        assert found["source_id"].dtype == np.int64
        assert_equal_as_printed(found, stars)
    for field in CATALOG:
        unit = field.metadata[b"unit"].decode().replace("dex", "dex(Sun)")
        assert str(found[field.name].unit or "") == unit
        text, ucd = field.metadata[b"description"].decode(), field.metadata[b"ucd"].decode()
        limits = "[0/1] " if pa.types.is_boolean(field.type) else ""
        assert found[field.name].description.replace(" (1)", "") == f"{limits}{text} [ucd={ucd}]"


def test_the_readme_follows_the_standard(folder: Path, stars: pa.Table) -> None:
    lines = (folder / "ReadMe").read_text().splitlines()
    assert max(map(len, lines)) <= 80
    places = layout(stars.schema, [stars])
    (summary,) = [line.split() for line in lines if line.startswith("catalog.dat")]
    assert summary[1:3] == [str(places[-1].last), "3000"]
    data = gzip.decompress((folder / "catalog.dat.gz").read_bytes()).splitlines()
    assert {len(line) for line in data} == {places[-1].last}
    assert len(data) == STARS
    assert data[0].startswith(b"9223372036854775807 ")


def test_the_same_stars_give_the_same_bytes(folder: Path, stars: pa.Table, tmp_path: Path) -> None:
    path = write_cds(tmp_path / "again", stars.schema, STARS, lambda: [stars], "")
    assert gzip.decompress(path.read_bytes()) == gzip.decompress((folder / "catalog.dat.gz").read_bytes())
    again = write_cds(tmp_path / "and_again", stars.schema, STARS, lambda: [stars], "")
    assert path.read_bytes() == again.read_bytes()


def test_a_column_without_values_has_a_place() -> None:
    nothing = pa.table({"FEH": pa.nulls(2, pa.float32()), "source_id": [1, 2]})
    assert to_lines(nothing, layout(nothing.schema, [nothing])) == b"  1\n  2\n"


@pytest.mark.skipif(shutil.which("stilts") is None, reason="STILTS is not installed (Debian: apt install stilts)")
def test_stilts_reads_it(folder: Path, stars: pa.Table, tmp_path: Path) -> None:
    """As described in docs/catalog.md: STILTS reads header and lines from one file."""
    recipe = re.search(r"cd release/cds\n(.*?)```", (ROOT / "docs" / "catalog.md").read_text(), re.DOTALL)
    assert recipe is not None
    for name in ("ReadMe", "catalog.dat.gz"):
        shutil.copy(folder / name, tmp_path)
    done = subprocess.run(["bash", "-ec", recipe[1]], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = Table.read(tmp_path / "stars.fits", unit_parse_strict="silent")  # [Sun] is not a FITS unit
    found.convert_bytestring_to_unicode()
    assert_equal_as_printed(found, stars)
