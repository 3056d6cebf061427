"""The stars of a request: as coefficients, as samples, or by identifier alone, from JSON or Arrow.

Each star is checked on its own: one that cannot be read gets a reason, and the others are still answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from xpfeh.errors import UserError
from xpfeh.files import first_line
from xpfeh.serving.arrow_stream import read_stream
from xpfeh.serving.problems import named
from xpfeh.sources.coefficients import LIST_COLUMNS, RawBatch
from xpfeh.sources.given_table import GivenTable, numbers_in
from xpfeh.sources.reader import NO_COMPANIONS, SpectraFile, read
from xpfeh.sources.samples import SAMPLES
from xpfeh.tables.checks import RANGES

MAX_STARS = 1000
"""Stars a request: 15 MB of JSON as samples, 64 MB as coefficients with correlations."""

Bring = Callable[[NDArray[np.int64]], SpectraFile]
"""Downloads spectra of stars from Gaia's archive, by identifier."""

Numbers = Annotated[list[float] | None, Field(None)]
_LISTS = (*SAMPLES, *LIST_COLUMNS)


def _within(name: str, description: str) -> Any:
    """Return a field with the range of its column: a star outside it is rejected by itself."""
    low, high = RANGES[name]
    return Field(None, ge=low, le=high, description=description)


class Star(BaseModel):
    """A star: its XP spectrum as coefficients or as samples, or its identifier alone; photometry where known."""

    model_config = ConfigDict(extra="forbid")

    source_id: int = Field(ge=0, lt=2**63, strict=True, description="Gaia source identifier")
    ra: float | None = _within("ra", "right ascension, ICRS (deg); else the identifier's pixel")
    dec: float | None = _within("dec", "declination, ICRS (deg)")
    phot_g_mean_mag: float | None = _within("phot_g_mean_mag", "mag")
    phot_bp_mean_mag: float | None = _within("phot_bp_mean_mag", "mag")
    phot_rp_mean_mag: float | None = _within("phot_rp_mean_mag", "mag")
    phot_bp_rp_excess_factor: float | None = Field(None, description="computed from the magnitudes if not given")
    ebv: float | None = _within("ebv", "E(B-V) on the scale of SFD98 (mag); else the dust map's")
    rgeo: float | None = _within("rgeo", "geometric distance (pc), if known")
    parallax: float | None = Field(None, description="as in gaia_source (mas); gives the distance if rgeo does not")
    parallax_error: float | None = Field(None, gt=0, description="mas")
    parallax_over_error: float | None = Field(None, description="computed from the two if not given")
    nu_eff_used_in_astrometry: float | None = Field(None, description="1/micrometre; these five give the zero point")
    pseudocolour: float | None = Field(None, description="1/micrometre")
    ecl_lat: float | None = Field(None, ge=-90, le=90, description="ecliptic latitude (deg)")
    astrometric_params_solved: int | None = Field(None, ge=0, le=127, description="DR3's: 3, 31 or 95")
    tentative_parallax_bias: float | None = Field(None, description="DR4's zero point (mas)")
    flux: Numbers = Field(None, description="343 samples, 336 to 1020 nm in steps of 2 nm, W m-2 nm-1")
    flux_error: Numbers = Field(None, description="errors of the samples, W m-2 nm-1")
    bp_coefficients: Numbers
    bp_coefficient_errors: Numbers
    bp_coefficient_correlations: Numbers = Field(None, description="strict lower triangle, row by row; optional")
    rp_coefficients: Numbers
    rp_coefficient_errors: Numbers
    rp_coefficient_correlations: Numbers

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        samples, coefficients = self._has(SAMPLES), self._has(LIST_COLUMNS)
        if samples and coefficients:
            raise ValueError("give flux and flux_error, or coefficients, not both")
        if samples and (self.flux is None or self.flux_error is None):
            raise ValueError("flux and flux_error belong together")
        if (self.ra is None) != (self.dec is None):
            raise ValueError("ra and dec belong together")
        return self

    def _has(self, names: tuple[str, ...]) -> bool:
        return any(getattr(self, name) is not None for name in names)

    @property
    def kind(self) -> tuple[str, ...]:
        """Names of the lists that hold the spectrum; empty for an identifier alone."""
        return SAMPLES if self._has(SAMPLES) else LIST_COLUMNS if self._has(LIST_COLUMNS) else ()


class PredictRequest(BaseModel):
    """A request for some stars."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"stars": [{"source_id": 3849881110721354752}]}]}
    )

    stars: list[Star] = Field(min_length=1, max_length=MAX_STARS)


@dataclass
class RequestedStars:
    """The stars of a request, in its order.

    Attributes
    ----------
    source_ids : list
        Identifiers; None where one cannot be read.
    reasons : dict
        Why a star cannot be answered, by its position in the request.
    spectra : list
        Raw columns of the others (`xpfeh.xp.preprocess`), and their positions (N,).
    """

    source_ids: list[int | None]
    reasons: dict[int, str] = field(default_factory=dict)
    spectra: list[tuple[dict[str, NDArray], NDArray[np.intp]]] = field(default_factory=list)

    def read(self, places: NDArray[np.intp], file: SpectraFile, ebv: NDArray[np.float64] | None = None) -> None:
        """Read the stars at these positions (N,) of the request; E(B-V) (N,) as sent with them, or NaN."""
        for first, rows in file.ranges():
            for batch in read(file, first, rows, NO_COMPANIONS):
                good = self._read_rows(batch, first, places)
                columns = batch.columns if ebv is None else {**batch.columns, "ebv": ebv[good]}
                self.spectra.append((columns, places[good]))
                first += batch.rows_read

    def append(self, batch: RawBatch) -> None:
        """Append all stars of a file's next batch; their spectra are not kept."""
        first, end = len(self.source_ids), len(self.source_ids) + batch.rows_read
        good = self._read_rows(batch, first, np.arange(end))
        ids = {row: source_id for row, source_id, _ in batch.rejected}
        ids |= dict(zip(good.tolist(), batch.columns["source_id"].tolist(), strict=True))
        self.source_ids += [ids[row] for row in range(first, end)]
        self.spectra.append(({}, good))

    def _read_rows(self, batch: RawBatch, first: int, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return which of a batch's rows, counted from `first`, were read; keep the reasons of the others."""
        self.reasons |= {int(places[reject.row]): reject.reason for reject in batch.rejected}
        bad = [reject.row for reject in batch.rejected]
        return np.setdiff1d(np.arange(first, first + batch.rows_read), bad)


def read_json(body: bytes, release: str, bring: Bring) -> RequestedStars:
    """Read the stars of a JSON body.

    Parameters
    ----------
    body : bytes
    release : {"dr3", "dr4"}
        The model's release: coefficients must be of the same.
    bring : callable
        Raises `UserError` if the archive cannot be queried.

    Raises
    ------
    UserError
        If it is not JSON, or does not list 1 to `MAX_STARS` stars.
    """
    try:
        content = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise UserError(f"the body is not JSON ({first_line(error)}); write NaN as null") from None
    given = content.get("stars") if isinstance(content, dict) else None
    if not isinstance(given, list) or set(content) != {"stars"}:
        raise UserError('the body must be {"stars": [...]}, each star an object')
    _check_number(len(given))
    requested = RequestedStars([None] * len(given))
    kinds: dict[tuple[str, ...], list[tuple[int, Star]]] = {}
    for place, each in enumerate(given):
        try:
            star = Star.model_validate(each)
        except ValidationError as error:
            requested.reasons[place] = named(error)
            known = each.get("source_id") if isinstance(each, dict) else None
            requested.source_ids[place] = known if type(known) is int and 0 <= known < 2**63 else None
            continue
        requested.source_ids[place] = star.source_id
        kinds.setdefault(star.kind, []).append((place, star))
    for kind, stars in kinds.items():
        _add(
            requested,
            np.array([place for place, _ in stars]),
            _table([star for _, star in stars], kind),
            release,
            bring,
        )
    return requested


def read_arrow(body: bytes, release: str, bring: Bring) -> RequestedStars:
    """Read the stars of an Arrow stream: a table with the columns of `Star`, all of one kind; see `read_json`.

    Raises
    ------
    UserError
        If it is not an Arrow stream, has an unknown column, or does not have 1 to `MAX_STARS` rows.
    """
    table = read_stream(body)
    _check_number(len(table))
    check_columns(table.schema)
    requested = RequestedStars(table["source_id"].to_pylist())
    _add(requested, np.arange(len(table)), table, release, bring)
    return requested


def check_columns(schema: pa.Schema) -> None:
    """Raise a `UserError` if a table has columns that `Star` does not have, or no identifiers."""
    if unknown := [name[:40] for name in schema.names if name not in Star.model_fields]:
        raise UserError(f"unknown column: {', '.join(unknown[:3])}; the columns are {', '.join(Star.model_fields)}")
    if "source_id" not in schema.names or not pa.types.is_integer(schema.field("source_id").type):
        raise UserError("source_id must be a column of 64-bit integers")


def from_ids(ids: list[int], release: str, bring: Bring) -> RequestedStars:
    """Return a request for stars by identifier alone; see `read_json`."""
    requested = RequestedStars([*ids])
    _add(requested, np.arange(len(ids)), pa.table({"source_id": pa.array(ids, pa.int64())}), release, bring)
    return requested


def _check_number(stars: int) -> None:
    if not 1 <= stars <= MAX_STARS:
        raise UserError(f"the request has {stars} stars; it must have 1 to {MAX_STARS}")


def has_spectra(schema: pa.Schema) -> bool:
    """Whether a table has spectra, not identifiers alone."""
    return bool(set(schema.names) & set(_LISTS))


def ebv_of(table: pa.Table) -> NDArray[np.float64] | None:
    """Return a table's E(B-V) (N,), NaN where unknown; None if it has no such column."""
    return numbers_in(table, "ebv") if "ebv" in table.column_names else None


def _add(requested: RequestedStars, places: NDArray[np.intp], table: pa.Table, release: str, bring: Bring) -> None:
    if has_spectra(table.schema):
        requested.read(places, GivenTable(table, release))
        return
    ebv = ebv_of(table)
    try:
        requested.read(places, bring(pl.Series(table["source_id"]).to_numpy()), ebv)
    except UserError as error:
        requested.reasons |= dict.fromkeys(places.tolist(), str(error))


def _table(stars: list[Star], kind: tuple[str, ...]) -> pa.Table:
    columns: Mapping[str, Any] = {
        name: pa.array(
            [getattr(star, name) for star in stars],
            pa.int64() if name == "source_id" else pa.list_(pa.float64()) if name in kind else pa.float64(),
        )
        for name in Star.model_fields
        if name in kind or name not in _LISTS
    }
    return pa.table(columns)
