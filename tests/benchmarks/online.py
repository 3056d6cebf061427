"""The endpoint and a bare uvicorn + FastAPI app that calls the same functions: same machine, client, stars."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import requests
from xpfeh.files import package_file
from xpfeh.sources.library import NAME, Library

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
CLIENTS, SECONDS = 4, 6.0
CASES = [
    *((1, JSON, 1), (1, JSON, 16), (1, JSON, CLIENTS), (10, JSON, CLIENTS), (100, JSON, 16), (100, JSON, CLIENTS)),
    *((1000, JSON, 1), (1000, JSON, CLIENTS), (1000, ARROW, 1), (1000, ARROW, CLIENTS)),
]
BARE = """
import sys, uvicorn
from fastapi import FastAPI, Request, Response
from xpfeh.experiments.models import bundle_folder
from xpfeh.inference.predictor import Predictor
from xpfeh.serving.answers import as_arrow, as_json, as_table, catalog_of
from xpfeh.serving.requested import read_arrow, read_json
from starlette.concurrency import run_in_threadpool
predictor, api = Predictor(bundle_folder("pretrained")), FastAPI()
def answer(body, kind):
    requested = (read_arrow if "arrow" in kind else read_json)(body, "dr3", None)
    catalogs = catalog_of([raw for raw, _ in requested.spectra], predictor)
    return as_arrow(as_table(requested, catalogs)) if "arrow" in kind else as_json(requested, catalogs, predictor)
@api.post("/v1/predict")
async def predict(request: Request):
    kind = request.headers["content-type"]
    return Response(await run_in_threadpool(answer, await request.body(), kind), media_type=kind)
uvicorn.run(api, port=int(sys.argv[1]), log_level="error")
"""


@contextmanager
def started(command: list[str], port: int) -> Iterator[str]:
    """Run a server until the context ends, and give its URL when it answers."""
    url = f"http://127.0.0.1:{port}/v1/predict"
    with psutil.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(120):
                try:
                    requests.get(url, timeout=5)
                    break
                except requests.ConnectionError:
                    time.sleep(0.5)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def bodies(stars: int) -> dict[str, bytes]:
    """Some stars of the library as samples, in JSON and as an Arrow stream."""
    batch = next(iter(Library(NAME).read(0, stars)))
    columns = {name: batch.columns[name][:stars] for name in ("source_id", "flux", "flux_error", "phot_g_mean_mag")}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*(v.tolist() for v in columns.values()), strict=True)]
    table = pa.table({n: pa.array([*v] if v.ndim > 1 else v) for n, v in columns.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    text = json.dumps({"stars": rows}).replace("NaN", "null").encode()
    return {JSON: text, ARROW: sink.getvalue().to_pybytes()}


def measure(url: str, body: bytes, kind: str, clients: int) -> tuple[float, list[float]]:
    """Return requests a second, and each one's seconds in order of length."""
    taken: list[float] = []
    until = time.perf_counter() + SECONDS

    def ask() -> None:
        session = requests.Session()
        while (start := time.perf_counter()) < until:
            reply = session.post(url, body, headers={"Content-Type": kind, "Accept": kind}, timeout=60)
            assert reply.status_code == 200, reply.text[:200]
            taken.append(time.perf_counter() - start)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(taken) / (time.perf_counter() - begun), sorted(taken)


def main() -> None:
    local = Path(package_file("xpfeh", "serving/local.yaml")).read_text()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "serve.yaml"
        config.write_text(local.replace("port: 8000", "port: 8125"))
        with (
            started(["-c", BARE, "8126"], 8126) as bare,
            started(["-m", "xpfeh", "serve", "--model", "pretrained", "--config", str(config)], 8125) as endpoint,
        ):
            print("stars   kind clients requests/s bare app  ratio   p50, p95, p99 (ms)")
            per_star: dict[tuple[int, str], float] = {}
            for stars, kind, clients in CASES:
                body = bodies(stars)[kind]
                for url in (bare, endpoint):
                    requests.post(url, body, headers={"Content-Type": kind, "Accept": kind}, timeout=60)
                theirs, _ = measure(bare, body, kind, clients)
                ours, taken = measure(endpoint, body, kind, clients)
                parts = ", ".join(f"{1000 * np.quantile(taken, part):.1f}" for part in (0.5, 0.95, 0.99))
                name = "JSON" if kind == JSON else "Arrow"
                numbers = f"{ours:10.1f} {theirs:8.1f} {ours / theirs:6.2f}"
                print(f"{stars:5} {name:>6} {clients:7} {numbers}   {parts}", flush=True)
                per_star[stars, kind] = 1 / (ours * stars)
            single, many, arrow = (per_star[each] for each in ((1, JSON), (1000, JSON), (1000, ARROW)))
            print(
                f"per star, {CLIENTS} clients: 1,000 a request cost {single / many:.0f} x less than one, "
                f"by Arrow {many / arrow:.1f} x less again"
            )


if __name__ == "__main__":
    main()
