"""Tables of labels, and compilations of the literature."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
from astropy.io import fits

from tests.cli.bad_input.case import (
    NOBODY,
    STAR,
    Case,
    Given,
    Make,
    both,
    file,
    fits_of_billions,
    folder,
    group,
    nothing,
    parquet,
)

SOUND = f"source_id,feh\n{STAR},-1.5\n"
TRAIN = "train --features {features} --out new/model --labels "


def true_labels(stars: int, **changed: float) -> Make:
    """Make labels.csv from some of the real labels, with columns set to one value."""

    def make(here: Path, given: Given) -> None:
        ids = pl.read_parquet(given.features / "part-00000.parquet", columns=["source_id"])
        labels = pl.read_parquet(given.labels).join(ids, on="source_id").head(stars)
        labels.with_columns(pl.lit(value).alias(name) for name, value in changed.items()).write_csv(here / "labels.csv")

    return make


def ids_and_feh(ids: object, feh: object) -> Make:
    return parquet("labels.parquet", {"source_id": ids, "feh": feh})


LABELS = {
    **group(
        "labels.csv",
        f"{TRAIN} labels.csv",
        {
            "UTF-16": (file("labels.csv", SOUND.encode("utf-16")), "labels.csv: is UTF-16 or binary, .* save it as"),
            "binary": (file("labels.csv", bytes(range(256)) * 40), "labels.csv: is UTF-16 or binary"),
            "gzip cut short": (file("labels.csv", gzip.compress(SOUND.encode())[:-9]), "labels.csv: cannot be read"),
            "empty": (file("labels.csv", ""), "labels.csv: is empty"),
            "only comments": (file("labels.csv", "# one\n#two\n\n"), "labels.csv: is empty, or holds nothing but"),
            "no rows": (file("labels.csv", "source_id,feh\n"), "labels.csv: the table is empty"),
            "no header": (file("labels.csv", f"{STAR},-1.5\n"), f"labels.csv: no column source_id; there are: {STAR}"),
            "no source_id": (file("labels.csv", "id,feh\n1,0\n"), "labels.csv: no column source_id; there are: id, f"),
            "no feh": (file("labels.csv", "source_id,FE_H\n1,0\n"), "labels.csv: no column feh; there are: source_id,"),
            "feh twice": (file("labels.csv", "source_id,feh,feh\n1,0,1\n"), "labels.csv: .*columns.* feh"),
            "dashes": (file("labels.csv", "source_id,feh\n1,--\n"), "labels.csv: row 0 has neither feh nor logg"),
            "text": (
                file("labels.csv", "source_id,feh\n1,0\n2,poor\n"),
                "feh of row 1 is 'poor', not a number",
            ),
            "comma decimals": (file("labels.csv", "source_id;feh\n1;-1,5\n"), "labels.csv: feh of row 0 is '-1,5'"),
            "placeholder": (file("labels.csv", "source_id,feh\n1,-9999\n"), "feh of row 0 is -9999, outside -6 to 1.5"),
            "infinite": (file("labels.csv", "source_id,feh\n1,inf\n"), "labels.csv: feh of row 0 is inf, outside"),
            "text ids": (file("labels.csv", "source_id,feh\nHD 1,0\n"), "labels.csv: source_id of row 0 is 'HD 1'"),
            "float ids": (file("labels.csv", "source_id,feh\n5.9e18,0\n"), "source_id of row 0 is '5.9e18'; write 64"),
            "missing ids": (file("labels.csv", "source_id,feh\n1,0\n,0\n"), "labels.csv: source_id of row 1 is missin"),
            "huge ids": (file("labels.csv", f"source_id,feh\n{2**64},0\n"), "labels.csv: source_id of row 0 is '1844"),
            "repeated ids": (file("labels.csv", "source_id,feh\n1,0\n2,0\n1,0\n"), "1 row repeats a source_id, row 2"),
            "text logg": (file("labels.csv", "source_id,feh,logg\n1,0,low\n"), "logg of row 0 is 'low', not a n"),
            "a folder": (folder("labels.csv"), "labels.csv: is a folder; name a file"),
            "missing": (nothing, "labels.csv: no such file"),
            "of other stars": (file("labels.csv", SOUND), "none of its 6000 stars has a label"),
            "of dwarfs": (true_labels(2000, logg=4.5), "no star passes the cuts"),
            "few": (true_labels(200), "are too few; at least 150 .one per cost bin.*; provide more labels"),
            "all alike": (true_labels(2000, feh=-1.0), "all training stars have .Fe/H. -1"),
        },
    ),
    **group(
        "labels.parquet",
        f"{TRAIN} labels.parquet",
        {
            "junk": (file("labels.parquet", b"PAR1 no PAR1"), "labels.parquet: cannot be read as a table"),
            "empty": (file("labels.parquet", b""), "labels.parquet: cannot be read as a table"),
            "struct": (ids_and_feh([1], [{"value": 0.0}]), "labels.parquet: no column feh; there are: source_id"),
            "nested": (ids_and_feh([1], [[[0.0]]]), "labels.parquet: no column feh"),
            "string lists": (ids_and_feh([1], [["0.0"]]), "labels.parquet: no column feh"),
            "float ids": (ids_and_feh([5.9e18], [0.0]), "labels.parquet: source_id is Float64; write 64-bit integers"),
            "null ids": (ids_and_feh([1, None], [0.0, 0.0]), "labels.parquet: source_id of row 1 is missing"),
            "truths": (ids_and_feh([1], [True]), "labels.parquet: feh is Boolean; write numbers"),
            "null feh": (ids_and_feh([1, 2], [0.0, None]), "labels.parquet: row 1 has neither feh nor logg"),
        },
    ),
    "labels: few, for workers": Case(f"{TRAIN} labels.csv --workers 2", true_labels(200), "are too few; at least 150"),
    "labels: unknown suffix": Case(f"{TRAIN} labels.xls", file("labels.xls", SOUND), "labels.xls: not a kind of table"),
    "labels: FITS without a table": Case(
        f"{TRAIN} labels.fits",
        lambda here, given: fits.PrimaryHDU(np.ones((3, 3))).writeto(here / "labels.fits"),
        "labels.fits: a FITS file, but without a table",
    ),
    "labels: junk FITS": Case(
        f"{TRAIN} labels.fits", file("labels.fits", b"hello" * 99), "labels.fits: not a FITS file"
    ),
    "labels: FITS of billions of columns": Case(
        f"{TRAIN} labels.fits", fits_of_billions("labels.fits"), "labels.fits: .*TFIELDS is above 999"
    ),
    "labels: VOTable is a web page": Case(
        f"{TRAIN} labels.vot", file("labels.vot", "<html><body>503</body></html>"), "labels.vot: is a web page"
    ),
    "labels: nobody's home": Case(f"{TRAIN} {NOBODY}/labels.csv", nothing, f"{NOBODY}/labels.csv: there is no user"),
    "labels: a name too long": Case(f"{TRAIN} {'x' * 300}.csv", nothing, "File name too long"),
    "labels: an empty name": Case(f"{TRAIN} ''", nothing, "an empty name"),
}


GAIA = file("gaia.csv", "source_id,ra,dec\n1,10,5\n")
TABLE = file("table.csv", "name,ra,dec,feh\nA,10,5,-1\n")


def compilation(content: str) -> Make:
    return both(GAIA, file("table.csv", content))


def _merge(content: str) -> Make:
    return both(file("survey.csv", SOUND), file("mine.csv", content))


COMPILATIONS = {
    **group(
        "labels of a compilation",
        "labels pastel table.csv --gaia gaia.csv --out new/labels.parquet",
        {
            "no position": (compilation("name,feh\nA,-1\n"), "table.csv: no column for RA and Dec"),
            "text position": (compilation("ra,dec,feh\nnorth,5,-1\n"), "table.csv: ra of row 0 is 'north', neither"),
            "dec 95": (compilation("ra,dec,feh\n10,95,-1\n"), "table.csv: dec of row 0 is 95, outside"),
            "text feh": (compilation("ra,dec,feh\n10,5,poor\n"), "table.csv: feh of row 0 is 'poor'"),
            "no match": (compilation("ra,dec,feh\n90,5,-1\n"), "table.csv: no stars left"),
            "Gaia's dec 95": (
                both(TABLE, file("gaia.csv", "source_id,ra,dec\n1,10,95\n")),
                "gaia.csv: dec of row 0 is 95",
            ),
            "no Gaia": (TABLE, "gaia.csv: no such file"),
        },
    ),
    **group(
        "labels merge",
        "labels merge survey.csv mine.csv --out new/labels.parquet",
        {
            "text feh": (_merge("source_id,feh\n1,poor\n"), "mine.csv: feh of row 0 is 'poor'"),
            "no feh": (_merge("source_id,x\n1,poor\n"), "mine.csv: no column feh"),
            "empty": (_merge("source_id,feh\n"), "mine.csv: the table is empty"),
            "carbon": (_merge("source_id,feh,carbon_rich\n1,-3,maybe\n"), "carbon_rich of row 0 is 'maybe'; write"),
            "no literature": (file("survey.csv", SOUND), "mine.csv: no such file"),
        },
    ),
    "labels: out is not Parquet": Case(
        "labels pastel table.csv --gaia gaia.csv --out labels.csv", both(GAIA, TABLE), "labels.csv: labels are written"
    ),
    "labels: --without has no ids": Case(
        "labels pastel table.csv --gaia gaia.csv --out labels.parquet --without train.csv",
        both(GAIA, TABLE, file("train.csv", "id\n1\n")),
        "train.csv: no column source_id",
    ),
}
