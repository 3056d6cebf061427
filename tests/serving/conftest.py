"""One endpoint for all tests of HTTP: a small model, a published release, no archive."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from ray import serve
from xpfeh.catalog.parquet_files import write_parquet
from xpfeh.columns import CATALOG
from xpfeh.files import package_file
from xpfeh.serving.config import Config, read_config
from xpfeh.serving.deploy import deploy

from tests.catalog.test_published import made_catalog
from tests.processes import free_port

CONFIG = package_file("xpfeh", "serving/local.yaml")


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, pa.Table]:
    """The folder of a release of synthetic stars, and the stars."""
    folder, catalog = tmp_path_factory.mktemp("published") / "parquet", made_catalog()
    write_parquet(folder, CATALOG, [catalog])
    return str(folder), catalog


@pytest.fixture(scope="session")
def config(published: tuple[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> Config:
    parsed = read_config(CONFIG)
    parsed.http_options["port"] = free_port()
    jobs = str(tmp_path_factory.mktemp("jobs"))
    args = parsed.args.model_copy(update={"archive": False, "release": published[0], "jobs": jobs})
    return replace(parsed, args=args)


@pytest.fixture(scope="session")
def address(ray_cluster: None, bundle: Path, config: Config) -> Iterator[str]:
    yield deploy(config, str(bundle))
    serve.shutdown()
