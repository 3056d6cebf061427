"""Thousands of random requests, generated from the endpoint's own description of its API."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)


@pytest.mark.slow  # a minute and a half
def test_no_request_makes_the_endpoint_fail_or_break_its_own_description(address: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"),
            *("--max-examples", "300", "--phases", "coverage,fuzzing", "--seed", "1", "--request-timeout", "60"),
            # Not these: a spectrum has rules beyond its schema, and an invalid star gets its own error.
            *("--exclude-checks", "positive_data_acceptance,negative_data_rejection"),
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": HERE, "NO_COLOR": "1"},
        cwd=tmp_path,  # it leaves its findings there
        capture_output=True,
        text=True,
    )
    print(run.stdout[-3000:])
    (cases,) = re.findall(r"([\d,]+) generated", run.stdout)
    assert run.returncode == 0, run.stdout[-6000:]
    assert int(cases.replace(",", "")) >= 2000
