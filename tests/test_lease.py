import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from xpfeh import lease
from xpfeh.errors import UserError
from xpfeh.lease import only_one

_HOLD = """
import sys
from xpfeh.lease import only_one
with only_one(sys.argv[1]):
    print(flush=True)
    sys.stdin.read()
"""


def holding(place: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    return process


def test_another_process_is_refused_until_the_first_ends_or_is_killed(tmp_path: Path) -> None:
    with holding(tmp_path) as first:
        refused = pytest.raises(UserError, match=f"another process is at work here, {first.pid} on ")
        with refused, only_one(tmp_path):
            pass
        first.communicate("")
    with only_one(tmp_path):
        assert json.loads((tmp_path / "in_use.json").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []
    with holding(tmp_path) as second:
        second.send_signal(signal.SIGKILL)
        second.wait()
    with only_one(tmp_path):
        pass


def test_a_process_of_another_machine_counts_as_long_as_it_renews(tmp_path: Path) -> None:
    file = tmp_path / "in_use.json"
    file.write_text('{"host": "elsewhere", "pid": 1, "token": "theirs"}')
    with pytest.raises(UserError, match="1 on elsewhere"), only_one(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == [file]
    recent = time.time() - lease.LOST_S + 2
    os.utime(file, (recent, recent))
    with only_one(tmp_path, patience_s=10):
        assert time.time() > recent + lease.LOST_S
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_start_at_once_one_stays(tmp_path: Path) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def begin() -> None:
        barrier.wait()
        try:
            with only_one(tmp_path):
                outcomes.append("works")
                time.sleep(1.0)
        except UserError:
            outcomes.append("refused")

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "works"]


@pytest.mark.slow
def test_a_holder_that_was_taken_over_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    before_the_test = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    theirs = '{"host": "elsewhere", "pid": 1, "token": "theirs"}'

    def taken_over() -> None:
        before = (tmp_path / "in_use.json").stat().st_mtime_ns
        while (tmp_path / "in_use.json").stat().st_mtime_ns == before:
            time.sleep(0.01)  # it is renewed
        (tmp_path / "in_use.json").write_text(theirs)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), only_one(tmp_path):
        taken_over()
    signal.signal(signal.SIGINT, before_the_test)
    assert (tmp_path / "in_use.json").read_text() == theirs


def test_a_damaged_file_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "in_use.json").write_text("{")
    with only_one(tmp_path):
        pass


def test_a_holder_that_was_taken_over_and_ignores_an_interrupt_is_terminated(tmp_path: Path) -> None:
    ignoring = (
        "import signal\nfrom xpfeh import lease\nlease.RENEW_S = 0.05\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    )
    command = [sys.executable, "-c", ignoring + _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        (tmp_path / "in_use.json").write_text('{"host": "elsewhere", "pid": 1, "token": "theirs"}')
        assert process.wait(timeout=30) == -signal.SIGTERM
