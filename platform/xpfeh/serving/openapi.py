"""What the description of the API (OpenAPI) says of bodies and answers that FastAPI does not see in types."""

from __future__ import annotations

from typing import Any

from xpfeh.serving.answers import JSON
from xpfeh.serving.asked import PredictRequest
from xpfeh.serving.problems import Refusal

FITS, PARQUET, PNG = "application/fits", "application/vnd.apache.parquet", "image/png"

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": text}
    for status, text in (
        (401, "a key is needed"),
        (403, "the key may not do this"),
        (404, "this endpoint has none"),
        (406, "there is no such form of answer"),
        (408, "the body did not come in time"),
        (413, "the body is too large"),
        (415, "the body is of a kind that is not taken"),
        (422, "the request is not as described"),
        (429, "a limit is reached, or too many requests wait; Retry-After says when to ask again"),
    )
}
"""Of every path."""


def gives(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Describe answers of some media types."""
    schema = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds if kind != JSON}
    answer = {JSON: {"schema": {"type": "object"}}} if JSON in kinds else {}
    return {200: {"description": "what was asked for", "content": {**answer, **schema}}}


def takes(*kinds: str) -> dict[str, Any]:
    """Describe bodies of some media types; JSON's is one of `PredictRequest`, if others are taken beside it."""
    star = PredictRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    star.pop("$defs", None)
    json = star if len(kinds) > 1 else {"type": "object"}
    binary = {"type": "string", "format": "binary"}
    content = {kind: {"schema": json if kind == JSON else binary} for kind in kinds}
    return {"requestBody": {"required": True, "content": content}}
