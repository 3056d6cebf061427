"""Standard clients: MLflow's protocol, and the Open Inference Protocol with NVIDIA's client."""

import json
from typing import Any

import numpy as np
import pytest
import requests
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from xpfeh.errors import UserError
from xpfeh.inference.predictor import COLUMNS, Predictor
from xpfeh.labels.sample import Sample
from xpfeh.serving.protocols import inference, invocation

NAMES = ("flux", "flux_error", "ebv")


@pytest.fixture(scope="module")
def features(sample: Sample) -> dict[str, np.ndarray]:
    return {name: sample.columns[name][:4] for name in NAMES}


def test_mlflows_protocol_gives_the_predictors_numbers(address: str, features: dict[str, Any], bundle: Any) -> None:
    expected = Predictor(bundle).predict(features)
    rows = [[features[name][i].tolist() for name in NAMES] for i in range(4)]
    for body in (
        {"dataframe_split": {"columns": NAMES, "data": rows}},
        {"dataframe_records": [dict(zip(NAMES, row, strict=True)) for row in rows]},
    ):
        answers = requests.post(f"{address}/invocations", json=body, timeout=60).json()["predictions"]
        for name in COLUMNS:
            np.testing.assert_array_equal(np.array([answer[name] for answer in answers], np.float32), expected[name])
    assert requests.get(f"{address}/ping", timeout=60).status_code == 200
    assert requests.get(f"{address}/version", timeout=60).text[0].isdigit()


def test_the_open_inference_protocol_by_nvidias_client(address: str, features: dict[str, Any], bundle: Any) -> None:
    client = InferenceServerClient(address.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("xpfeh")
        assert client.get_server_metadata()["name"] == "xpfeh"
        described = client.get_model_metadata("xpfeh")
        assert [each["name"] for each in described["inputs"]] == list(NAMES)
        inputs = []
        for name in NAMES:
            values = features[name].astype(np.float64)
            inputs.append(InferInput(name, values.shape, "FP64").set_data_from_numpy(values, binary_data=False))
        outputs = [InferRequestedOutput(name, binary_data=False) for name in COLUMNS]
        answer = client.infer("xpfeh", inputs, outputs=outputs, request_id="mine")
        assert answer.get_response()["id"] == "mine"
        for name, expected in Predictor(bundle).predict(features).items():
            np.testing.assert_array_equal(answer.as_numpy(name), expected)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (invocation, [], "must be an object"),
        (invocation, {}, "dataframe_split or dataframe_records"),
        (invocation, {"dataframe_split": {"columns": ["flux"], "data": [[1, 2]]}}, "as many values"),
        (invocation, {"dataframe_records": [{"flux": [1.0]}]}, "flux: missing"),
        (invocation, {"dataframe_records": [{"flux": ["x"] * 343}]}, "flux: must be numbers"),
        (inference, {"inputs": 3}, "a list of tensors"),
        (inference, {"inputs": [{"name": "colour"}]}, "inputs must be flux"),
        (inference, {"inputs": [{"name": "ebv", "datatype": "INT8", "data": [1]}]}, "ebv: datatype must be"),
        (inference, {"inputs": [{"name": "ebv", "datatype": "FP32", "shape": [2], "data": [1]}]}, "of that shape"),
        (inference, {"inputs": [{"name": "ebv", "datatype": "FP32", "shape": [1], "data": [1]}]}, "flux: missing"),
    ],
)
def test_invalid_requests_are_refused(read: Any, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(json.dumps(content).encode())
