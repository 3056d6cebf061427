"""From features to a verified catalog in a bucket, over the S3 protocol, with a private server."""

import subprocess
import sys
from pathlib import Path

import pytest
from xpfeh.columns import CATALOG, to_arrays, to_table
from xpfeh.dataset.dataset import Dataset
from xpfeh.dataset.status import status
from xpfeh.dataset.verify import verify
from xpfeh.errors import UserError
from xpfeh.inference.estimate import estimate
from xpfeh.inference.predictor import Predictor
from xpfeh.sources.library import NAME

from tests.conftest import BUCKET
from tests.processes import environment

pytestmark = pytest.mark.slow


def xpfeh(*arguments: object) -> None:
    command = [sys.executable, "-m", "xpfeh", *map(str, arguments)]
    done = subprocess.run(command, env=environment({}), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_verified_catalog_in_a_bucket(place: str, bundle: Path) -> None:
    features, catalog = place.format("features"), place.format("catalog")
    xpfeh("ingest", NAME, "--out", features)
    xpfeh("catalog", "run", "--features", features, "--model", bundle, "--out", catalog)
    account = verify(catalog)
    assert (account.problems, account.written, account.parts) == ([], 39_851, 8)
    dataset = Dataset.at(catalog)
    dataset.fs.delete_file(f"{BUCKET}/catalog/part-00003.parquet")
    assert status(catalog).done == 7
    with pytest.raises(UserError, match="1 of 8 parts"):
        Dataset.at(catalog).read()
    xpfeh("catalog", "run", "--features", features, "--model", bundle, "--out", catalog)
    assert verify(catalog).problems == []
    stars = to_arrays(Dataset.at(features).read())
    assert Dataset.at(catalog).read().equals(to_table(estimate(stars, Predictor(bundle)), CATALOG))
