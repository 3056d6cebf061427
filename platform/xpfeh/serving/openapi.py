"""OpenAPI descriptions of the bodies and answers that FastAPI cannot derive from types."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from xpfeh.columns import CATALOG
from xpfeh.serving.answers import JSON
from xpfeh.serving.problems import Refusal
from xpfeh.serving.requested import PredictRequest

PNG = "image/png"

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": text}
    for status, text in (
        (401, "a key is needed"),
        (403, "the key may not do this"),
        (404, "not found at this endpoint"),
        (406, "no answer of this media type"),
        (408, "the body did not arrive in time"),
        (413, "the body is too large"),
        (415, "the body's media type is not accepted"),
        (422, "the request is invalid"),
        (429, "a limit is reached, or too many requests wait; retry after Retry-After seconds"),
    )
}
"""Refusals that every path can give."""


def _type(field: pa.Field) -> dict[str, Any]:
    """Return the JSON schema of a column of the catalog."""
    kinds = (
        ("string", pa.types.is_string),
        ("boolean", pa.types.is_boolean),
        ("integer", pa.types.is_integer),
        ("number", pa.types.is_floating),
    )
    kind = next(name for name, holds in kinds if holds(field.type))
    metadata = {name.decode(): value.decode() for name, value in (field.metadata or {}).items()}
    unit = f" ({metadata['unit']})" if metadata.get("unit") else ""
    return {"type": [kind, "null"], "description": metadata.get("description", "") + unit}


ROW: dict[str, Any] = {"type": "object", "properties": {field.name: _type(field) for field in CATALOG}}
"""A row of the catalog."""
_NAMES = {"type": "array", "items": {"type": "string"}, "description": "the flags in words"}
_ERROR = {"source_id": {"type": ["integer", "null"]}, "good": {"const": False}, "error": {"type": "string"}}
ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["model_version", "release", "dust_map", "stars"],
    "properties": {
        "model_version": {"type": "string"},
        "release": {"type": "string", "description": "Gaia's data release that the model is for"},
        "dust_map": {"type": "string", "description": "where E(B-V) comes from"},
        "stars": {
            "type": "array",
            "items": {
                "oneOf": [
                    {
                        **ROW,
                        "properties": {**ROW["properties"], "flag_names": _NAMES},
                        "required": [*CATALOG.names, "flag_names"],
                        "additionalProperties": False,
                    },
                    {"type": "object", "properties": _ERROR, "required": [*_ERROR], "additionalProperties": False},
                ]
            },
        },
    },
}
"""The JSON answer for stars: a row for each, or its error."""
_NUMBERS = {"type": "array", "items": {"type": ["number", "null"]}}
_PLOTTED = {
    "wavelength_nm": "of the samples",
    "flux": "of the samples, as observed, 1 around 550 nm",
    "flux_error": "of the samples",
    "range_nm": "centres of ranges of 11 nm",
    "feh_change": "what 1 % more flux in each range does to [Fe/H] (dex)",
    "labels": "lowest and highest [Fe/H] of the training labels",
}
SPECTRUM: dict[str, Any] = {
    "type": "object",
    "required": ["source_id", *_PLOTTED],
    "properties": {
        "source_id": {"type": "integer"},
        **{name: {**_NUMBERS, "description": text} for name, text in _PLOTTED.items()},
    },
    "additionalProperties": False,
}
"""A star's picture as numbers."""
_ANYTHING = {"type": "object"}


def gives(*kinds: str, json: dict[str, Any] = _ANYTHING) -> dict[int | str, dict[str, Any]]:
    """Describe answers of some media types, JSON's by its schema."""
    schema = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds if kind != JSON}
    answer = {JSON: {"schema": json}} if JSON in kinds else {}
    return {200: {"description": "the answer", "content": {**answer, **schema}}}


CONE = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": name in ("RA", "DEC", "SR"),
            "schema": {"type": kind},
            "description": text,
        }
        for name, kind, text in (
            ("RA", "number", "right ascension, ICRS (deg)"),
            ("DEC", "number", "declination, ICRS (deg)"),
            ("SR", "number", "radius (deg)"),
            ("VERB", "integer", "1: few columns, 2 and 3: all"),
            ("MAXREC", "integer", "maximum number of rows"),
        )
    ]
}
"""Parameters of the cone search, whose names may be in any case."""


def takes(*kinds: str) -> dict[str, Any]:
    """Describe bodies of some media types; JSON is a `PredictRequest` if other types are accepted too."""
    stars = PredictRequest.model_json_schema()
    stars["properties"]["stars"]["items"] = stars.pop("$defs")["Star"]  # a reference would be to the whole document
    json = stars if len(kinds) > 1 else {"type": "object"}
    binary = {"type": "string", "format": "binary"}
    content = {kind: {"schema": json if kind == JSON else binary} for kind in kinds}
    return {"requestBody": {"required": True, "content": content}}
