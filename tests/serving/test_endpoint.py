"""The real endpoint over HTTP, with requests for real stars."""

import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import pyvo
import requests
import xpfeh
from astropy.table import Table
from xpfeh.columns import CATALOG, to_table
from xpfeh.errors import UserError
from xpfeh.inference.card import ModelCard
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.config import Config, EndpointArgs
from xpfeh.serving.deploy import deploy
from xpfeh.serving.keys import Keys, Scope
from xpfeh.serving.openapi import ROW, SPECTRUM
from xpfeh.settings import PreprocessSettings
from xpfeh.xp.preprocess import preprocess

from tests.genuine import datalink_file

STAR = 5_937_083_312_263_887_616


def star_json(spectra: dict[str, np.ndarray], i: int, **changes: Any) -> dict[str, Any]:
    star = {name: values[i].tolist() for name, values in spectra.items()} | {"rgeo": None}
    return star | changes


def without_names(row: dict[str, Any]) -> dict[str, Any]:
    """The catalog's columns of an answer, without the flags in words."""
    return {name: value for name, value in row.items() if name != "flag_names"}


def test_answers_equal_catalog_rows_to_the_last_bit(address: str, spectra: dict[str, np.ndarray], bundle: Path) -> None:
    rows = to_table(estimate(preprocess(spectra, PreprocessSettings()), Predictor(bundle)), CATALOG).to_pylist()
    for chosen in ([0], [5, 3, 8], list(range(100))):
        reply = requests.post(
            f"{address}/v1/predict", json={"stars": [star_json(spectra, i) for i in chosen]}, timeout=60
        )
        assert [without_names(row) for row in reply.json()["stars"]] == [rows[i] for i in chosen]
        assert reply.json()["model_version"] == Predictor(bundle).version


def test_gives_its_model_and_its_flags(address: str, bundle: Path) -> None:
    card = requests.get(f"{address}/v1/model", timeout=60).json()
    assert ModelCard.model_validate(card) == Predictor(bundle).card
    health = requests.get(f"{address}/v1/health", timeout=60).json()
    assert health["model_version"] == card["version"]
    assert "FEH_EDGE" in health["not_good"]
    assert "GIANT_BY_SPECTRUM" not in health["not_good"]
    assert "G > 15" in " ".join(requests.get(f"{address}/v1/flags", timeout=60).json().values())


def test_requests_at_once_get_the_bytes_that_each_gets_alone(address: str, spectra: dict[str, np.ndarray]) -> None:
    def ask(i: int) -> bytes:
        stars = [star_json(spectra, j) for j in range(i, i + 1 + i % 7)]
        return requests.post(f"{address}/v1/predict", json={"stars": stars}, timeout=60).content

    alone = [ask(i) for i in range(40)]
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(ask, range(40))) == alone


def test_arrow_csv_and_votable_hold_the_same_rows(address: str, spectra: dict[str, np.ndarray]) -> None:
    lists = {name: pa.array([row.tolist() for row in spectra[name][:5]]) for name in ("flux", "flux_error")}
    table = pa.table({name: lists.get(name, spectra[name][:5]) for name in spectra if name != "rgeo"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)

    def ask(kind: str) -> bytes:
        headers = {"Content-Type": "application/vnd.apache.arrow.stream", "Accept": kind}
        reply = requests.post(f"{address}/v1/predict", sink.getvalue().to_pybytes(), headers=headers, timeout=60)
        assert reply.headers["Content-Type"].startswith(kind)
        return reply.content

    by_json = json.loads(ask("application/json"))["stars"]
    by_arrow = pa.ipc.open_stream(ask("application/vnd.apache.arrow.stream")).read_all()
    assert by_arrow.drop(["error"]).to_pylist() == [without_names(row) for row in by_json]
    assert pl.read_csv(ask("text/csv"))["source_id"].to_list() == spectra["source_id"][:5].tolist()
    votable = Table.read(io.BytesIO(ask("application/x-votable+xml")), format="votable")
    for name in ("FEH", "good"):
        assert votable[name].tolist() == [row[name] for row in by_json]
    assert str(votable["ra"].unit) == "deg"


def test_an_invalid_star_has_its_error_in_its_place(address: str, spectra: dict[str, np.ndarray]) -> None:
    stars = [star_json(spectra, 0), star_json(spectra, 1, dec=91.0), {"source_id": 2**60 + 1}]
    answer = requests.post(f"{address}/v1/predict", json={"stars": stars}, timeout=60).json()["stars"]
    assert answer[0]["source_id"] == stars[0]["source_id"]
    assert answer[1:] == [
        {"source_id": stars[1]["source_id"], "good": False, "error": "dec: Input should be less than or equal to 90"},
        {
            "source_id": 2**60 + 1,
            "good": False,
            "error": "no spectrum was sent, and this endpoint does not query Gaia's archive",
        },
    ]


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"{", {}, 422, "not JSON"),
        (b'{"stars": []}', {}, 422, "1 to 1000"),
        (b"x", {"Content-Type": "text/plain"}, 415, "application/json"),
        (b'{"stars": [{}]}', {"Accept": "image/png"}, 406, "text/csv"),
        (b"x", {"Content-Encoding": "gzip"}, 415, "compressed"),
        (b"x" * 80_000_001, {}, 413, "at most 80 MB"),
    ],
)
def test_an_invalid_request_is_refused_in_one_form(
    address: str, body: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    reply = requests.post(
        f"{address}/v1/predict", body, headers={"Content-Type": "application/json"} | headers, timeout=60
    )
    assert reply.status_code == status
    assert reply.json()["error"]["status"] == status
    assert message in reply.json()["error"]["message"]


def test_unknown_paths_are_refused_in_the_same_form(address: str) -> None:
    for path, status in (("/v1/nothing", 404), ("/v1/predict", 405)):
        reply = requests.get(f"{address}{path}", timeout=60)
        assert (reply.status_code, reply.json()["error"]["status"]) == (status, status)


def test_a_large_body_of_invalid_values_gets_a_small_answer(address: str) -> None:
    stars = [{"source_id": i, "flux": ["x" * 10] * 343, "flux_error": ["x" * 10] * 343} for i in range(200)]
    reply = requests.post(f"{address}/v1/predict", json={"stars": stars}, timeout=60)
    assert len(reply.content) < 100_000
    assert "xxxx" not in reply.text


def test_a_star_that_cannot_be_predicted_is_answered_with_a_flag(address: str, spectra: dict[str, np.ndarray]) -> None:
    dark = star_json(spectra, 0, flux=[-1e-17] * 343)
    (row,) = requests.post(f"{address}/v1/predict", json={"stars": [dark]}, timeout=60).json()["stars"]
    assert row["FEH"] is None
    assert row["flags"] & 1


def test_a_client_gives_what_predict_gives(
    address: str, spectra: dict[str, np.ndarray], bundle: Path, tmp_path: Path
) -> None:
    spectra = {**spectra, "parallax": np.linspace(-0.1, 2, 300), "parallax_error": np.full(300, 0.05)}
    spectra |= {"nu_eff_used_in_astrometry": np.full(300, 1.4), "ecl_lat": np.full(300, -30.0)}
    spectra |= {"astrometric_params_solved": np.full(300, 31), "ebv": np.where(np.arange(300) % 2, 0.2, np.nan)}
    answer = xpfeh.Client(address).predict(spectra, keep=tmp_path / "kept")
    expected = xpfeh.predict(spectra, model=bundle)
    for name in expected.colnames:
        np.testing.assert_array_equal(answer[name], expected[name])
    kept = sorted((tmp_path / "kept").iterdir())
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    xpfeh.Client(address).predict(spectra, keep=tmp_path / "kept")
    assert kept[0].stat().st_mtime_ns == before
    coefficients = datalink_file("csv", tmp_path)
    photometry = {"source_id": [STAR], "ra": [251.5], "dec": [-51.5], "phot_g_mean_mag": [14.25]}
    photometry |= {"phot_bp_mean_mag": [15.0], "phot_rp_mean_mag": [13.5]}
    for given in (coefficients, [str(coefficients)], Table.read(datalink_file("fits", tmp_path))[0]):
        (star,) = xpfeh.Client(address).predict(given, photometry)
        assert star["FEH"] == pytest.approx(xpfeh.predict(coefficients, bundle, photometry)["FEH"][0], abs=1e-4)
        assert star["PHOT_G_MEAN_MAG"] == 14.25
    twice = {name: np.concatenate([values[:2], values[:1]]) for name, values in spectra.items()}
    with pytest.warns(UserWarning, match="1 row was rejected"):
        answer = xpfeh.Client(address).predict(twice)
    assert answer.colnames == expected.colnames
    assert answer.meta["rejected"] == [f"the table: row 2, source_id {spectra['source_id'][0]}: repeated source_id"]


@pytest.fixture
def guarded(address: str, bundle: Path, config: Config, tmp_path: Path) -> Iterator[tuple[str, Keys]]:
    """The same endpoint, deployed again with keys."""
    path = tmp_path / "keys.json"
    guarded = replace(config, args=EndpointArgs(model="", keys=str(path)))
    yield deploy(guarded, str(bundle)), Keys(path)
    deploy(config, str(bundle))


@pytest.mark.slow  # deploys twice
def test_keys_protect_an_endpoint_without_a_restart(guarded: tuple[str, Keys], spectra: dict[str, np.ndarray]) -> None:
    address, keys = guarded
    body = {"stars": [star_json(spectra, 0)]}

    def ask(token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(f"{address}/v1/predict", json=body, headers=headers, timeout=60)

    assert requests.post(f"{address}/v1/predict", json=body, timeout=60).headers["WWW-Authenticate"] == "Bearer"
    assert ask("xpfeh_guess").status_code == 401
    token = keys.add("vienna", (Scope.PREDICT,), 2, 1000)
    assert [ask(token).status_code for _ in range(3)] == [200, 200, 429]
    assert int(ask(token).headers["Retry-After"]) <= 61
    reader = keys.add("reader", (Scope.READ,), 10, 1000)
    assert ask(reader).status_code == 403
    small = keys.add("small", (Scope.PREDICT,), 10, 1)
    assert [ask(small).status_code for _ in range(2)] == [200, 429]
    keys.revoke("small")
    assert ask(small).status_code == 401
    assert requests.get(f"{address}/v1/health", timeout=60).status_code == 200
    with pytest.raises(UserError, match="refused with status 401: a key is needed"):
        xpfeh.Client(address, "xpfeh_guess").predict(spectra)
    assert len(xpfeh.Client(address, keys.add("client", (Scope.PREDICT,), 10, 1000)).predict(spectra)) == 300


@pytest.mark.parametrize("kind", ["csv", "ecsv", "vot", "fits"])
def test_a_file_gets_what_predict_gives(address: str, bundle: Path, tmp_path: Path, kind: str) -> None:
    path = datalink_file(kind, tmp_path)
    expected = xpfeh.predict(str(path), bundle)
    url = f"{address}/v1/predict/file?name={path.name}"
    for accept, read in (
        ("application/json", lambda content: json.loads(content)["stars"][0]["FEH"]),
        ("application/fits", lambda content: Table.read(io.BytesIO(content), format="fits")["FEH"][0]),
        ("application/vnd.apache.parquet", lambda content: pl.read_parquet(content)["FEH"][0]),
        ("text/csv", lambda content: np.float32(pl.read_csv(content)["FEH"][0])),
    ):
        reply = requests.post(url, path.read_bytes(), headers={"Accept": accept}, timeout=60)
        assert reply.headers["Content-Type"].startswith(accept)
        assert read(reply.content) == expected["FEH"][0], accept


def test_a_broken_file_is_refused_by_its_own_name(address: str) -> None:
    for name, content, status, message in (
        ("stars.csv", b"a,b\n1,2\n", 422, "stars.csv: not a file of XP continuous spectra"),
        ("stars.csv.gz", b"\x1f\x8bxx", 415, "unpack it"),
        ("stars.parquet", b"junk", 422, "stars.parquet: "),
        ("stars.exe", b"", 415, "must end in .csv"),
    ):
        reply = requests.post(f"{address}/v1/predict/file?name={name}", content, timeout=60)
        assert (reply.status_code, reply.json()["error"]["status"]) == (status, status)
        assert message in reply.json()["error"]["message"]
        assert "/tmp" not in reply.text


def test_a_picture_shows_the_star(address: str, spectra: dict[str, np.ndarray]) -> None:
    reply = requests.post(f"{address}/v1/picture", json={"stars": [star_json(spectra, 0)]}, timeout=60)
    assert reply.content.startswith(b"\x89PNG")
    numbers = requests.post(
        f"{address}/v1/picture",
        json={"stars": [star_json(spectra, 0)]},
        headers={"Accept": "application/json"},
        timeout=60,
    ).json()
    assert set(numbers) == set(SPECTRUM["required"]) == set(SPECTRUM["properties"])
    assert numbers["source_id"] == spectra["source_id"][0]
    features = preprocess({name: values[:1] for name, values in spectra.items()}, PreprocessSettings())
    assert numbers["flux"] == features["flux"][0].tolist()
    assert len(numbers["wavelength_nm"]) == len(numbers["flux_error"]) == 343
    assert len(numbers["range_nm"]) == len(numbers["feh_change"]) == 60
    assert any(numbers["feh_change"])
    wrong = requests.post(f"{address}/v1/picture", json={"stars": [{"source_id": 5}]}, timeout=60)
    assert wrong.status_code == 422
    of_archive = requests.get(f"{address}/v1/stars/5/spectrum.png", timeout=60)
    assert (of_archive.status_code, "does not query" in of_archive.text) == (404, True)


def test_published_stars_and_cones(address: str, published: tuple[str, pa.Table]) -> None:
    _, catalog = published
    expected = catalog.slice(777, 1).to_pylist()[0]
    assert requests.get(f"{address}/v1/stars/{expected['source_id']}", timeout=60).json() == expected
    assert requests.get(f"{address}/v1/stars/{expected['source_id'] + 1}", timeout=60).status_code == 404
    assert requests.get(f"{address}/v1/stars/x", timeout=60).status_code == 422
    assert requests.get(f"{address}/v1/stars/{2**64}", timeout=60).status_code == 422
    found = pyvo.dal.conesearch(f"{address}/v1/cone", (266.0, -29.0), 0.2)
    assert len(found) > 3
    with pytest.raises(pyvo.dal.DALQueryError, match="SR must be at most 10 degrees"):
        pyvo.dal.conesearch(f"{address}/v1/cone", (266.0, -29.0), 20.0)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_lines_of_the_page_work(address: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("curl ")]
    datalink_file("csv", tmp_path).rename(tmp_path / "XP_CONTINUOUS_RAW.csv")
    assert lines
    for line in lines:
        command = shlex.split(line.replace("http://127.0.0.1:8000", address))
        answer = subprocess.run(
            [*command, "--silent", "--fail"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        asked = re.search(r"\d{18,19}", line)  # else the star of the file
        assert (asked[0] if asked else "5937083312263887616") in answer.stdout


def test_the_openapi_describes_every_path(address: str) -> None:
    described = requests.get(f"{address}/openapi.json", timeout=60).json()
    assert {"/v1/predict", "/v1/predict/file", "/v1/picture", "/v1/stars/{source_id}", "/v1/cone", "/v1/jobs"} <= set(
        described["paths"]
    )
    assert "Refusal" in described["components"]["schemas"]
    assert ROW["properties"]["good"]["type"] == ["boolean", "null"]
