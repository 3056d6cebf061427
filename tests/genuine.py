"""Genuine Gaia files: those that astroquery's package carries, and those next to the checkout where there are any."""

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest
from xpfeh.files import package_file

SHARED = Path(__file__).parents[2] / "shared" / "data"
_STAR = "gaia/tests/data/gaia_dr3_source_id_5937083312263887616_dl_products_{}.zip"


def shared(relative: str) -> Path:
    """Return a file of ../shared/data, or skip the test where that folder is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs {relative} of ../shared/data, which is not next to this checkout")
    return path


def gaia_source_rows() -> pl.DataFrame:
    """Return the 50 genuine rows of gaiadr3.gaia_source that astroquery's tests carry."""
    content = json.loads(package_file("astroquery", "gaia/tests/data/cone_search.json").read_text())
    names = [column["name"] for column in content["metadata"]]
    return pl.DataFrame(content["data"], schema=names, orient="row", infer_schema_length=None)


def datalink_file(kind: str, folder: Path, product: str = "XP_CONTINUOUS") -> Path:
    """Unpack the one genuine star of astroquery's tests as csv, ecsv, fits or vot."""
    with zipfile.ZipFile(package_file("astroquery", _STAR.format(kind))) as files:
        (name,) = [n for n in files.namelist() if product in n]
        path = folder / f"star.{'xml' if kind == 'vot' else kind}"
        path.write_bytes(files.read(name))
    return path
