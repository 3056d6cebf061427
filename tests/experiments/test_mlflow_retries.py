"""A tracking server that breaks off, refuses or cannot be reached."""

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from xpfeh.cli.main import main
from xpfeh.errors import UserError
from xpfeh.experiments import mlflow_retries, mlflow_runs
from xpfeh.experiments.mlflow_retries import patient

BROKEN_OFF = (200, b"", 2)
FAILED = (503, b"starting", 8)
HISTORY = [{"step": 1, "mae": 0.1}]
DONE = (200, b"{}", 2)
REFUSED = (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}', 67)


@contextmanager
def _server(*answers: tuple[int, bytes, int]) -> Iterator[list[str]]:
    """Give these answers one after the other: status, body, Content-Length; yield the requested paths."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            status, body, length = left.pop(0)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *what: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
                yield asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_retries, "_PAUSE_S", 0.01)


def test_an_answer_that_breaks_off_is_requested_again(caplog: pytest.LogCaptureFixture) -> None:
    with _server(BROKEN_OFF, FAILED, DONE) as asked:
        mlflow_runs.log("run", history=HISTORY)
    assert len(asked) == 3
    assert caplog.text.count("cannot be reached; retrying for 10 minutes") == 1


def test_a_refused_request_is_not_retried() -> None:
    with _server(REFUSED, DONE) as asked, pytest.raises(UserError, match=r"refuses.*no such run"):
        mlflow_runs.log("run", history=HISTORY)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "are MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD right"),
        (403, "this account may not do that"),
        (404, "is MLFLOW_TRACKING_URI right"),
    ],
)
def test_a_refusal_says_what_to_check_and_shows_no_password(
    status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _server((status, b"no", 2)):
        uri = os.environ["MLFLOW_TRACKING_URI"].replace("//", "//anna:secret@")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(UserError, match=rf"refuses; {message}") as refused:
            mlflow_runs.log("run", history=HISTORY)
    assert "secret" not in str(refused.value)


def test_patience_ends() -> None:
    with _server(*[BROKEN_OFF] * 1000) as asked, pytest.raises(UserError, match="cannot be reached"):
        patient(0.2)(mlflow_runs.log.__wrapped__)("run", history=HISTORY)
    assert len(asked) > 1


def test_no_server_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{one.getsockname()[1]}"
    for server, command in (
        (nobody, "compare"), (nobody, "rollback"), ("./mlruns", "compare"), ("host:5000", "compare"),
    ):  # fmt: skip
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
        with pytest.raises(SystemExit, match="2"):
            main([command])
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert "tracking server" in line


@pytest.mark.slow
@pytest.mark.usefixtures("mlflow_store")
def test_a_database_that_is_old_or_read_only_is_one_line_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow_runs.client().search_experiments()  # makes the database
    database = Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))
    old = Path(shutil.copy(database, tmp_path / "old.db"))
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0584bdc529eb'")
    for server, command, advice in (
        (f"sqlite:///{old}", "compare", "upgrade it"),
        (f"sqlite:///file:{database}?mode=ro&uri=true", "rollback", "it is read-only"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
        with pytest.raises(SystemExit, match="2"):
            main([command])
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert advice in line
