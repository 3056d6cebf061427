"""The model for standard clients: MLflow's scoring server, and the Open Inference Protocol (V2, REST, JSON).

Both take features, not spectra: what `xpfeh.preprocess` gives as ``flux``, ``flux_error`` and ``ebv``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from xpfeh.errors import UserError
from xpfeh.files import first_line
from xpfeh.inference.inputs import INPUTS
from xpfeh.inference.predictor import COLUMNS
from xpfeh.serving.requested import MAX_STARS
from xpfeh.xp.grid import WAVELENGTH_NM

MODEL_NAME = "xpfeh"
_SHAPES = {"flux": [-1, WAVELENGTH_NM.size], "flux_error": [-1, WAVELENGTH_NM.size], "ebv": [-1]}
_TYPES = ("FP32", "FP64")

Features = dict[str, NDArray[np.float64]]


def invocation(body: bytes) -> Features:
    """Return the features of a request to MLflow's ``/invocations``: ``dataframe_split`` or ``dataframe_records``.

    Raises
    ------
    UserError
        If it is invalid, or its columns are not those of the logged signature.
    """
    content = _json(body)
    records: Any
    if isinstance(split := content.get("dataframe_split"), dict):
        names, rows = split.get("columns"), split.get("data")
        if not isinstance(names, list) or not isinstance(rows, list) or not all(isinstance(r, list) for r in rows):
            raise UserError("dataframe_split needs columns and data, a list of rows")
        if any(len(row) != len(names) for row in rows):
            raise UserError("dataframe_split: a row must have as many values as there are columns")
        records = [dict(zip(map(str, names), row, strict=True)) for row in rows]
    elif isinstance(records := content.get("dataframe_records"), list):
        if not all(isinstance(record, dict) for record in records):
            raise UserError("dataframe_records must be objects")
    else:
        raise UserError("the body must have dataframe_split or dataframe_records")
    return _check({name: [record.get(name) for record in records] for name in INPUTS})


def inference(body: bytes) -> tuple[Features, str | None]:
    """Return the features of an inference request, and its ``id``.

    Raises
    ------
    UserError
        If it is invalid, or its tensors are not those of the model's metadata.
    """
    content = _json(body)
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(each, dict) for each in inputs):
        raise UserError("the body must have inputs, a list of tensors")
    tensors: dict[str, Any] = {}
    for tensor in inputs:
        name, shape = tensor.get("name"), tensor.get("shape")
        if name not in INPUTS:
            raise UserError(f"inputs must be {', '.join(INPUTS)}")
        if tensor.get("datatype") not in _TYPES or "data" not in tensor:
            raise UserError(f"{name}: datatype must be {' or '.join(_TYPES)}, with data in JSON")
        try:
            tensors[name] = np.asarray(tensor["data"], dtype=np.float64).reshape(shape)
        except (ValueError, TypeError):
            raise UserError(f"{name}: data are not numbers of that shape") from None
    request = content.get("id")
    return _check({name: tensors.get(name) for name in INPUTS}), request if isinstance(request, str) else None


def predictions(predicted: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Return MLflow's answer."""
    lists = [predicted[name].tolist() for name in COLUMNS]
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*lists, strict=True)]
    return to_json({"predictions": rows}, inf_nan_mode="null")


def inference_answer(predicted: Mapping[str, NDArray[np.float32]], version: str, request: str | None) -> bytes:
    """Return the protocol's answer: one tensor per column; NaN, which JSON lacks, is null."""
    outputs = [
        {"name": column, "shape": [len(predicted[column])], "datatype": "FP32", "data": predicted[column].tolist()}
        for column in COLUMNS
    ]
    head = {"model_name": MODEL_NAME, "model_version": version} | ({"id": request} if request else {})
    return to_json({**head, "outputs": outputs}, inf_nan_mode="null")


def metadata(version: str) -> dict[str, Any]:
    """Return the protocol's description of the model."""
    return {
        "name": MODEL_NAME,
        "versions": [version],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": name, "datatype": "FP64", "shape": shape} for name, shape in _SHAPES.items()],
        "outputs": [{"name": name, "datatype": "FP32", "shape": [-1]} for name in COLUMNS],
    }


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise UserError(f"the body is not JSON ({first_line(error)})") from None
    if not isinstance(content, dict):
        raise UserError("the body must be an object")
    return content


def _check(columns: Mapping[str, Any]) -> Features:
    features = {}
    for name, values in columns.items():
        try:
            features[name] = np.asarray(values, dtype=np.float64)
        except (ValueError, TypeError):
            raise UserError(f"{name}: must be numbers, {_shape(name)} per star") from None
        if features[name].shape[1:] != tuple(_SHAPES[name][1:]) or features[name].ndim != len(_SHAPES[name]):
            raise UserError(f"{name}: missing or of the wrong shape; send {_shape(name)} per star")
    stars = {len(values) for values in features.values()}
    if len(stars) != 1 or not 1 <= stars.pop() <= MAX_STARS:
        raise UserError(f"flux, flux_error and ebv must be of the same stars, 1 to {MAX_STARS}")
    return features


def _shape(name: str) -> str:
    return "one number" if name == "ebv" else f"{WAVELENGTH_NM.size} numbers"
