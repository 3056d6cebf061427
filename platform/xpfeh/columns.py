"""The columns of spectra, features and catalogs, and conversion between Arrow tables and arrays.

Each quantity is described once; the schemas name its column. Descriptions, units and UCDs are metadata of the schemas'
fields, from which files of every format are written: see `describe`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from xpfeh.flags import GOOD
from xpfeh.grid import N_SAMPLES
from xpfeh.typing import Columns


class Description(NamedTuple):
    """What a column holds, its unit, and its Unified Content Descriptor (IVOA, UCD1+ 1.6); both may be empty."""

    text: str
    unit: str = ""
    ucd: str = ""


_FLOAT64 = pa.float64()


def _list_of(kind: pa.DataType, width: int) -> pa.DataType:
    # Parquet reads lists without null elements a quarter faster.
    return pa.list_(pa.field("element", kind, nullable=False), width)


class _Quantity(NamedTuple):
    description: Description
    kind: pa.DataType
    nullable: bool = False

    def field(self, name: str, ucd: bool = False) -> pa.Field:
        """Return the quantity as a column; only the published catalog has UCDs."""
        metadata = {"description": self.description.text, "unit": self.description.unit}
        if ucd:
            metadata["ucd"] = self.description.ucd
        return pa.field(name, self.kind, nullable=self.nullable, metadata=metadata)


def _always(text: str, unit: str = "", ucd: str = "", kind: pa.DataType = _FLOAT64) -> _Quantity:
    return _Quantity(Description(text, unit, ucd), kind)


def _if_known(text: str, unit: str = "", ucd: str = "", kind: pa.DataType = _FLOAT64) -> _Quantity:
    return _Quantity(Description(text, unit, ucd), kind, nullable=True)


def _dex(text: str, ucd: str) -> _Quantity:
    return _if_known(text, "dex", ucd, pa.float32())


_SOURCE_ID = _always("Gaia source identifier", "", "meta.id;meta.main", pa.int64())
_GOOD = _always(GOOD, "", "meta.code.qual", pa.bool_())
_FLAGS = _always("bits of xpfeh.flags.Flag", "", "meta.code", pa.uint32())
_RA = _always("right ascension, ICRS", "deg", "pos.eq.ra;meta.main")
_DEC = _always("declination, ICRS", "deg", "pos.eq.dec;meta.main")
_L = _always("Galactic longitude", "deg", "pos.galactic.lon")
_B = _always("Galactic latitude", "deg", "pos.galactic.lat")
_G = _if_known("G, synthesised if NO_PHOTOMETRY", "mag", "phot.mag;em.opt")
_BP_RP0 = _if_known("dereddened BP-RP", "mag", "phot.color;em.opt.B;em.opt.R")
_EXCESS = _if_known("(F_BP + F_RP) / F_G", "", "phot.flux;arith.ratio")
_EBV = _if_known("E(B-V) of SFD98, not rescaled; or the star's own (OWN_EBV)", "mag", "phot.color.excess")
_DISTANCE = _if_known("geometric distance (Bailer-Jones et al. 2021)", "pc", "pos.distance")

_SPECTRA = {
    "source_id": _SOURCE_ID,
    "flux": _always("XP flux, 336 to 1020 nm in steps of 2 nm", "W m-2 nm-1", kind=_list_of(_FLOAT64, N_SAMPLES)),
    "flux_error": _always("error of flux", "W m-2 nm-1", kind=_list_of(_FLOAT64, N_SAMPLES)),
}

SPECTRA = pa.schema([quantity.field(name) for name, quantity in _SPECTRA.items()])
"""Absolute, sampled spectra, as `xpfeh spectra` writes them."""

_FEATURES = {
    "source_id": _SOURCE_ID,
    "ra": _RA,
    "dec": _DEC,
    "l": _L,
    "b": _B,
    "phot_g_mean_mag": _G,
    "bp_rp": _if_known("BP-RP, synthesised if NO_PHOTOMETRY", "mag"),
    "bp_rp0": _BP_RP0,
    "g0": _if_known("dereddened G", "mag"),
    "phot_bp_rp_excess_factor": _EXCESS,
    "ebv": _EBV,
    "rgeo": _DISTANCE,
    "m_g": _if_known("absolute G magnitude by rgeo, else by a good parallax; null where neither is known", "mag"),
    "flux": _always(
        "XP flux as observed, 336 to 1020 nm in steps of 2 nm, 1 around 550 nm", kind=_list_of(pa.float32(), N_SAMPLES)
    ),
    "flux_error": _always("error of flux, in the same scale", kind=_list_of(pa.float32(), N_SAMPLES)),
    "flags": _FLAGS,
}

FEATURES = pa.schema([quantity.field(name) for name, quantity in _FEATURES.items()])
"""The result of `xpfeh.xp.preprocess.preprocess` for a spectrum, the same for every model."""

_CATALOG = {
    "source_id": _SOURCE_ID,
    "gl": _L,
    "gb": _B,
    "ra": _RA,
    "dec": _DEC,
    "phot_bp_rp_excess_factor": _EXCESS,
    "BP_RP0": _BP_RP0,
    "PHOT_G_MEAN_MAG": _G,
    "M_G": _if_known("absolute G magnitude by rgeo, else by a good parallax", "mag", "phys.magAbs;em.opt"),
    "EBV": _EBV,
    "rgeo": _DISTANCE,
    "FEH": _dex("[Fe/H]", "phys.abund.Fe"),
    "FEH_err": _dex("error of [Fe/H], half the calibrated 68 % interval", "stat.error;phys.abund.Fe"),
    "FEH_lo68": _dex("lower end of the calibrated 68 % interval", "phys.abund.Fe;stat.min"),
    "FEH_hi68": _dex("upper end of the calibrated 68 % interval", "phys.abund.Fe;stat.max"),
    "FEH_lo95": _dex("lower end of the calibrated 95 % interval", "phys.abund.Fe;stat.min"),
    "FEH_hi95": _dex("upper end of the calibrated 95 % interval", "phys.abund.Fe;stat.max"),
    "FEH_err_aleatoric": _dex("the networks' own sigma, not recalibrated", "stat.stdev;phys.abund.Fe"),
    "FEH_err_epistemic": _dex("deviation between the ensemble's networks", "stat.stdev;phys.abund.Fe"),
    "TEFF": _if_known("effective temperature", "K", "phys.temperature.effective", pa.float32()),
    # The UCD is the shorter one: CDS's ReadMe has lines of 80 characters.
    "TEFF_err": _if_known(
        "error of TEFF, half the calibrated 68 % interval", "K", "stat.error;phys.temperature", pa.float32()
    ),
    "LOGG": _dex("log10 of the surface gravity in cm s-2", "phys.gravity"),
    "LOGG_err": _dex("error of LOGG, half the calibrated 68 % interval", "stat.error;phys.gravity"),
    "ALPHA_M": _dex("[alpha/M]", "phys.abund"),
    "ALPHA_M_err": _dex("error of ALPHA_M, half the calibrated 68 % interval", "stat.error;phys.abund"),
    "domain_score": _if_known("how unlike the training stars' the spectrum is", "", "stat.value", pa.float32()),
    "good": _GOOD,
    "flags": _FLAGS,
    "model_version": _always("the model that made the predictions", "", "meta.version", pa.string()),
}

CATALOG = pa.schema([quantity.field(name, ucd=True) for name, quantity in _CATALOG.items()])
"""The released catalog: the columns of the paper's Table 2 up to ``FEH_err``, then intervals, flags, and the model."""


def sensitivity_schema(n_pixels: int) -> pa.Schema:
    """Return the schema of sensitivities with `n_pixels` pixels.

    Examples
    --------
    >>> sensitivity_schema(60).names
    ['source_id', 'dfeh_dflux']
    """
    pixels = _list_of(pa.float32(), n_pixels)
    slopes = _always("d[Fe/H] / d flux, flux being 1 around 550 nm", "dex", kind=pixels)
    return pa.schema([_SOURCE_ID.field("source_id"), slopes.field("dfeh_dflux")])


PROVENANCE_KEY = b"xpfeh"
"""The key of a schema's metadata, and of Parquet's, that records what made a table, as JSON."""


def made_by(schema: pa.Schema) -> dict[str, str | list[float]]:
    """Return what made a table, from its schema: text and lists of numbers, which the header of any format can hold.

    Examples
    --------
    >>> made_by(pa.schema([]).with_metadata({PROVENANCE_KEY: '{"model": "best-0", "settings": {"release": "dr3"}}'}))
    {'model': 'best-0', 'settings': '{"release": "dr3"}'}
    """
    found = json.loads((schema.metadata or {}).get(PROVENANCE_KEY, b"{}"))
    return {name: value if isinstance(value, str | list) else json.dumps(value) for name, value in found.items()}


# --- descriptions -----------------------------------------------------------------------------------------------------

_NOT_STANDARD = ("dex",)
"""Units that are neither in the FITS standard 4.0 (section 4.3) nor in VOUnits 1.1."""


def describe(field: pa.Field) -> Description:
    """Return the description of a column from its field's metadata.

    Examples
    --------
    >>> describe(CATALOG.field("rgeo"))
    Description(text='geometric distance (Bailer-Jones et al. 2021)', unit='pc', ucd='pos.distance')
    """
    metadata = field.metadata or {}
    return Description(*(metadata.get(key, b"").decode() for key in (b"description", b"unit", b"ucd")))


def describe_for_fits(field: pa.Field) -> Description:
    """Return a field's description for a FITS header: a unit that FITS does not have follows the text.

    Examples
    --------
    >>> describe_for_fits(CATALOG.field("FEH"))
    Description(text='[Fe/H] [dex]', unit='', ucd='phys.abund.Fe')
    """
    known = describe(field)
    if known.unit in _NOT_STANDARD:
        return known._replace(text=f"{known.text} [{known.unit}]", unit="")
    return known


def describe_for_votable(field: pa.Field) -> Description:
    """Return a field's description for a VOTable: a unit that VOUnits does not have is quoted.

    Examples
    --------
    >>> describe_for_votable(CATALOG.field("FEH")).unit
    "'dex'"
    """
    known = describe(field)
    return known._replace(unit=f"'{known.unit}'") if known.unit in _NOT_STANDARD else known


# --- arrays and tables ------------------------------------------------------------------------------------------------


def to_table(columns: Mapping[str, NDArray], schema: pa.Schema) -> pa.Table:
    """Build an Arrow table of `schema` from arrays; NaN becomes null where the schema allows null.

    Parameters
    ----------
    columns : mapping of (N,) or (N, width) arrays
        The columns of the schema; others are ignored.
    schema : Schema
        Fields of numbers, text and fixed-size lists.

    Examples
    --------
    >>> schema = pa.schema([_SOURCE_ID.field("source_id"), _G.field("phot_g_mean_mag")])
    >>> to_table({"source_id": np.array([1]), "phot_g_mean_mag": np.array([np.nan])}, schema).to_pylist()
    [{'source_id': 1, 'phot_g_mean_mag': None}]
    """
    arrays = []
    for field in schema:
        values = np.ascontiguousarray(columns[field.name])
        if pa.types.is_fixed_size_list(field.type):
            flat = to_arrow(values.reshape(-1), field.type.value_type)  # (N, width) -> (N width,)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        else:
            arrays.append(to_arrow(values, field.type, nan_to_null=field.nullable))
    return pa.Table.from_arrays(arrays, schema=schema)


def to_arrow(values: NDArray, kind: pa.DataType | None = None, nan_to_null: bool = False) -> pa.Array:
    """Return numbers or text as an Arrow array; `pyarrow.array` would first import pandas, a third of a second.

    Examples
    --------
    >>> to_arrow(np.array([1.0, np.nan]), pa.float32(), nan_to_null=True).to_pylist()
    [1.0, None]
    """
    array = pl.Series(values.tolist() if values.dtype == object else values, nan_to_null=nan_to_null).to_arrow()
    return array if kind is None else array.cast(kind)


def to_arrays(table: pa.Table) -> dict[str, NDArray]:
    """Return a table's columns as arrays: lists as (N, width), null numbers as NaN.

    Examples
    --------
    >>> to_arrays(pa.table({"g0": [7.5, None]}))
    {'g0': array([7.5, nan])}
    """
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_fixed_size_list(column.type):
            columns[name] = lists_to_array(column)
        else:
            columns[name] = pl.Series(column).to_numpy()
    return columns


def rows_of(columns: Columns, rows: NDArray) -> dict[str, NDArray]:
    """Return some rows of all columns, by an (N,) mask or by row numbers.

    Examples
    --------
    >>> rows_of({"feh": np.array([-1.0, -2.0])}, np.array([False, True]))
    {'feh': array([-2.])}
    """
    return {name: values[rows] for name, values in columns.items()}


def lists_to_array(column: pa.ChunkedArray) -> NDArray:
    """Return a column of fixed-size lists as an array (N, width).

    Examples
    --------
    >>> lists_to_array(pa.chunked_array([[[1.0, 2.0]], [[3.0, 4.0]]], pa.list_(pa.float64(), 2))).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    # `flatten`, not `values`: of a sliced table, `values` has the rows outside the slice, too.
    chunks = [chunk.flatten() for chunk in column.chunks]
    flat = pa.concat_arrays(chunks) if chunks else pa.array([], column.type.value_type)
    return pl.Series(flat).to_numpy().reshape(-1, column.type.list_size)  # (N width,) -> (N, width)
