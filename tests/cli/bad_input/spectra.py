"""Files of spectra, and photometry and distances that belong to them."""

from __future__ import annotations

import numpy as np
from astropy.io import fits
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.library import NAME

from tests.cli.bad_input.case import (
    NOBODY,
    STAR,
    Case,
    Make,
    file,
    fits_of_billions,
    fits_table,
    folder,
    group,
    nothing,
    parquet,
)
from tests.cli.bad_input.labels import SOUND

SPECTRA = "spectra --out new/out.parquet "


def wide(*without: str) -> Make:
    """Make wide.fits, one column per coefficient, without those whose names start with a prefix."""
    names = ["source_id", *(f"{e}{band}_coeff_{i}" for e in ("", "e_") for band in ("bp", "rp") for i in range(55))]
    kept = [name for name in names if not name.startswith(without)] if without else names
    return fits_table("wide.fits", {name: [1] for name in kept})


def spectra_parquet(coefficients: object) -> Make:
    columns = {"source_id": [1], **{name: [[1.0]] for name in LIST_COLUMNS}, "bp_coefficients": coefficients}
    return parquet("spectra.parquet", columns)


SPECTRA_FILES = {
    **group(
        "spectra.csv",
        f"{SPECTRA} spectra.csv",
        {
            "UTF-16": (file("spectra.csv", SOUND.encode("utf-16")), "spectra.csv: is UTF-16 or binary"),
            "binary": (file("spectra.csv", bytes(range(256)) * 40), "spectra.csv: is UTF-16 or binary"),
            "empty": (file("spectra.csv", ""), "spectra.csv: is empty"),
            "only comments": (file("spectra.csv", "# one\n"), "spectra.csv: is empty, or holds nothing but comments"),
            "no spectra": (file("spectra.csv", SOUND), "spectra.csv: not a file of XP .* lacks bp_coefficients"),
            "no rows": (file("spectra.csv", ",".join(("source_id", *LIST_COLUMNS))), "spectra.csv: holds no star"),
            "missing": (nothing, "spectra.csv: no such file or folder"),
            "no file in it": (folder("spectra.csv", "readme.md"), "spectra.csv: no file here of a kind that can be"),
        },
    ),
    **group(
        "wide.fits",
        f"{SPECTRA} wide.fits",
        {
            "no source_id": (wide("source_id"), "wide.fits: .* lacks source_id"),
            "no RP": (wide("rp_", "e_rp_"), "wide.fits: .* without rp_coeff_0, e_rp_coeff_0"),
            "a column less": (wide("bp_coeff_7"), "wide.fits: .* without bp_coeff_7"),
            "junk": (file("wide.fits", b"hello" * 99), "wide.fits: not a FITS file"),
            "an image": (
                lambda here, given: fits.PrimaryHDU(np.ones((3, 3))).writeto(here / "wide.fits"),
                "wide.fits: .*without a table",
            ),
            "another layout": (fits_table("wide.fits", {"a": [1]}), "wide.fits: holds no XP spectra"),
        },
    ),
    **group(
        "spectra.parquet",
        f"{SPECTRA} spectra.parquet",
        {
            "junk": (file("spectra.parquet", b"PAR1 no PAR1"), "spectra.parquet: cannot be read to its end"),
            "struct": (spectra_parquet([{"a": 1.0}]), "spectra.parquet: bp_coefficients is struct.*; a list of"),
            "nested": (spectra_parquet([[[1.0]]]), "spectra.parquet: bp_coefficients is list<.*list<"),
            "a number too few": (spectra_parquet([[1.0]]), "spectra.parquet: 1 BP and 1 RP coefficients belong to no"),
        },
    ),
    "spectra: VOTable is a web page": Case(
        f"{SPECTRA} star.xml", file("star.xml", "<html><body>503</body></html>"), "star.xml: is a web page"
    ),
    "spectra: unknown suffix": Case(f"{SPECTRA} star.doc", file("star.doc", SOUND), "star.doc: no file here of a kind"),
    "spectra: glob without a match": Case(f"{SPECTRA} 'Xp*.csv'", nothing, r"Xp\*.csv: no file matches"),
    "spectra: brackets without a match": Case(f"{SPECTRA} 'star[1].csv'", nothing, r"star\[1\].csv: no file matches"),
    "spectra: nobody's home": Case(f"{SPECTRA} {NOBODY}/x.csv", nothing, f"{NOBODY}/x.csv: there is no user"),
    "spectra: unknown stage": Case(
        "spectra {star} --out out.fits --stage raw", nothing, "--stage raw: unknown; choose from calib"
    ),
    "spectra: a suffix not to be written": Case("spectra {star} --out out.xls", nothing, "out.xls: not a kind of file"),
    "spectra: lists as CSV": Case("spectra {star} --out out.csv", nothing, "CSV cannot hold the columns flux"),
    "spectra: out is a folder": Case("spectra {star} --out out.fits", folder("out.fits"), "out.fits: is a folder"),
    "spectra: out under a file": Case("spectra {star} --out a/out.fits", file("a", ""), "out.fits: cannot be written"),
    "spectra: out in a bucket": Case(
        "spectra {star} --out s3://b/out.fits", nothing, "s3://b/out.fits: must be a local"
    ),
    "spectra: out nobody's": Case(
        f"spectra {{star}} --out {NOBODY}/a.fits", nothing, f"{NOBODY}/a.fits: there is no u"
    ),
    "spectra: out empty": Case("spectra {star} --out ''", nothing, "an empty name"),
}


PHOTOMETRY = "source_id,ra,dec,phot_g_mean_mag,phot_bp_mean_mag,phot_rp_mean_mag\n"


def photometry(row: str) -> Make:
    return file("photometry.csv", PHOTOMETRY + row)


COMPANIONS = {
    **group(
        "photometry",
        "spectra {star} --stage dereddened --out new/out.fits --photometry photometry.csv",
        {
            "dec 95": (photometry(f"{STAR},1,95,9,9,9\n"), "photometry.csv: dec of row 0 is 95, outside -90 to 90"),
            "E(B-V) -1": (
                file("photometry.csv", f"{PHOTOMETRY[:-1]},EBV\n{STAR},1,5,9,9,9,-1\n"),
                "photometry.csv: EBV of row 0 is -1, outside 0 to 100",
            ),
            "text": (photometry(f"{STAR},1,5,bright,9,9\n"), "photometry.csv: phot_g_mean_mag of row 0 is 'bright'"),
            "text ids": (photometry("HD 1,1,5,9,9,9\n"), "photometry.csv: source_id of row 0 is 'HD 1'"),
            "a column less": (file("photometry.csv", f"source_id,ra\n{STAR},1\n"), "photometry.csv: no column dec and"),
            "repeated": (photometry(f"{STAR},1,5,9,9,9\n" * 2), "photometry.csv: 1 row repeats a source_id"),
            "UTF-16": (file("photometry.csv", PHOTOMETRY.encode("utf-16")), "photometry.csv: is UTF-16"),
            "missing": (nothing, "photometry.csv: no such file"),
        },
    ),
    **group(
        "distances",
        "spectra {star} --stage dereddened --out new/out.fits --distances distances.csv",
        {
            "text": (file("distances.csv", f"source_id,rgeo\n{STAR},far\n"), "distances.csv: rgeo of row 0 is 'far'"),
            "no distance": (file("distances.csv", f"source_id,r\n{STAR},1\n"), "distances.csv: no column r_med_geo or"),
            "dashes": (file("distances.csv", f"source_id,rgeo\n{STAR},--\n"), "distances.csv: no column .*with values"),
        },
    ),
    **{
        f"{kind}: FITS of billions of columns": Case(
            f"spectra {{star}} --stage dereddened --out new/out.fits --{kind} table.fits",
            fits_of_billions("table.fits"),
            "table.fits: .*TFIELDS is above 999",
        )
        for kind in ("photometry", "distances")
    },
    "predict: a map of another name": Case(
        "predict {star} --model {bundle} --out out.fits --dust-map planck", nothing, "setting dust_map: .*'planck'"
    ),
    "predict: a map that the recipe does not take": Case(
        "predict {star} --model {bundle} --out out.fits --dust-map sfd", nothing, "recipe paper dereddens with the map"
    ),
    "photometry: of a library": Case(
        f"ingest {NAME} --out features --photometry photometry.csv",
        photometry(f"{STAR},1,5,9,9,9\n"),
        f"{NAME}: has its own photometry",
    ),
    "photometry: dec 95 is found before a long run": Case(
        "ingest {star} --out features --photometry photometry.csv",
        photometry(f"{STAR},1,95,9,9,9\n"),
        "photometry.csv: dec of row 0 is 95",
    ),
    "distances: text is found before a long run": Case(
        "ingest {star} --out features --distances distances.csv",
        file("distances.csv", f"source_id,rgeo\n{STAR},far\n"),
        "distances.csv: rgeo of row 0 is 'far'",
    ),
}
