"""The client without an endpoint; with one: tests/serving/test_endpoint.py."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import xpfeh
from xpfeh.client.answers import NO_ANSWERS
from xpfeh.client.connection import Connection
from xpfeh.client.job import Job
from xpfeh.columns import CATALOG
from xpfeh.errors import EndpointError


def test_stars_that_are_all_rejected_give_a_table_without_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    health = {"release": "dr3", "max_stars": 1000, "max_file_bytes": 10**6, "model_version": "best-0"}
    monkeypatch.setattr(xpfeh.Client, "health", lambda self: health)
    spectra = {"source_id": [17], "flux": np.ones((1, 3)), "flux_error": np.ones((1, 343))}
    with pytest.warns(UserWarning, match="1 row was rejected"):
        answer = xpfeh.Client("http://127.0.0.1:9").predict(spectra)
    assert (answer.colnames, len(answer)) == (CATALOG.names, 0)
    assert answer.meta["rejected"] == ["the table: row 0, source_id 17: flux: 3 numbers, not 343"]


def test_answers_of_a_job_are_stored_before_it_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    health = {"archive": True, "max_stars": 1, "max_job_stars": 9, "model_version": "best-0"}
    deleted = []

    def ask(self: Connection, method: str, path: str, **options: object) -> SimpleNamespace:
        if method == "DELETE":
            deleted.append(len(list(tmp_path.glob("*.parquet"))))
            raise EndpointError("gone")
        return SimpleNamespace(json=lambda: {"id": "00"} if method == "POST" else health)

    monkeypatch.setattr(Connection, "ask", ask)
    monkeypatch.setattr(Job, "answers", lambda self: NO_ANSWERS)
    assert len(xpfeh.Client("http://127.0.0.1:9").predict([17, 18], keep=tmp_path)) == 0
    assert deleted == [1]
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]


class _Cutting(BaseHTTPRequestHandler):
    """Sends only 100 kB of what it declares, like a proxy that times out."""

    content = bytes(range(256)) * 1000
    most = 100_000

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start:][: self.most])
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


def test_a_download_that_is_cut_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), _Cutting) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        connection = Connection(f"http://127.0.0.1:{server.server_port}", None, 5.0)
        assert connection.download("/result") == _Cutting.content
        monkeypatch.setattr(_Cutting, "most", 0)
        with pytest.raises(EndpointError, match="does not answer"):
            connection.download("/result")
        server.shutdown()
