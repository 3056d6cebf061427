import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import ray
from xpfeh.cluster.connection import connect, join
from xpfeh.errors import UserError
from xpfeh.files import package_file

from tests.processes import environment, free_port, kill


@pytest.mark.parametrize("enter", [join, connect])
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:port"])
def test_a_stopped_cluster_is_reported_at_once(
    address: str, enter: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", address)
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"no Ray cluster to join .*RAY_ADDRESS"):
        enter()
    assert time.monotonic() - begun < 10


_POOL = """
import ray.data, sys
from xpfeh.cluster.connection import connect

class Same:
    def __call__(self, row):
        return row

connect()
print(ray.data.range(1).map(Same, compute=ray.data.ActorPoolStrategy(size=1)).take_all())
sys.stderr.write("ours")
"""


@pytest.mark.slow
def test_what_ray_s_core_reports_does_not_reach_the_terminal() -> None:
    """For every pool of actors Ray 2.60 reports that their arguments are in the object store."""
    command = [sys.executable, "-c", _POOL]
    done = subprocess.run(command, env=environment({}), capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("[{'id': 0}]\n", "ours")


def test_ray_starts_in_silence_and_its_exceptions_pass(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def init(**options: object) -> None:
        os.write(2, b"from C++")
        raise RuntimeError(os.environ["RAY_BACKEND_LOG_LEVEL"])

    monkeypatch.delenv("RAY_BACKEND_LOG_LEVEL", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(RuntimeError, match="fatal"):
        connect()
    assert capfd.readouterr().err == ""


_START = """
import ray, sys
from xpfeh.cluster.connection import connect
connect()
ray.get(ray.remote(lambda: 1).remote())
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


def listening(process: psutil.Popen) -> set[str]:
    """The addresses at which a process and its children listen, as `ss -ltn` shows them."""
    found = set()
    for member in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            found |= {c.laddr.ip for c in member.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert found
    return {each.removeprefix("::ffff:") for each in found}


_UNREACHABLE = """
ip link set lo up && ip addr add 192.0.2.9/32 dev lo && ip route add default dev lo src 192.0.2.9 || exit 77
ip route del local 192.0.2.9 dev lo table local || exit 77
exec "$@"
"""


@pytest.mark.slow
def test_a_machine_that_cannot_reach_its_own_address_starts_a_private_cluster() -> None:
    """A VPN, or an odd /etc/hosts: packets to this machine's own address are lost."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, to have a network of its own")
    command = ["unshare", "-n", "bash", "-c", _UNREACHABLE, "bash", sys.executable, "-c", _START]
    done = subprocess.run(
        command, env=environment({}), input="", capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip(f"this machine lets no process have a network of its own ({done.stderr.strip()[:100]})")
    assert done.stdout.startswith("127.0.0.1:"), done.stderr


_JOIN = "import ray; from xpfeh.cluster.connection import connect, join; join(); print(len(ray.nodes()))"


@pytest.mark.slow
def test_a_private_cluster_listens_on_loopback_only_and_needs_its_token() -> None:
    with psutil.Popen(
        [sys.executable, "-c", _START], env=environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            address = process.stdout.readline().strip()
            assert listening(process) <= {"127.0.0.1", "::1"}

            def joined(**variables: str) -> subprocess.CompletedProcess[str]:
                command = [sys.executable, "-c", _JOIN]
                return subprocess.run(
                    command, env=environment(variables), capture_output=True, text=True, check=False, timeout=60
                )

            ours = joined(RAY_ADDRESS=address, RAY_AUTH_MODE="token")  # Ray keeps the token in its owner's home
            assert ours.stdout.strip() == "1", ours.stderr
            stranger = joined(RAY_ADDRESS=address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 32)
            assert stranger.returncode != 0
            assert stranger.stdout.strip() != "1"
        finally:
            kill(process)


@pytest.mark.slow  # a quarter of a minute
def test_the_endpoint_listens_on_loopback_only(bundle: Path, tmp_path: Path) -> None:
    text = package_file("xpfeh", "serving/local.yaml").read_text()
    (tmp_path / "serve.yaml").write_text(text.replace("port: 8000", f"port: {free_port()}"))
    command = [sys.executable, "-m", "xpfeh", "serve", "--config", str(tmp_path / "serve.yaml"), "--model", str(bundle)]
    with psutil.Popen(command, env=environment({}), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "serving at" in process.stdout.readline()
            assert listening(process) <= {"127.0.0.1", "::1"}
        finally:
            kill(process)
