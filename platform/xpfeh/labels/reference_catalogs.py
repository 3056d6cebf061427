"""The catalogs for comparison: their names, downloads, columns, units and recommended cuts.

A new catalog is a new entry of `REFERENCES`; `xpfeh.labels.references` reads them all. A table with any other name has
the plain layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from xpfeh.column_names import plain
from xpfeh.errors import UserError
from xpfeh.labels.compilation import Compilation
from xpfeh.labels.pastel import read_pastel
from xpfeh.labels.saga import read_saga
from xpfeh.settings import check_name

PLAIN_COLUMNS = ("source_id", "ra", "dec", "feh", "feh_err", "logg", "teff", "alpha_m", "c_fe")
"""Columns of the plain layout: degrees, dex, K. [alpha/M] is ``alpha_m`` and [C/Fe] ``c_fe``."""
PLAIN_LAYOUT = (
    "source_id (or ra and dec), feh and, optionally, feh_err, logg, teff, alpha_m, c_fe (degrees, dex, K; a limit as "
    "<0.7 is left out)"
)

_PLAIN = {name: pl.col(name) for name in PLAIN_COLUMNS}


@dataclass(frozen=True)
class Cut:
    """A quality cut: in words, and as an expression of published columns."""

    text: str
    passes: pl.Expr


@dataclass(frozen=True)
class Reference:
    """A catalog of [Fe/H] in its published layout.

    Attributes
    ----------
    name : str
        As users type it.
    title : str
        Its name with authors and year.
    kind : {"spectra", "xp"}
        The truth by spectroscopy, or a peer: [Fe/H] from XP spectra or Gaia's photometry.
    download : str
        The file, and where to get it.
    layout : str
        The contents of its columns, and what its authors recommend.
    source : str
        Where the layout is documented.
    columns : mapping of str to polars.Expr
        A subset of `PLAIN_COLUMNS`, in their units, from published columns. Capitals, blanks and brackets of published
        names do not matter: FE_H, [Fe/H] and feh are the same. ``feh`` is required.
    cuts : tuple of Cut
    best : str, optional
        Published column whose highest value selects one row of a star; without it the smallest error does.
    identifier : {"dr3", None}
        Gaia's release of ``source_id`` (EDR3's are DR3's); None: that of the stars it is compared with.
    epoch : float
        Of ``ra`` and ``dec``, Julian year.
    read_compilation : callable, optional
        For compilations: reads the file instead of the columns and cuts above.
    """

    name: str
    title: str
    kind: Literal["spectra", "xp"]
    download: str
    layout: str
    source: str
    columns: Mapping[str, pl.Expr] = field(default_factory=lambda: _PLAIN)
    cuts: tuple[Cut, ...] = ()
    best: str | None = None
    identifier: str | None = "dr3"
    epoch: float = 2000.0
    read_compilation: Callable[[str | Path], Compilation] | None = None


def _bits(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int64)


_CATALOGS = (
    Reference(
        "pastel",
        "PASTEL (Soubiran et al. 2016)",
        "spectra",
        "VizieR B/pastel, table pastel, with RAJ2000, DEJ2000, [Fe/H], logg and bibcode",
        "High-resolution literature, several rows per star: their median, of papers after 1986.",
        "ReadMe of VizieR B/pastel; version 1.2 of the file",
        read_compilation=read_pastel,
    ),
    Reference(
        "saga",
        "SAGA (Suda et al. 2008, 2017)",
        "spectra",
        "an export of saga.sci.hokudai.ac.jp with Object, RA, Decl, [Fe/H] and log g",
        "Metal-poor stars of the literature, several rows per star: their median. Limits of [Fe/H] are left out.",
        "its web site's export as public code reads it",
        read_compilation=read_saga,
    ),
    Reference(
        "jinabase",
        "JINAbase (Abohalima & Frebel 2018)",
        "spectra",
        "an export of jinabase.pythonanywhere.com with name, RA, Dec, [Fe/H] and log g",
        "Metal-poor stars of the literature, several rows per star: their median. Limits of [Fe/H] are left out.",
        "its web site's export as public code reads it; limits as SAGA writes them",
        read_compilation=read_saga,
    ),
    Reference(
        "segue",
        "SDSS/SEGUE stellar parameters, DR12 (Lee et al. 2008, Alam et al. 2015)",
        "spectra",
        "ssppOut-dr12.fits of data.sdss.org (SSPP_REDUX), or columns of CasJobs' table sppParams",
        "Adopted parameters of the SSPP (dex, K), -9999 where unknown; no Gaia identifier: matched by position. The "
        "flag nnnnn also leaves out strong G bands, that is carbon-rich stars.",
        "SDSS data model of ssppOut and page 'Flags in the SSPP' (DR13, DR16)",
        columns={
            "ra": pl.col("RA"),
            "dec": pl.col("DEC"),
            "feh": pl.col("FEH_ADOP"),
            "feh_err": pl.col("FEH_ADOP_UNC"),
            "logg": pl.col("LOGG_ADOP"),
            "teff": pl.col("TEFF_ADOP"),
        },
        cuts=(Cut("SSPP flag nnnnn", pl.col("FLAG") == "nnnnn"),),
        best="SNR",
        epoch=2004.0,  # SDSS imaged from 1998 to 2009
    ),
    Reference(
        "lamost-ddpayne",
        "LAMOST DD-Payne (Xiang et al. 2019; Zhang et al. 2025)",
        "spectra",
        "LMDR9_DDPAYNE_recommend_202505.fits of LAMOST DR9 (arXiv:2506.02763), or VizieR J/ApJS/245/34 of DR5",
        "dex, K. [C/Fe] where FLAG_C_FE is 0. Which columns of DR9 hold the position or Gaia's identifier was not "
        "known when this was written: RA, DEC, RAJ2000, DEJ2000 and source_id are found. Nothing is cut.",
        "FEH, FEH_ERR, FLAG_MG_FE of DR9, and VizieR's columns of DR5, from public code; the rest by their pattern",
        columns={
            **_PLAIN,
            "feh": pl.col("FEH"),
            "feh_err": pl.col("FEH_ERR"),
            "logg": pl.col("LOGG"),
            "teff": pl.col("TEFF"),
            "c_fe": pl.when(pl.col("FLAG_C_FE") == 0).then(pl.col("C_FE")),
        },
        best="SNR_G",
    ),
    Reference(
        "apogee-dr17",
        "APOGEE DR17 (Abdurro'uf et al. 2022)",
        "spectra",
        "allStar-dr17-synspec_rev1.fits or allStarLite-dr17-synspec_rev1.fits of data.sdss.org",
        "Calibrated ASPCAP values (dex, K), -9999 or NaN where unknown; [C/Fe] where C_FE_FLAG is 0. [Fe/H] stops at "
        "-2.5, like the grid of model spectra.",
        "SDSS data model of allStar, page 'APOGEE bitmasks' of DR17, and public code",
        columns={
            "source_id": pl.col("GAIAEDR3_SOURCE_ID"),
            "ra": pl.col("RA"),
            "dec": pl.col("DEC"),
            "feh": pl.col("FE_H"),
            "feh_err": pl.col("FE_H_ERR"),
            "logg": pl.col("LOGG"),
            "teff": pl.col("TEFF"),
            "alpha_m": pl.col("ALPHA_M"),
            "c_fe": pl.when(pl.col("C_FE_FLAG") == 0).then(pl.col("C_FE")),
        },
        cuts=(
            Cut("not a duplicate observation (EXTRATARG bit 4)", _bits("EXTRATARG") & (1 << 4) == 0),
            Cut("not STAR_BAD (ASPCAPFLAG bit 23)", _bits("ASPCAPFLAG") & (1 << 23) == 0),
            Cut("FE_H_FLAG 0", pl.col("FE_H_FLAG") == 0),
        ),
        best="SNR",
    ),
    Reference(
        "galah",
        "GALAH DR4 (Buder et al. 2025)",
        "spectra",
        "galah_dr4_allstar_240705.fits of www.galah-survey.org/dr4",
        "dex, K. [C/Fe] where flag_c_fe is 0; flag_fe_h is to be ignored, as its authors advise.",
        "pages 'table schema' and 'flags' of www.galah-survey.org/dr4",
        columns={
            "source_id": pl.col("gaiadr3_source_id"),
            "ra": pl.col("ra"),
            "dec": pl.col("dec"),
            "feh": pl.col("fe_h"),
            "feh_err": pl.col("e_fe_h"),
            "logg": pl.col("logg"),
            "teff": pl.col("teff"),
            "c_fe": pl.when(pl.col("flag_c_fe") == 0).then(pl.col("c_fe")),
        },
        cuts=(Cut("flag_sp 0", pl.col("flag_sp") == 0), Cut("S/N above 30 in CCD 3", pl.col("snr_px_ccd3") > 30)),
        best="snr_px_ccd3",
        epoch=2016.0,
    ),
    Reference(
        "andrae2023",
        "XGBoost metallicities of Gaia XP (Andrae, Rix & Chandra 2023)",
        "xp",
        "table_2_catwise.fits.gz (vetted giants) of Zenodo 7945154; table 1 has all stars, and no cut",
        "[M/H] (dex), Teff (K), log g, without errors. Table 2 is its authors' cut: bright giants, vetted.",
        "columns of both tables in ESA's archive (external.xgboost_table1, _table2) and in SDSS's sdssdb",
        columns={
            "source_id": pl.col("source_id"),
            "ra": pl.col("ra"),
            "dec": pl.col("dec"),
            "feh": pl.col("mh_xgboost"),
            "logg": pl.col("logg_xgboost"),
            "teff": pl.col("teff_xgboost"),
        },
        epoch=2016.0,
    ),
    Reference(
        "zgr2023",
        "forward model of Gaia XP (Zhang, Green & Rix 2023)",
        "xp",
        "stellar_params_catalog_00.h5 to _09.h5 of Zenodo 7811871: one of them, or the folder of all",
        "stellar_params_est and _err hold Teff (1000 K), [Fe/H], log g, extinction, parallax, in this order.",
        "its authors' example code and the description of xpparams.main at GAVO (dc.g-vo.org)",
        columns={
            "source_id": pl.col("gdr3_source_id"),
            "ra": pl.col("ra"),
            "dec": pl.col("dec"),
            "feh": pl.col("stellar_params_est_1"),
            "feh_err": pl.col("stellar_params_err_1"),
            "logg": pl.col("stellar_params_est_2"),
            "teff": 1000 * pl.col("stellar_params_est_0"),
        },
        cuts=(Cut("basic reliability (quality_flags below 8)", pl.col("quality_flags") < 8),),
        epoch=2016.0,
    ),
    Reference(
        "shboost",
        "SHBoost (Khalatyan et al. 2024)",
        "xp",
        "the Parquet files of s3.data.aip.de:9000/shboost2024 (VizieR V/160 describes them): one, or their folder",
        "[M/H] (dex), log10 of Teff (K), log g; errors are the spread of the sampled answers. What its output flags "
        "mean was not known when this was written: they are not used.",
        "the footer of its public Parquet files, as published code read it in 2026",
        columns={
            "source_id": pl.col("source_id"),
            "feh": pl.col("xgb_met"),
            "feh_err": pl.col("xgbdist_met_std"),
            "logg": pl.col("xgb_logg"),
            "teff": 10 ** pl.col("xgb_logteff"),
        },
    ),
)

REFERENCES: dict[str, Reference] = {reference.name: reference for reference in _CATALOGS}
"""By name."""


_REMOVED = {plain(name) for name in ("huang2025", "hattori2025", "fallows-sanders2024", "thai2026", "ap-xp")}
"""Names that had a layout in development versions: read as plain tables, most of these peers would count as truth."""


def reference_of(name: str) -> Reference:
    """Return the published catalog of that name, or, for any other name, a user's own table, without quality cuts.

    Raises
    ------
    UserError
        If only case and punctuation differ from a published catalog's name, its layout was removed, or the name has
        characters that a file's name cannot have.

    Examples
    --------
    >>> reference_of("galah").title, reference_of("mine").title
    ('GALAH DR4 (Buder et al. 2025)', 'mine')
    """
    check_name("--reference", name)
    if name in REFERENCES:
        return REFERENCES[name]
    for known in REFERENCES:
        if plain(known) == plain(name):
            raise UserError(f"--reference {name}: write {known}, or its quality cuts would not be applied")
    if plain(name) in _REMOVED:
        raise UserError(
            f"--reference {name}: this catalog's layout was removed; apply its cuts, write a plain table (see "
            "`xpfeh references`) and choose another name: a plain table counts as spectroscopy"
        )
    return Reference(name, name, "spectra", "your own table", PLAIN_LAYOUT, "this project", identifier=None)
