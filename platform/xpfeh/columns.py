"""The columns of spectra and of features, and the way between Arrow tables and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def _field(
    name: str, kind: pa.DataType, description: str, unit: str = "", ucd: str = "", nullable: bool = False
) -> pa.Field:
    metadata = {"description": description, "unit": unit} | ({"ucd": ucd} if ucd else {})
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


_optional = partial(_field, nullable=True)


_SOURCE_ID = _field("source_id", pa.int64(), "Gaia source identifier")
_POSITION = [
    _field("ra", pa.float64(), "right ascension, ICRS", "deg"),
    _field("dec", pa.float64(), "declination, ICRS", "deg"),
]
_EXCESS = _field("phot_bp_rp_excess_factor", pa.float64(), "(F_BP + F_RP) / F_G", nullable=True)
_RGEO = _field("rgeo", pa.float64(), "geometric distance (Bailer-Jones et al. 2021)", "pc", nullable=True)


def spectra_schema(n_samples: int) -> pa.Schema:
    """Return the schema of absolute, sampled spectra: what `xpfeh spectra` writes."""
    samples = pa.list_(pa.float64(), n_samples)
    return pa.schema(
        [
            _SOURCE_ID,
            _field("flux", samples, "XP flux, 336 to 1020 nm in steps of 2 nm", "W m-2 nm-1"),
            _field("flux_error", samples, "error of flux", "W m-2 nm-1"),
        ]
    )


def features_schema(n_pixels: int) -> pa.Schema:
    """Return the schema of features with `n_pixels` pixels."""
    spectrum = pa.list_(pa.float32(), n_pixels)
    return pa.schema(
        [
            _SOURCE_ID,
            *_POSITION,
            _field("l", pa.float64(), "Galactic longitude", "deg"),
            _field("b", pa.float64(), "Galactic latitude", "deg"),
            _field("phot_g_mean_mag", pa.float64(), "G", "mag", nullable=True),
            _field("bp_rp", pa.float64(), "BP-RP", "mag", nullable=True),
            _field("bp_rp0", pa.float64(), "dereddened BP-RP", "mag", nullable=True),
            _field("g0", pa.float64(), "dereddened G", "mag", nullable=True),
            _EXCESS,
            _field("ebv", pa.float64(), "E(B-V) of SFD98, not rescaled", "mag", nullable=True),
            _RGEO,
            _field(
                "m_g",
                pa.float64(),
                "absolute G magnitude, null where the distance is unknown",
                "mag",
                nullable=True,
            ),
            _field("flux", spectrum, "dereddened, resampled flux, 1 around 550 nm"),
            _field("flux_error", spectrum, "error of flux, in the same scale"),
            _field("flags", pa.uint32(), "bits of xpfeh.flags.Flag"),
        ]
    )


def sensitivity_schema(n_pixels: int) -> pa.Schema:
    """Return the schema of sensitivities with `n_pixels` pixels."""
    slopes = pa.list_(pa.float32(), n_pixels)
    return pa.schema([_SOURCE_ID, _field("dfeh_dflux", slopes, "d[Fe/H] / d flux, flux being 1 around 550 nm", "dex")])


CATALOG = pa.schema(
    [
        _field("source_id", pa.int64(), "Gaia source identifier", ucd="meta.id;meta.main"),
        _field("gl", pa.float64(), "Galactic longitude", "deg", "pos.galactic.lon"),
        _field("gb", pa.float64(), "Galactic latitude", "deg", "pos.galactic.lat"),
        _field("ra", pa.float64(), "right ascension, ICRS", "deg", "pos.eq.ra;meta.main"),
        _field("dec", pa.float64(), "declination, ICRS", "deg", "pos.eq.dec;meta.main"),
        _optional("phot_bp_rp_excess_factor", pa.float64(), "(F_BP + F_RP) / F_G", ucd="phot.flux;arith.ratio"),
        _optional("BP_RP0", pa.float64(), "dereddened BP-RP", "mag", "phot.color;em.opt.B;em.opt.R"),
        _optional("PHOT_G_MEAN_MAG", pa.float64(), "G", "mag", "phot.mag;em.opt"),
        _optional("M_G", pa.float64(), "absolute G magnitude", "mag", "phys.magAbs;em.opt"),
        _optional("EBV", pa.float64(), "E(B-V) of SFD98, not rescaled", "mag", "phot.color.excess"),
        _optional("rgeo", pa.float64(), "geometric distance (Bailer-Jones et al. 2021)", "pc", "pos.distance"),
        _optional("FEH", pa.float32(), "[Fe/H]", "dex", "phys.abund.Fe"),
        _optional(
            "FEH_err",
            pa.float32(),
            "error of [Fe/H], half the calibrated 68 % interval",
            "dex",
            "stat.error;phys.abund.Fe",
        ),
        _optional(
            "FEH_lo68", pa.float32(), "lower end of the calibrated 68 % interval", "dex", "phys.abund.Fe;stat.min"
        ),
        _optional(
            "FEH_hi68", pa.float32(), "upper end of the calibrated 68 % interval", "dex", "phys.abund.Fe;stat.max"
        ),
        _optional(
            "FEH_lo95", pa.float32(), "lower end of the calibrated 95 % interval", "dex", "phys.abund.Fe;stat.min"
        ),
        _optional(
            "FEH_hi95", pa.float32(), "upper end of the calibrated 95 % interval", "dex", "phys.abund.Fe;stat.max"
        ),
        _optional(
            "FEH_err_aleatoric",
            pa.float32(),
            "the networks' own sigma, not recalibrated",
            "dex",
            "stat.stdev;phys.abund.Fe",
        ),
        _optional(
            "FEH_err_epistemic",
            pa.float32(),
            "deviation between the ensemble's networks",
            "dex",
            "stat.stdev;phys.abund.Fe",
        ),
        _optional("domain_score", pa.float32(), "how unlike the training stars' the spectrum is", ucd="stat.value"),
        _field("flags", pa.uint32(), "bits of xpfeh.flags.Flag", ucd="meta.code"),
        _field("model_version", pa.string(), "the model that made the predictions", ucd="meta.version"),
    ]
)
"""The released catalog: the columns of the paper's Table 2, flags, and the model."""


def to_table(columns: Mapping[str, NDArray], schema: pa.Schema) -> pa.Table:
    """Build an Arrow table of `schema` from arrays; NaN becomes null where the schema allows null."""
    arrays = []
    for field in schema:
        values = np.ascontiguousarray(columns[field.name])
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(values.reshape(-1), type=field.type.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        else:
            arrays.append(pa.array(values, type=field.type, from_pandas=field.nullable))
    return pa.Table.from_arrays(arrays, schema=schema)


def to_arrays(table: pa.Table) -> dict[str, NDArray]:
    """Return a table's columns as arrays: lists as (N, width), null numbers as NaN."""
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_fixed_size_list(column.type):
            flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks]) if column.num_chunks else pa.array([])
            columns[name] = flat.to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
        else:
            columns[name] = column.to_numpy()
    return columns
