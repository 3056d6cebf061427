"""Jobs at a real endpoint, on real Ray: the same bytes, whatever dies."""

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pyarrow as pa
import pytest
import requests
import xpfeh
from xpfeh.archive.cache import bring
from xpfeh.errors import EndpointError
from xpfeh.experiments.models import bundle_folder
from xpfeh.files import package_file
from xpfeh.lease import only_one
from xpfeh.serving.config import Config
from xpfeh.serving.deploy import deploy
from xpfeh.serving.jobs.folder import JobEnd, JobOrder, JobState, folders
from xpfeh.serving.keys import Keys, Scope

from tests.archive.archive_server import ArchiveServer
from tests.conftest import library_stars, services_of
from tests.genuine import datalink_file
from tests.processes import environment, free_port, kill, workers
from tests.serving.test_job_files import STAR, made_folder

ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}


def arrow_stream(stars: dict[str, np.ndarray]) -> bytes:
    columns = {name: pa.array([*values]) for name, values in stars.items() if name != "rgeo"}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.table(columns).schema) as stream:
        stream.write_table(pa.table(columns))
    return sink.getvalue().to_pybytes()


def ended(url: str, headers: dict[str, str] | None = None, *, within_s: float = 120.0) -> dict[str, Any]:
    """A job once it has ended."""
    return until(lambda job: job["state"] not in ("queued", "running"), url, headers, within_s=within_s)


def until(
    holds: Callable[[dict[str, Any]], bool], url: str, headers: dict[str, str] | None = None, *, within_s: float = 120.0
) -> dict[str, Any]:
    for _ in range(int(within_s / 0.2)):
        with suppress(requests.ConnectionError):  # the only replica was killed with the request
            reply = requests.get(url, headers=headers, timeout=60)
            if reply.ok and holds(job := reply.json()):
                return job
        time.sleep(0.2)
    raise TimeoutError(f"{url}: {reply.text}")


@pytest.mark.slow  # half a minute: each task is a process of its own
def test_a_job_gives_what_a_request_gives(address: str, spectra: dict[str, np.ndarray], tmp_path: Path) -> None:
    body = arrow_stream({name: values[:40] for name, values in spectra.items()})
    online = requests.post(f"{address}/v1/predict", body, headers={**ARROW, "Accept": "text/csv"}, timeout=60)
    reply = requests.post(f"{address}/v1/jobs", body, headers=ARROW, timeout=60)
    assert (reply.status_code, reply.json()["state"], reply.json()["stars"]) == (202, "queued", 40)
    assert reply.headers["Location"] == f"/v1/jobs/{reply.json()['id']}"
    url = f"{address}{reply.headers['Location']}"
    assert requests.get(f"{url}/result", timeout=60).status_code == 409
    file = datalink_file("csv", tmp_path)
    by_file = f"{address}/v1/predict/file?name=mine.csv"
    of_file = requests.post(by_file, file.read_bytes(), headers={"Accept": "text/csv"}, timeout=60)
    second = requests.post(f"{address}/v1/jobs?name=mine.csv", file.read_bytes(), timeout=60).json()
    job = ended(url)
    assert (job["state"], job["done"], job["rejected"], job["error"]) == ("done", 40, 0, None)
    csv = requests.get(f"{url}/result?format=csv", timeout=60)
    assert csv.content == online.content
    assert csv.headers["Content-Type"].startswith("text/csv")
    rest = requests.get(f"{url}/result?format=csv", headers={"Range": "bytes=100-"}, timeout=60)
    assert (rest.status_code, rest.content) == (206, online.content[100:])
    for form in ("parquet", "fits", "votable"):
        content = requests.get(f"{url}/result?format={form}", timeout=60).content
        (tmp_path / form).write_bytes(content)
    assert pl.read_parquet(tmp_path / "parquet")["source_id"].to_list() == spectra["source_id"][:40].tolist()
    assert requests.get(f"{url}/result?format=json", timeout=60).status_code == 422
    ended(f"{address}/v1/jobs/{second['id']}")
    assert requests.get(f"{address}/v1/jobs/{second['id']}/result?format=csv", timeout=60).content == of_file.content
    listed = requests.get(f"{address}/v1/jobs", timeout=60).json()
    assert [each["id"] for each in listed][:2] == [second["id"], job["id"]]
    for each in (job, second):
        assert requests.delete(f"{address}/v1/jobs/{each['id']}", timeout=60).json()["state"] == "done"
        gone = requests.get(f"{address}/v1/jobs/{each['id']}", timeout=60)
        assert (gone.status_code, gone.json()["error"]["status"]) == (404, 404)


def test_an_invalid_job_is_refused_in_one_form(address: str) -> None:
    for path, body, headers, status, message in (
        ("", b'{"source_ids": [1]}', {"Content-Type": "application/json"}, 422, "does not query"),
        ("", b"x", {"Content-Type": "text/plain"}, 415, "for a file give ?name="),
        ("", b"x", ARROW, 422, "not an Arrow stream"),
        ("?name=stars.exe", b"x", {}, 415, "must end in .csv"),
        ("?name=stars.csv", b"a,b\n1,2\n", {}, 422, "stars.csv: not a file of XP continuous spectra"),
    ):
        reply = requests.post(f"{address}/v1/jobs{path}", body, headers=headers, timeout=60)
        assert (reply.status_code, reply.json()["error"]["status"]) == (status, status), reply.text
        assert message in reply.json()["error"]["message"]
        assert "/tmp" not in reply.text
    assert requests.get(f"{address}/v1/jobs/{'0' * 32}", timeout=60).status_code == 404
    for path, allowed in (("/v1/jobs", "POST, GET"), (f"/v1/jobs/{'0' * 32}", "GET, DELETE"), ("/v1/predict", "POST")):
        assert requests.put(f"{address}{path}", timeout=60).headers["Allow"] == allowed
    assert requests.get(f"{address}/v1/jobs/..%2f..", timeout=60).status_code in (404, 422)


@pytest.mark.slow  # a minute, most of it for redeploying
def test_another_key_sees_nothing_and_the_quota_counts(
    address: str, bundle: Path, config: Config, spectra: dict[str, np.ndarray], tmp_path: Path
) -> None:
    keys = Keys(tmp_path / "keys.json")
    guarded = config.args.model_copy(update={"keys": str(keys.path), "jobs": str(tmp_path / "jobs")})
    deploy(replace(config, args=guarded), str(bundle))
    names = ("vienna", "padova", "small")
    mine, other, small = (
        {"Authorization": f"Bearer {keys.add(name, (Scope.PREDICT,), 1000, 30 if name == 'small' else 10**6)}"}
        for name in names
    )
    body = arrow_stream({name: values[:20] for name, values in spectra.items()})
    url = f"{address}/v1/jobs"
    assert requests.post(url, body, headers=ARROW, timeout=60).status_code == 401
    with only_one(tmp_path / "jobs"):  # as another endpoint's keeper would
        assert requests.post(url, body, headers=ARROW | mine, timeout=60).status_code == 503
    reply = requests.post(url, body, headers=ARROW | mine, timeout=60)
    where = f"{address}{reply.headers['Location']}"
    for path in (where, f"{where}/result"):
        assert requests.get(path, headers=other, timeout=60).status_code == 404
    assert requests.delete(where, headers=other, timeout=60).status_code == 404
    assert requests.get(url, headers=other, timeout=60).json() == []
    assert ended(where, mine)["state"] == "done"
    assert requests.post(url, body, headers=ARROW | small, timeout=60).status_code == 202
    refused = requests.post(url, body, headers=ARROW | small, timeout=60)
    assert (refused.status_code, "30 stars a day" in refused.text) == (429, True)
    assert int(refused.headers["Retry-After"]) > 0
    deploy(config, str(bundle))


@pytest.mark.slow  # half a minute
def test_a_client_makes_a_job_of_many_stars(
    address: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stars = library_stars(0, 1200)
    client, kept = xpfeh.Client(address), tmp_path / "kept"

    def interrupted(job: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("xpfeh.client.job.Job._wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.predict(stars, keep=kept)
    job = requests.get(f"{address}/v1/jobs", timeout=60).json()[0]
    assert f'client.job("{job["id"]}").result()' in capsys.readouterr().err
    answer, expected = client.predict(stars, keep=kept), xpfeh.predict(stars, model=bundle)
    assert answer.colnames == expected.colnames
    for name in expected.colnames:
        np.testing.assert_array_equal(answer[name], expected[name])
    assert requests.get(f"{address}/v1/jobs/{job['id']}", timeout=60).status_code == 404
    assert len(list(kept.iterdir())) == 1
    with pytest.raises(EndpointError, match="this key has no such job"):
        client.job(job["id"]).result()


@contextmanager
def serving(folder: Path, port: int) -> Iterator[psutil.Popen]:
    """`xpfeh serve` with the packaged model, in a separate process."""
    text = package_file("xpfeh", "serving/local.yaml").read_text().replace("port: 8000", f"port: {port}")
    (folder / "serve.yaml").write_text(text)
    command = [sys.executable, "-m", "xpfeh", "serve", "--config", str(folder / "serve.yaml"), "--model", "pretrained"]
    variables = environment({"XPFEH_DATA": str(folder / "data")})
    with psutil.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "serving at" in process.stdout.readline()
            yield process
        finally:
            kill(process)


@pytest.mark.slow  # two minutes
def test_a_job_survives_its_replica_its_keeper_its_worker_and_its_cluster(
    archive: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the archive fills the cache first: the endpoint finds its answers there."""
    monkeypatch.setenv("XPFEH_DATA", str(tmp_path / "data"))
    archive.absent = {77}
    ids, stars = [STAR, 77, STAR + 1], library_stars(0, 25_000)  # five shards: some are left at the end
    bring(np.array(ids), "dr3", services_of(archive))
    port, jobs = free_port(), tmp_path / "data" / "jobs"
    url = f"http://127.0.0.1:{port}/v1/jobs"
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with serving(tmp_path, port) as process:
        asked = requests.post(url, json={"source_ids": ids}, timeout=60).json()
        job = requests.post(url, arrow_stream(stars), headers=ARROW, timeout=60).json()
        cancelled = requests.post(url, arrow_stream(stars), headers=ARROW, timeout=60).json()
        refused = requests.post(url, json={"source_ids": ids}, timeout=60)
        assert (refused.status_code, "3 unfinished jobs" in refused.text) == (429, True)
        assert requests.delete(f"{url}/{cancelled['id']}", timeout=60).json()["state"] == "cancelled"
        assert ended(f"{url}/{cancelled['id']}")["state"] == "cancelled"
        assert ended(f"{url}/{asked['id']}")["rejected"] == 1
        rows = pl.read_parquet(io.BytesIO(requests.get(f"{url}/{asked['id']}/result", timeout=60).content))
        assert rows["source_id"].to_list() == ids
        assert rows["error"].to_list() == [None, "not a source of Gaia DR3", None]
        assert requests.get(f"{url}/{cancelled['id']}/result", timeout=60).status_code == 409
        before = until(lambda job: job["done"] >= 5000, f"{url}/{job['id']}")["done"]
        for each in ("ServeReplica:xpfeh:Endpoint", "Keeper", "make_part"):
            for worker in workers(process, each):
                worker.kill()
        until(lambda job: job["done"] > before, f"{url}/{job['id']}")
    expired = made_folder(
        jobs,
        "anybody",
        JobOrder(source="x", name="x", stars=1, created=long_ago),
        JobEnd(state=JobState.DONE, at=long_ago),
    )
    old = Path(expired.path)
    old = old.rename(old.with_name(f"{int(long_ago.timestamp()):08x}{old.name[8:]}"))
    assert list((jobs / "anybody" / job["id"] / "answers").glob("part-*.parquet"))
    with serving(tmp_path, port):  # without a request: it resumes by itself
        for _ in range(600):
            if any(each.id == job["id"] and each.job().has_ended for each in folders(str(jobs))):
                break
            time.sleep(0.2)
        assert requests.get(f"{url}/{job['id']}", timeout=60).json()["state"] == "done"
        found = pl.read_parquet(io.BytesIO(requests.get(f"{url}/{job['id']}/result", timeout=60).content))
        assert not old.exists()
    expected = xpfeh.predict(stars, model=bundle_folder("pretrained"))
    for name in ("source_id", "FEH", "FEH_hi95", "flags"):
        np.testing.assert_array_equal(found[name].to_numpy(), np.ma.filled(expected[name], np.nan))
