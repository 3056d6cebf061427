import subprocess
import sys
from pathlib import Path

import pytest

_IN_WORKERS = """
import multiprocessing, os, sys
import numpy as np
import polars
import xpfeh

STARS = {"source_id": [4295806720], "flux": np.ones((1, 343)), "flux_error": np.ones((1, 343))}

def work(_):
    if sys.argv[2] == "forks again" and multiprocessing.parent_process():
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)
    try:
        return str(len(xpfeh.preprocess(STARS)))
    except xpfeh.errors.UserError as error:
        return str(error)

if __name__ == "__main__":
    if sys.argv[2] != "imported":
        work(None)
        polars.DataFrame({"a": [1]}).lazy().collect()  # as readers of files do: it starts polars' threads
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(pool.map(work, [0])[0])
"""


@pytest.mark.parametrize(
    ("method", "parent", "expected"),
    [
        ("fork", "used", "would hang"),
        pytest.param("fork", "forks again", "would hang", marks=pytest.mark.slow),
        ("fork", "imported", "1"),
        pytest.param("forkserver", "used", "1", marks=pytest.mark.slow),
    ],
)
def test_workers_answer_or_report_why_not(method: str, parent: str, expected: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_IN_WORKERS)
    done = subprocess.run(
        [sys.executable, script, method, parent], capture_output=True, text=True, check=False, timeout=100
    )
    assert expected in done.stdout, done.stderr
