"""Bad input of every kind, through the command line: one line that names the place, exit code 2, nothing left behind.

A case is a command, what makes its files in an empty working directory, and what the line must say. No case may start
Ray or train: mistakes are found before that.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shlex
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from xpfeh.cli.main import main
from xpfeh.columns import features_schema, to_table
from xpfeh.commands.catalog import make_work, plan_catalog
from xpfeh.commands.ingest import make_work as make_features
from xpfeh.commands.ingest import plan_features
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.plan import Plan, Shard
from xpfeh.dataset.records import Delivery
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_runs
from xpfeh.inference.bundle import CARD, ERRORS, WEIGHTS, packed
from xpfeh.provenance import code_version
from xpfeh.settings import PreprocessSettings
from xpfeh.sources.coefficients import LIST_COLUMNS
from xpfeh.sources.library import NAME
from xpfeh.tables import read_table
from xpfeh.training.fit import Member
from xpfeh.xp import correction_tables, dust
from xpfeh.xp.preprocess import preprocess

from tests.conftest import library_stars
from tests.genuine import datalink_file

SECONDS = 20.0  # on a busy machine; the slowest case takes three
STAR = 5_937_083_312_263_887_616
NOBODY = "~nosuchuser"


# --- what cases are made of ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """Sound input, made once; cases read it, or alter a copy."""

    features: Path
    labels: Path
    bundle: Path
    catalog: Path
    star: Path
    """A file of one genuine spectrum (DataLink's CSV)."""
    mlflow: str
    port: int
    """Nobody listens there."""


Make = Callable[[Path, Given], object]


@dataclass(frozen=True)
class Case:
    """A command that must fail; `{features}` and the like in it are paths of `Given`."""

    command: str
    make: Make
    message: str
    environment: Mapping[str, str] = field(default_factory=dict)


def nothing(here: Path, given: Given) -> None:
    """Make no file."""


def file(name: str, content: bytes | str) -> Make:
    """Make a file."""
    data = content.encode() if isinstance(content, str) else content

    def make(here: Path, given: Given) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)

    return make


def folder(name: str, *files: str) -> Make:
    """Make a folder with empty files."""

    def make(here: Path, given: Given) -> None:
        (here / name).mkdir(parents=True)
        for each in files:
            (here / name / each).touch()

    return make


def parquet(name: str, columns: Mapping[str, Any]) -> Make:
    return lambda here, given: pq.write_table(pa.table(columns), here / name)


def fits_table(name: str, columns: Mapping[str, Any]) -> Make:
    return lambda here, given: Table(columns).write(here / name)


def copy(what: str, name: str, *changes: Callable[[Path], object]) -> Make:
    """Copy a folder of `Given` and change the copy."""

    def make(here: Path, given: Given) -> None:
        shutil.copytree(getattr(given, what), here / name)
        for change in changes:
            change(here / name)

    return make


def both(*makes: Make) -> Make:
    def make(here: Path, given: Given) -> None:
        for each in makes:
            each(here, given)

    return make


def group(name: str, command: str, cases: Mapping[str, tuple[Make, str]]) -> dict[str, Case]:
    """Cases of one command."""
    return {f"{name}: {title}": Case(command, make, message) for title, (make, message) in cases.items()}


# --- tables of labels -------------------------------------------------------------------------------------------

SOUND = f"source_id,feh\n{STAR},-1.5\n"
TRAIN = "train --features {features} --out new/model --labels "


def true_labels(stars: int, **changed: float) -> Make:
    """Make labels.csv of some of the real labels, with columns set to one value."""

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
            "no feh": (file("labels.csv", "source_id,FEH\n1,0\n"), "labels.csv: no column feh; there are: source_id,"),
            "feh twice": (file("labels.csv", "source_id,feh,feh\n1,0,1\n"), "labels.csv: .*columns.* feh"),
            "dashes": (file("labels.csv", "source_id,feh\n1,--\n"), "labels.csv: feh of row 0 is missing"),
            "text": (file("labels.csv", "source_id,feh\n1,0\n2,poor\n"), "labels.csv: feh of row 1 is 'poor', which"),
            "comma decimals": (file("labels.csv", "source_id;feh\n1;-1,5\n"), "labels.csv: feh of row 0 is '-1,5'"),
            "placeholder": (file("labels.csv", "source_id,feh\n1,-9999\n"), "feh of row 0 is -9999, outside -6 to 1.5"),
            "infinite": (file("labels.csv", "source_id,feh\n1,inf\n"), "labels.csv: feh of row 0 is inf, outside"),
            "text ids": (file("labels.csv", "source_id,feh\nHD 1,0\n"), "labels.csv: source_id of row 0 is 'HD 1'"),
            "float ids": (file("labels.csv", "source_id,feh\n5.9e18,0\n"), "source_id of row 0 is '5.9e18'; write 64"),
            "missing ids": (file("labels.csv", "source_id,feh\n1,0\n,0\n"), "labels.csv: source_id of row 1 is missin"),
            "huge ids": (file("labels.csv", f"source_id,feh\n{2**64},0\n"), "labels.csv: source_id of row 0 is '1844"),
            "repeated ids": (file("labels.csv", "source_id,feh\n1,0\n2,0\n1,0\n"), "1 rows repeat a source_id, row 2"),
            "text logg": (file("labels.csv", "source_id,feh,logg\n1,0,low\n"), "logg of row 0 is 'low', which is no n"),
            "a folder": (folder("labels.csv"), "labels.csv: is a folder; name a file"),
            "missing": (nothing, "labels.csv: no such file"),
            "of other stars": (file("labels.csv", SOUND), "none of its 6000 stars has a label"),
            "of dwarfs": (true_labels(2000, logg=4.5), "no star passes the cuts"),
            "few": (true_labels(200), "are too few; at least 150 .one a cost bin.*; give more labels"),
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
            "null feh": (ids_and_feh([1, 2], [0.0, None]), "labels.parquet: feh of row 1 is missing"),
        },
    ),
    "labels: few, for workers": Case(f"{TRAIN} labels.csv --workers 2", true_labels(200), "are too few; at least 150"),
    "labels: unknown suffix": Case(f"{TRAIN} labels.xls", file("labels.xls", SOUND), "labels.xls: not a kind of table"),
    "labels: FITS without a table": Case(
        f"{TRAIN} labels.fits",
        lambda here, given: fits.PrimaryHDU(np.ones((3, 3))).writeto(here / "labels.fits"),
        "labels.fits: cannot be read as a table",
    ),
    "labels: junk FITS": Case(
        f"{TRAIN} labels.fits", file("labels.fits", b"hello" * 99), "labels.fits: cannot be read"
    ),
    "labels: VOTable is a web page": Case(
        f"{TRAIN} labels.vot", file("labels.vot", "<html><body>503</body></html>"), "labels.vot: cannot be read"
    ),
    "labels: nobody's home": Case(f"{TRAIN} {NOBODY}/labels.csv", nothing, f"{NOBODY}/labels.csv: there is no user"),
    "labels: a name too long": Case(f"{TRAIN} {'x' * 300}.csv", nothing, "File name too long"),
    "labels: an empty name": Case(f"{TRAIN} ''", nothing, "an empty name"),
}

# --- spectra ------------------------------------------------------------------------------------------------------

SPECTRA = "spectra --out new/out.parquet "


def wide(*without: str) -> Make:
    """Make wide.fits, a column a coefficient, without those whose name begins so."""
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
            "another layout": (fits_table("wide.fits", {"a": [1]}), "wide.fits: .*columns are missing"),
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
    "spectra: glob without a match": Case(f"{SPECTRA} 'Xp*.csv'", nothing, r"Xp\*.csv: no file has such a name"),
    "spectra: brackets without a match": Case(f"{SPECTRA} 'star[1].csv'", nothing, r"star\[1\].csv: no file has such"),
    "spectra: nobody's home": Case(f"{SPECTRA} {NOBODY}/x.csv", nothing, f"{NOBODY}/x.csv: there is no user"),
    "spectra: unknown stage": Case(
        "spectra {star} --out out.fits --stage raw", nothing, "--stage raw: there are calib"
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

# --- what belongs to spectra --------------------------------------------------------------------------------------

PHOTOMETRY = "source_id,ra,dec,phot_g_mean_mag,phot_bp_mean_mag,phot_rp_mean_mag\n"


def photometry(row: str) -> Make:
    return file("photometry.csv", PHOTOMETRY + row)


COMPANIONS = {
    **group(
        "photometry",
        "spectra {star} --stage dereddened --out new/out.fits --photometry photometry.csv",
        {
            "dec 95": (photometry(f"{STAR},1,95,9,9,9\n"), "photometry.csv: dec of row 0 is 95, outside -90 to 90"),
            "text": (photometry(f"{STAR},1,5,bright,9,9\n"), "photometry.csv: phot_g_mean_mag of row 0 is 'bright'"),
            "text ids": (photometry("HD 1,1,5,9,9,9\n"), "photometry.csv: source_id of row 0 is 'HD 1'"),
            "a column less": (file("photometry.csv", f"source_id,ra\n{STAR},1\n"), "photometry.csv: no column dec and"),
            "repeated": (photometry(f"{STAR},1,5,9,9,9\n" * 2), "photometry.csv: 1 rows repeat a source_id"),
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
    "photometry: of a library": Case(
        f"ingest {NAME} --out features --photometry photometry.csv",
        photometry(f"{STAR},1,5,9,9,9\n"),
        f"{NAME}: has photometry of its own",
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

# --- compilations -------------------------------------------------------------------------------------------------

GAIA = file("gaia.csv", "source_id,ra,dec\n1,10,5\n")
TABLE = file("table.csv", "name,ra,dec,feh\nA,10,5,-1\n")


def compilation(content: str) -> Make:
    return both(GAIA, file("table.csv", content))


COMPILATIONS = {
    **group(
        "labels of a compilation",
        "labels pastel table.csv --gaia gaia.csv --out new/labels.parquet",
        {
            "no position": (compilation("name,feh\nA,-1\n"), "table.csv: no column for RA and Dec"),
            "text position": (compilation("ra,dec,feh\nnorth,5,-1\n"), "table.csv: ra of row 0 is 'north', neither"),
            "dec 95": (compilation("ra,dec,feh\n10,95,-1\n"), "table.csv: dec of row 0 is 95, outside"),
            "text feh": (compilation("ra,dec,feh\n10,5,poor\n"), "table.csv: feh of row 0 is 'poor'"),
            "no match": (compilation("ra,dec,feh\n90,5,-1\n"), "table.csv: no star is left"),
            "Gaia's dec 95": (
                both(TABLE, file("gaia.csv", "source_id,ra,dec\n1,10,95\n")),
                "gaia.csv: dec of row 0 is 95",
            ),
            "no Gaia": (TABLE, "gaia.csv: no such file"),
        },
    ),
    "labels: unknown compilation": Case(
        "labels galah table.csv --gaia gaia.csv --out labels.parquet", both(GAIA, TABLE), "'galah' are not known"
    ),
    "labels: without --gaia": Case("labels saga table.csv --out labels.parquet", TABLE, "saga need --gaia"),
    "labels: out is no Parquet": Case(
        "labels pastel table.csv --gaia gaia.csv --out labels.csv", both(GAIA, TABLE), "labels.csv: labels are written"
    ),
    "labels: --without has no ids": Case(
        "labels pastel table.csv --gaia gaia.csv --out labels.parquet --without train.csv",
        both(GAIA, TABLE, file("train.csv", "id\n1\n")),
        "train.csv: no column source_id",
    ),
}

# --- settings -----------------------------------------------------------------------------------------------------


def settings(command: str, wrong: Mapping[str, str]) -> dict[str, Case]:
    return {f"--set {pair}": Case(f"{command} --set '{pair}'", nothing, message) for pair, message in wrong.items()}


SETTINGS = {
    **settings(
        f"ingest {NAME} --out new/features",
        {
            "pixels=60": "--set pixels=60: no setting of that name.* n_pixels",
            "n_pixels": "--set n_pixels: no setting of that name. Write NAME=VALUE",
            "n_pixels=many": "setting n_pixels: .*integer",
            "n_pixels=60.5": "setting n_pixels: .*integer",
            "n_pixels=1000": "setting n_pixels: .*less than or equal to 343",
            "n_pixels=-1": "setting n_pixels: .*greater than or equal to 2",
            "n_pixels=NaN": "setting n_pixels",
            "normalise_nm=[100, 200]": "setting normalise_nm: .*between 336 and 1020 nm",
            "normalise_nm=[560, 540]": "normalise_nm",
            "normalise_nm=[540.5, 541.5]": "normalise_nm",
            "normalise_nm=[NaN, 560]": "setting normalise_nm",
            "normalise_nm=550": "setting normalise_nm",
            "normalise_nm=[550]": "setting normalise_nm",
            "r_g=1e400": "setting r_g: .*finite",
            "r_bp=-1": "setting r_bp: .*greater than or equal to 0",
            "sun_height_pc=inf": "setting sun_height_pc: ",
            "dust_map=planck": "setting dust_map: .*'sfd-nside64' or 'sfd'",
            "dust_map=sfd": "xpfeh fetch sfd",
            "correction=huang2024": "untruc_interC2_CM.csv",
            "pixel_error=exact": "pixel_error=exact needs coefficients",
            "release=dr5": "setting release",
        },
    ),
    **settings(
        "ingest {star} --out new/features", {"release=dr4": "star.csv: holds spectra of DR3, the settings say DR4"}
    ),
    **settings(
        "train --features {features} --labels {labels} --out new/model",
        {
            "learning_rate=1e400": "setting learning_rate: .*finite",
            "learning_rate=NaN": "setting learning_rate",
            "learning_rate=-1": "setting learning_rate: .*greater than 0",
            "learning_rate=1e30": "setting learning_rate: .*less than or equal to 1",
            "cost_bins=[0, 0]": "setting cost_bins.0: .*greater than 0",
            "cost_bins=[-3, 5]": "setting cost_bins",
            "cost_bins=[10]": "setting cost_bins",
            "cost_gamma=1e400": "setting cost_gamma: .*finite",
            "hidden=[0]": "settings: layer widths must be at least 1$",
            "hidden=256": "setting hidden",
            "members=0": "setting members: .*greater than or equal to 1",
            "members=1.5": "setting members",
            "cross_fit=true": "settings: cross_fit needs at least 2 members$",
            "cross_fit=maybe": "setting cross_fit",
            "seed=-1": "setting seed: .*greater than or equal to 0",
            "steps=0": "setting steps",
            "l2=NaN": "setting l2",
            "noise=-0.1": "setting noise",
            "clip_norm=1e400": "setting clip_norm: .*finite",
            "activation=sin": "setting activation",
            "schedule=[1, 2]": "setting schedule",
        },
    ),
    "an unknown recipe": Case(
        "train --features {features} --labels {labels} --out model --recipe papier", nothing, "recipe 'papier'"
    ),
}

# --- datasets -----------------------------------------------------------------------------------------------------

PLAN = "_xpfeh/plan.json"
RECORD = "_xpfeh/done/part-00001.json"
PART = "part-00001.parquet"


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    return lambda dataset: (dataset / name).write_bytes(content.encode() if isinstance(content, str) else content)


def remove(name: str) -> Callable[[Path], object]:
    return lambda dataset: (dataset / name).unlink()


def edit_json(name: str, **values: object) -> Callable[[Path], object]:
    """Set keys of a JSON file; those set to None are removed."""

    def change(dataset: Path) -> None:
        now = {**json.loads((dataset / name).read_text()), **values}
        (dataset / name).write_text(json.dumps({key: value for key, value in now.items() if value is not None}))

    return change


def flip_a_bit(name: str) -> Callable[[Path], object]:
    """Change a file's bytes and not its size."""

    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 0x10
        (folder / name).write_bytes(content)

    return change


def replace_part(dataset: Path) -> None:
    """Put another sound part in a part's place, as if it had the same size."""
    content = (dataset / "part-00000.parquet").read_bytes()
    (dataset / PART).write_bytes(content)
    edit_json(RECORD, bytes=len(content))(dataset)


def lost_beside_a_stranger(dataset: Path) -> None:
    (dataset / PART).rename(dataset / "mine.parquet")


def older_plan(dataset: Path) -> None:
    """Write the plan under another name of the shards."""
    plan = json.loads((dataset / PLAN).read_text())
    plan["pieces"] = plan.pop("shards")
    (dataset / PLAN).write_text(json.dumps(plan))


CHANGED = "(is not the part that was recorded|was changed after it was recorded); delete it"


def damaged(what: str) -> dict[str, tuple[Make, str]]:
    """Faults of a dataset, and what every command says of them."""
    return {
        "part altered": (copy(what, "data", flip_a_bit(PART)), f"data/{PART}: {CHANGED}"),
        "part of another size": (copy(what, "data", write(PART, b"junk")), "data: 1 of 3 parts .*first: part-00001"),
        "part replaced": (copy(what, "data", replace_part), f"data/{PART}: {CHANGED}"),
        "part gone beside a stranger": (copy(what, "data", lost_beside_a_stranger), "data: 1 of 3 parts are missing"),
        "part and record of elsewhere": (
            copy(what, "data", edit_json(RECORD, source_fingerprint="md5:0")),
            "data: 1 of 3 parts are missing",
        ),
        "unfinished": (copy(what, "data", remove(RECORD)), "data: 1 of 3 parts are missing"),
        "record of another shard": (
            copy(what, "data", edit_json(RECORD, shard="part-00002")),
            "data: 1 of 3 parts are",
        ),
    }


def unreadable(what: str) -> dict[str, tuple[Make, str]]:
    """Faults of a dataset's ledger."""
    return {
        "no plan": (copy(what, "data", remove(PLAN)), "data: no dataset of xpfeh here"),
        "empty plan": (copy(what, "data", write(PLAN, "")), "data/_xpfeh/plan.json: not a plan of this version"),
        "plan cut short": (copy(what, "data", write(PLAN, '{"kind": ')), "data/_xpfeh/plan.json: not a plan"),
        "binary plan": (copy(what, "data", write(PLAN, b"\xff\xfe\0")), "data/_xpfeh/plan.json: not a plan"),
        "plan is a list": (copy(what, "data", write(PLAN, "[1, 2]")), "data/_xpfeh/plan.json: not a plan"),
        "plan of an older format": (copy(what, "data", older_plan), "data/_xpfeh/plan.json: not a plan.*shards"),
        "empty record": (copy(what, "data", write(RECORD, "")), f"data/{RECORD}: not a record of this version"),
        "record of no bytes": (
            copy(what, "data", edit_json(RECORD, bytes=None)),
            f"data/{RECORD}: not a record.*bytes",
        ),
        "a file": (file("data", "x"), "data: no dataset of xpfeh here"),
        "missing": (nothing, "data: no dataset of xpfeh here"),
    }


BUCKET = "s3://bucket/data?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
DATASETS = {
    **group(
        "train", "train --features data --labels {labels} --out new/model", damaged("features") | unreadable("features")
    ),
    **group("promote", "promote 12ab --features data --labels {labels}", damaged("features")),
    **group("tune", "tune --features data --labels {labels}", damaged("features")),
    **group(
        "validate", "validate --features data --labels {labels} --model {bundle} --out new/report", damaged("features")
    ),
    **group(
        "catalog run",
        "catalog run --features data --model {bundle} --out new/catalog",
        # What is altered within the same size is found by the workers, see below.
        {title: case for title, case in damaged("features").items() if title not in ("part altered", "part replaced")}
        | unreadable("features"),
    ),
    **group("publish", "catalog publish data --out new/release", damaged("catalog") | unreadable("catalog")),
    **group("status", "status data", unreadable("catalog")),
    **group(
        "failed",
        "failed data",
        {
            "a folder": (folder("data"), "data: no dataset of xpfeh here"),
            "corrupt": (
                both(copy("catalog", "data"), file("data/_xpfeh/failed/part-00001.json", "{}")),
                "failed/part-00001.json: not a failure of this version",
            ),
        },
    ),
    "verify: a folder": Case("verify data", folder("data"), "data: no dataset of xpfeh here"),
    "train: a catalog": Case(
        "train --features {catalog} --labels {labels} --out model", nothing, "holds a dataset of kind catalog, not feat"
    ),
    "catalog run: a catalog": Case(
        "catalog run --features {catalog} --model {bundle} --out catalog", nothing, "kind catalog, not features"
    ),
    "publish: features": Case("catalog publish {features} --out release", nothing, "kind features, not catalog"),
    # Six seconds, which pyarrow spends on asking again.
    "train: a bucket that is away": Case(
        f"train --features '{BUCKET}' --labels {{labels}} --out model", nothing, "s3://bucket/data.*: cannot be opened"
    ),
    "ingest: no bucket": Case("ingest s3:// --out features", nothing, "s3://: .*names no bucket"),
    "ingest: out in no bucket": Case("ingest {star} --out s3://", nothing, "s3://: .*names no bucket"),
    "publish: an option that S3 has not": Case(
        "catalog publish 's3://bucket/data?colour=red' --out release", nothing, "s3://bucket.*: cannot be opened"
    ),
    "features: an unknown scheme": Case("status hdfz://data", nothing, "hdfz://data: cannot be opened"),
}

# --- outputs ------------------------------------------------------------------------------------------------------

OUTPUTS = {
    "ingest: out holds another run": Case(
        "ingest {star} --out data", copy("features", "data"), f"data holds another run: .*{NAME} is gone"
    ),
    "ingest: out is a file": Case("ingest {star} --out data", file("data", ""), "data: cannot become a folder"),
    "ingest: out under a file": Case(
        "ingest {star} --out data/new", file("data", ""), "data/new: cannot become a folder"
    ),
    "ingest: out empty": Case("ingest {star} --out ''", nothing, "an empty name"),
    "catalog run: out holds features": Case(
        "catalog run --features data --model {bundle} --out data",
        copy("features", "data"),
        "data holds another run: kind 'features' -> 'catalog'",
    ),
    "catalog run: out is a file": Case(
        "catalog run --features {features} --model {bundle} --out data",
        file("data", ""),
        "data: cannot become a folder",
    ),
    "train: out is a file": Case(
        "train --features {features} --labels {labels} --out model",
        file("model", ""),
        "model: is a file; name a folder",
    ),
    "train: out under a file": Case(
        "train --features {features} --labels {labels} --out a/model", file("a", ""), "a/model: cannot be written"
    ),
    "train: out holds other files": Case(
        "train --features {features} --labels {labels} --out model",
        folder("model", "thesis"),
        "model: holds other files",
    ),
    "train: out in a bucket": Case(
        "train --features {features} --labels {labels} --out s3://b/model",
        nothing,
        "s3://b/model: must be a local path",
    ),
    "validate: out is a file": Case(
        "validate --features {features} --labels {labels} --model {bundle} --out report",
        file("report", ""),
        "report: is a file",
    ),
    "validate: out holds other files": Case(
        "validate --features {features} --labels {labels} --model {bundle} --out report",
        folder("report", "thesis"),
        "report: holds other files",
    ),
    "publish: out is a file": Case(
        "catalog publish {catalog} --out release", file("release", ""), "release: is a file"
    ),
    "publish: out under a file": Case(
        "catalog publish {catalog} --out a/b/c", file("a", ""), "a/b/c: cannot be written"
    ),
    "publish: out holds other files": Case(
        "catalog publish {catalog} --out release", folder("release", "thesis"), "release: holds other files"
    ),
    "publish: out in a bucket": Case(
        "catalog publish {catalog} --out s3://b/r", nothing, "s3://b/r: must be a local path"
    ),
    "publish: unknown format": Case(
        "catalog publish {catalog} --out r --format xls", nothing, "no such format: xls; cho"
    ),
    "publish: unknown sample": Case(
        "catalog publish {catalog} --out r --sample x", nothing, "no such sample: x; choose"
    ),
    "publish: a sample of no star": Case(
        "catalog publish {catalog} --out r --sample paper", nothing, "no star belongs to the sample paper"
    ),
    "demo: out holds other files": Case("demo --out demo", folder("demo", "thesis"), "demo: holds other files"),
    "compare: page is a folder": Case("compare --html page.html", folder("page.html"), "page.html: is a folder"),
    "predict: out is a folder": Case(
        "predict {star} --model {bundle} --out a.fits", folder("a.fits"), "a.fits: is a folder; name a file"
    ),
}

# --- models -------------------------------------------------------------------------------------------------------


def with_checksum(name: str, content: bytes) -> Callable[[Path], object]:
    """Write a file of a bundle, and its checksum into the card."""

    def change(bundle: Path) -> None:
        (bundle / name).write_bytes(content)
        card = json.loads((bundle / CARD).read_text())
        card["sha256"][name] = hashlib.sha256(content).hexdigest()
        (bundle / CARD).write_text(json.dumps(card))

    return change


def edit_card(section: str, **values: object) -> Callable[[Path], object]:
    """Set keys of a section of the card."""

    def change(bundle: Path) -> None:
        card = json.loads((bundle / CARD).read_text())
        card[section] |= values
        (bundle / CARD).write_text(json.dumps(card))

    return change


def edit_errors(section: str, **values: object) -> Callable[[Path], object]:
    """Set constants of the errors, with the right checksum."""

    def change(bundle: Path) -> None:
        errors = json.loads((bundle / ERRORS).read_text())
        errors[section] |= values
        with_checksum(ERRORS, json.dumps(errors).encode())(bundle)

    return change


def altered(*changes: Callable[[Path], object]) -> Make:
    return copy("bundle", "model", *changes)


def small_features(here: Path, given: Given) -> None:
    """Features of 30 pixels, which the model does not take."""
    wanted = PreprocessSettings(n_pixels=30)
    shard = Shard(name="part-00000", source=NAME, rows=10)
    plan = Plan(kind="features", inputs={NAME: ""}, settings=wanted, shards=[shard], made_by=code_version())
    table = to_table(preprocess(library_stars(0, 10), wanted), features_schema(30))
    Dataset.begin(here / "small", plan).commit(shard, [Delivery(table)])


MODELS = {
    **group(
        "model",
        "predict {star} --model model --out new/answer.fits",
        {
            "missing": (nothing, "model: not a model bundle"),
            "a file": (file("model", ""), "model: not a model bundle"),
            "an empty folder": (folder("model"), "model: not a model bundle .no readable card.json"),
            "card is a folder": (folder("model/card.json"), "model: not a model bundle"),
            "card is no JSON": (altered(write(CARD, "{")), "model: not a model bundle"),
            "card is binary": (altered(write(CARD, b"\xff\xfe\0")), "model: not a model bundle"),
            "card is a list": (altered(write(CARD, "[]")), "model: not a model bundle"),
            "format 1": (altered(edit_json(CARD, format=1)), "model: bundle of format 1, this version reads format 2"),
            "format 99": (altered(edit_json(CARD, format=99)), "model: bundle of format 99"),
            "card without recipe": (altered(edit_json(CARD, recipe=None)), "card.json: recipe: .*required"),
            "card of another key": (altered(edit_json(CARD, colour="red")), "card.json: colour: "),
            "card of no members": (altered(edit_card("recipe", members=0)), "card.json: recipe.members: "),
            "card of other widths": (
                altered(edit_card("recipe", hidden=[8, 4])),
                f"model: {WEIGHTS} or {ERRORS} do not",
            ),
            "card of other members": (
                altered(edit_card("recipe", members=3)),
                f"model: {WEIGHTS} or {ERRORS} do not fit",
            ),
            "card of other pixels": (
                altered(edit_card("preprocess", n_pixels=30)),
                f"model: {WEIGHTS} or {ERRORS} do not",
            ),
            "weights altered": (altered(flip_a_bit(WEIGHTS)), f"{WEIGHTS}: not the file that card.json names"),
            "weights missing": (altered(remove(WEIGHTS)), f"{WEIGHTS}: not the file that card.json names"),
            "errors altered": (altered(flip_a_bit(ERRORS)), f"{ERRORS}: not the file that card.json names"),
            "weights corrupt": (altered(with_checksum(WEIGHTS, b"junk")), f"model: {WEIGHTS} or {ERRORS} do not fit"),
            "errors corrupt": (altered(with_checksum(ERRORS, b"{}")), f"model: {WEIGHTS} or {ERRORS} do not fit"),
            "errors of other pixels": (
                altered(edit_errors("domain", mean=[0.0], components=[[1.0]], variances=[1.0])),
                f"model: {WEIGHTS} or {ERRORS} do not fit",
            ),
            "errors of other quantiles": (
                altered(edit_errors("calibration", intercepts=[0.0])),
                f"model: {WEIGHTS} or {ERRORS} do not fit",
            ),
        },
    ),
    "model: no champion": Case("predict {star} --out a.fits", nothing, "models:/xpfeh@champion: no model of that name"),
    "model: nobody": Case(
        "predict {star} --model models:/xpfeh@nobody --out a.fits", nothing, "models:/xpfeh@nobody: no"
    ),
    "model: no version": Case(
        "predict {star} --model models:/none/3 --out a.fits", nothing, "models:/none/3: cannot be"
    ),
    "model: odd address": Case("predict {star} --model models:/ --out a.fits", nothing, "models:/: "),
    "model: empty": Case("predict {star} --model '' --out a.fits", nothing, "an empty name"),
    "catalog run: no model": Case(
        "catalog run --features {features} --model model --out catalog", nothing, "model: not a model bundle"
    ),
    "catalog run: other features": Case(
        "catalog run --features small --model {bundle} --out catalog",
        small_features,
        "small: .*n_pixels is 30, the model",
    ),
    "validate: other features": Case(
        "validate --features small --labels {labels} --model {bundle} --out report",
        small_features,
        "none of its|no star passes|do not fit the model|too few|held-out",
    ),
    "validate: no model": Case(
        "validate --features {features} --labels {labels} --model model --out report",
        nothing,
        "model: not a model bundle",
    ),
    "validate: unknown baseline": Case(
        "validate --features {features} --labels {labels} --model {bundle} --out report --baseline forest",
        nothing,
        "--baseline forest: there is xgboost",
    ),
    "sensitivity: as CSV": Case(
        "sensitivity {star} --model {bundle} --out a.csv", nothing, "CSV cannot hold the columns"
    ),
}

# --- MLflow -------------------------------------------------------------------------------------------------------


def tracking(command: str, addresses: Mapping[str, tuple[str, Make, str]]) -> dict[str, Case]:
    return {
        f"MLflow: {title}, {command.split()[0]}": Case(command, make, message, {"MLFLOW_TRACKING_URI": uri})
        for title, (uri, make, message) in addresses.items()
    }


AWAY = {
    "nobody listens": ("http://127.0.0.1:{port}", nothing, "tracking server http://127.0.0.1:.* cannot be reached"),
    "junk database": ("sqlite:///junk.db", file("junk.db", b"no database" * 99), "sqlite:///junk.db .*not a database"),
    "database is a folder": ("sqlite:///junk.db", folder("junk.db"), "sqlite:///junk.db"),
    "database under a file": ("sqlite:///a/mlflow.db", file("a", ""), "sqlite:///a/mlflow.db"),
    "no PostgreSQL": ("postgresql://me@127.0.0.1:{port}/mlflow", nothing, "postgresql://me@127.0.0.1"),
    "unknown scheme": ("gopher://mlflow", nothing, "gopher://mlflow"),
}
MLFLOW = {
    **tracking("compare", AWAY),
    **tracking("train --features {features} --labels {labels} --out model", AWAY),
    **tracking("predict {star} --model models:/xpfeh@champion --out a.fits", AWAY),
    **tracking("rollback", {title: AWAY[title] for title in ("nobody listens", "junk database", "unknown scheme")}),
    "MLflow: no such experiment": Case(
        "compare nonesuch", nothing, "no experiment 'nonesuch' at sqlite:.*there are: .*xpfeh"
    ),
    "MLflow: no run yet": Case("compare", nothing, "experiment 'xpfeh': no run holds a model yet"),
    "MLflow: no such run": Case(
        "promote 12ab34 --features {features} --labels {labels}", nothing, "no run .* begins with '12ab34'"
    ),
    "MLflow: no champion before": Case("rollback", nothing, "no earlier champion"),
    "promote: --force without --why": Case(
        "promote 12ab --features {features} --labels {labels} --force", nothing, "--force and --why belong together"
    ),
    "promote: --why without --force": Case(
        "promote 12ab --features {features} --labels {labels} --why 'I like it'", nothing, "--force and --why"
    ),
    "tune: a name with a blank": Case(
        "tune --features {features} --labels {labels} --name 'a b'",
        nothing,
        "--name 'a b': a name has letters",
    ),
    "tune: nothing to resume": Case(
        "tune --features {features} --labels {labels} --resume lost", nothing, "searches/lost: there is no such search"
    ),
    "tune: storage is a file": Case(
        "tune --features {features} --labels {labels} --storage data", file("data", ""), "data.* is a file"
    ),
}

# --- reports ------------------------------------------------------------------------------------------------------


def report(name: str, ids: object, feh: object, answer: object) -> Make:
    return both(folder(name), parquet(f"{name}/stars.parquet", {"source_id": ids, "feh": feh, "FEH": answer}))


ONE = report("one", [1, 2], [0.0, -1.0], [0.1, -0.9])
REPORTS = {
    **group(
        "reports",
        "compare --reports one two",
        {
            "missing": (ONE, "two is no report"),
            "an empty folder": (both(ONE, folder("two")), "two is no report: it has no stars.parquet"),
            "junk": (both(ONE, file("two/stars.parquet", b"PAR1 no PAR1")), "two/stars.parquet: cannot be read"),
            "other columns": (
                both(ONE, folder("two"), parquet("two/stars.parquet", {"a": [1]})),
                "two/stars.parquet: no",
            ),
            "text": (
                both(ONE, report("two", [1, 2], ["x", "y"], [0.0, 0.0])),
                "two/stars.parquet: feh of row 0 is 'x'",
            ),
            "other stars": (both(ONE, report("two", [7], [0.0], [0.0])), "one and two have no star in common"),
            "other truth": (both(ONE, report("two", [1, 2], [0.0, -2.0], [0.0, 0.0])), "one and two: the true"),
        },
    ),
    "reports: in a bucket": Case("compare --reports s3://b/one two", nothing, "s3://b/one: must be a local path"),
    "reports: and a page": Case("compare --reports one two --html a.html", ONE, "--html shows runs and --reports"),
}

# --- serving ------------------------------------------------------------------------------------------------------

CONFIG = (Path(__file__).parents[2] / "serve_configs" / "local.yaml").read_text()
FIRST = CONFIG[CONFIG.index("  - name: xpfeh") :]
SECOND = FIRST.replace("name: xpfeh", "name: second").replace("route_prefix: /", "route_prefix: /second")


def config(old: str = "", new: str = "") -> Make:
    """Make serve.yaml, that of the repository with one change."""
    assert old in CONFIG
    return file("serve.yaml", CONFIG.replace(old, new) if old else CONFIG)


SERVING = {
    **group(
        "serve",
        "serve --config serve.yaml",
        {
            "missing": (nothing, "serve.yaml: No such file"),
            "a folder": (folder("serve.yaml"), "serve.yaml: Is a directory"),
            "empty": (file("serve.yaml", ""), "serve.yaml: "),
            "text": (file("serve.yaml", "hello"), "serve.yaml: "),
            "no YAML": (file("serve.yaml", "a: [1"), "serve.yaml: not YAML"),
            "binary": (file("serve.yaml", bytes(range(256))), "serve.yaml: not YAML"),
            "unknown key": (config("max_queued_requests", "max_queue"), r"does not know applications\[0\].*max_queue"),
            "two applications": (file("serve.yaml", CONFIG + SECOND), "serve.yaml: applications: .*at most 1"),
            "an application twice": (file("serve.yaml", CONFIG + FIRST), "serve.yaml: applications: .*duplicates"),
            "no model": (config("model: models:/xpfeh@champion", "{}"), "serve.yaml: .*user_config.model: .*required"),
            "a wrong number": (config("num_replicas: 1", "num_replicas: many"), "serve.yaml: .*num_replicas"),
            "no champion": (config(), "models:/xpfeh@champion: no model of that name"),
        },
    ),
    "serve: model missing": Case("serve --config serve.yaml --model nowhere", config(), "nowhere: not a model bundle"),
    "serve: model corrupt": Case(
        "serve --config serve.yaml --model model",
        both(config(), altered(flip_a_bit(WEIGHTS))),
        f"model/{WEIGHTS}: not the file",
    ),
    "serve: config in a bucket": Case(
        "serve --config s3://b/serve.yaml", nothing, "s3://b/serve.yaml: must be a local"
    ),
}

# --- downloads ----------------------------------------------------------------------------------------------------

IDS = file("ids.txt", f"{STAR}\n")
FETCHING = {
    **group(
        "fetch",
        "fetch gaia-source --ids ids.txt --out new/stars.parquet",
        {
            "ids missing": (nothing, "ids.txt: no such file"),
            "ids are words": (file("ids.txt", "Arcturus\nVega\n"), "ids.txt: no column source_id"),
            "ids are floats": (file("ids.txt", "source_id\n5.9e18\n"), "ids.txt: source_id of row 0 is '5.9e18'"),
            "no ids": (file("ids.txt", ""), "ids.txt: holds no source_id"),
            "ids too large": (file("ids.txt", f"{2**64}\n"), "ids.txt: source_id of row 0 is"),
            "ids are a folder": (folder("ids.txt"), "ids.txt: "),
        },
    ),
    "fetch xp: two ways": Case(
        "fetch xp --out xp --ids ids.txt --cone 1 2 3", IDS, "give one of --ids, --adql, --cone"
    ),
    "fetch xp: no way": Case("fetch xp --out xp", nothing, "give one of --ids, --adql, --cone, --bulk"),
    "fetch xp: ids are words": Case(
        "fetch xp --out xp --ids ids.csv", file("ids.csv", "a\nb\n"), "ids.csv: no column sou"
    ),
    "fetch xp: out in a bucket": Case("fetch xp --out s3://b/xp --ids ids.txt", IDS, "s3://b/xp: must be a local path"),
    "fetch xp: out is a file": Case("fetch xp --out xp --ids ids.txt", both(IDS, file("xp", "")), "xp.* is a file"),
    "fetch xp: a cone that is none": Case("fetch xp --out xp --cone 10 95 1", nothing, "--cone 10 95 1: "),
    "fetch xp: a cone of no radius": Case("fetch xp --out xp --cone 10 5 nan", nothing, "--cone 10 5 nan: "),
    "fetch saga": Case("fetch saga", nothing, "exported by hand at saga.sci.hokudai.ac.jp"),
    "fetch corrections": Case("fetch corrections", nothing, "has no .*inter_BP.csv, .*get the tables from"),
}

CASES = {
    **LABELS, **SPECTRA_FILES, **COMPANIONS, **COMPILATIONS, **SETTINGS, **DATASETS, **OUTPUTS, **MODELS, **MLFLOW,
    **REPORTS, **SERVING, **FETCHING,
}  # fmt: skip


# --- the test -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def given(
    features_dir: Path, labels_file: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Given]:
    place = tmp_path_factory.mktemp("given")
    catalog = Dataset.begin(place / "catalog", plan_catalog(features_dir, bundle))
    work = make_work(str(features_dir), packed(bundle))
    for shard in catalog.plan.shards:
        catalog.commit(shard, work(shard))
    store = f"sqlite:///{place / 'mlflow' / 'mlflow.db'}"
    (place / "mlflow").mkdir()
    with socket.socket() as nobody, pytest.MonkeyPatch.context() as patch:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: a connection is refused at once
        patch.setenv("MLFLOW_TRACKING_URI", store)
        mlflow_runs.experiment_id()
        port = nobody.getsockname()[1]
        yield Given(features_dir, labels_file, bundle, place / "catalog", datalink_file("csv", place), store, port)


@pytest.fixture
def outside(given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment in which nothing is there and nothing may begin."""

    def begun(*arguments: object, **options: object) -> None:
        raise AssertionError("a mistake must be found before Ray starts or a network is trained")

    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("ray.init", begun)
    monkeypatch.setattr("xpfeh.training.fit.Trainer.train", begun)
    for name, value in {
        "MLFLOW_TRACKING_URI": given.mlflow,
        "XPFEH_DATA": str(tmp_path / "data"),
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    dust._load_full.cache_clear()
    correction_tables.correction_tables.cache_clear()
    return here


def listing(here: Path) -> dict[str, str]:
    """Return every file and folder with what it holds."""
    return {
        str(path.relative_to(here)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(here.rglob("*"))
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_mistake_is_one_line(
    case: Case, given: Given, outside: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    case.make(outside, given)
    before = listing(outside)
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value.format(**vars(given)))
    capfd.readouterr()
    begun = time.monotonic()
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(case.command.format(**vars(given))))
    seconds = time.monotonic() - begun
    lines = capfd.readouterr().err.splitlines()
    assert stopped.value.code == 2, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("xpfeh: ")
    assert re.search(case.message, lines[0])
    assert listing(outside) == before
    assert seconds < SECONDS


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 120


# --- what only looks like a mistake -------------------------------------------------------------------------------


def succeeds(command: str, given: Given) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(command.format(**vars(given))))
    assert stopped.value.code == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gzip.csv", gzip.compress(SOUND.encode())),
        ("text.csv.gz", SOUND.encode()),
        ("mark.csv", b"\xef\xbb\xbf" + SOUND.encode()),
        ("labels[1].csv", SOUND.encode()),
        ("windows.tsv", SOUND.replace(",", "\t").replace("\n", "\r\n").encode()),
    ],
)
def test_odd_tables_are_read(outside: Path, name: str, content: bytes) -> None:
    (outside / name).write_bytes(content)
    assert read_table(name).rows() == [(str(STAR), "-1.5")]


@pytest.mark.parametrize("name", ["star[1].csv", "folder[2]/star.csv", "~/star.csv"])
def test_odd_names_are_meant_as_they_are_written(
    given: Given, outside: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", str(outside))
    place = Path(name).expanduser()
    place.parent.mkdir(exist_ok=True)
    shutil.copy(given.star, place)
    succeeds(f"spectra '{name}' --out '{name}.parquet'", given)
    assert place.with_name("star[1].csv.parquet" if "[1]" in name else "star.csv.parquet").is_file()


def test_a_run_is_resumed_from_another_working_directory(
    given: Given, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = PreprocessSettings()
    for name in ("here", "there"):
        (outside / name).mkdir()
    shutil.copy(given.star, outside / "here" / "star.csv")
    monkeypatch.chdir(outside / "here")
    begun = Dataset.begin("features", plan_features(["star.csv"], chosen))
    monkeypatch.chdir(outside / "there")
    again = Dataset.begin("../here/features", plan_features(["../here/star.csv"], chosen))
    assert again.plan == begun.plan
    work = make_features(chosen)
    for shard in again.pending():
        again.commit(shard, work(shard))
    catalog = Dataset.begin("catalog", plan_catalog("../here/features", given.bundle))
    monkeypatch.chdir(outside)
    assert Dataset.begin("there/catalog", plan_catalog("here/features", given.bundle)).plan == catalog.plan
    assert Dataset.at("here/features").read(["source_id"]).num_rows == 1


def test_junk_beside_the_parts_is_not_read_and_verify_names_it(
    given: Given, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(given.catalog, outside / "data")
    shutil.copy(given.catalog / PART, outside / "data" / "mine.parquet")
    (outside / "data" / "part-00009.parquet").write_bytes(b"junk")
    shutil.copy(outside / "data" / RECORD, outside / "data" / "_xpfeh" / "done" / "part-00009.json")
    succeeds("catalog publish data --out release --format parquet", given)
    assert json.loads((outside / "release" / "MANIFEST.json").read_text())["rows"] == 6000
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        main(["verify", "data"])
    printed = capsys.readouterr().out
    assert "mine.parquet: is no part of this dataset" in printed
    assert "part-00009.parquet: is no part of this dataset" in printed


@pytest.mark.parametrize("change", [flip_a_bit(PART), replace_part], ids=["altered", "replaced"])
def test_a_part_changed_within_its_size_is_refused_by_the_workers(
    given: Given, outside: Path, change: Callable[[Path], object]
) -> None:
    """The driver of `catalog run` compares sizes alone: to hash all features there would be to read them twice."""
    shutil.copytree(given.features, outside / "data")
    change(outside / "data")
    catalog = Dataset.begin("catalog", plan_catalog("data", given.bundle))
    work = make_work(str(outside / "data"), packed(given.bundle))
    shard = catalog.plan.shards[1]
    with pytest.raises(UserError, match=f"data/{PART}: .*; delete it, and ingest again"):
        catalog.commit(shard, work(shard))
    assert shard in catalog.pending()


def test_training_that_diverges_is_one_line(
    given: Given, outside: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("xpfeh.training.fit.Trainer.train", lambda *arguments: Member(weights=[]))
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--features", str(given.features), "--labels", str(given.labels), "--out", "model"])
    assert capfd.readouterr().err == "xpfeh: training diverged: lower learning_rate, or set clip_norm\n"
    assert listing(outside) == {}
