"""The HATS collection as users see it: opened by LSDB, from disk and over HTTP, and matched across borders."""

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from xpfeh.catalog import sky_order
from xpfeh.catalog.published import Published
from xpfeh.commands.publish import publish
from xpfeh.evaluate.report import METRICS

from tests.catalog.made_catalogs import STARS, made_up_stars, stars_at, write_catalog

lsdb = pytest.importorskip("lsdb")

pytestmark = pytest.mark.slow


def published(table: pa.Table, folder: Path, most: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sky_order, "MAX_ROWS", most)
        report = folder / "report"
        report.mkdir()
        (report / METRICS).write_text(json.dumps({"made_from": {"models": {"best": ["m-1"]}}}))
        pq.write_table(table, report / "stars.parquet")
        publish(write_catalog(folder / "catalog", table), folder / "release", ["hats"], report=report)
    return folder / "release"


@pytest.fixture(scope="module")
def stars() -> pa.Table:
    return made_up_stars()


@pytest.fixture(scope="module")
def release(stars: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(stars, tmp_path_factory.mktemp("made"), 250)


@pytest.fixture(scope="module")
def url(release: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(release))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def assert_opens_whole(place: str, stars: pa.Table) -> None:
    opened = lsdb.open_catalog(f"{place}/hats")
    assert opened.margin is not None
    table = pa.Table.from_pandas(opened.compute(progress_bar=False), preserve_index=False).select(stars.column_names)
    assert table.cast(stars.schema).sort_by("source_id").equals(stars.sort_by("source_id"))
    partners = stars.select(["source_id", "ra", "dec"]).slice(0, 400).to_pandas()
    theirs = lsdb.from_dataframe(partners, ra_column="ra", dec_column="dec")
    matched = theirs.crossmatch(
        opened, radius_arcsec=0.01, suffixes=("_partner", "_found"), suffix_method="all_columns"
    )
    pairs = matched.compute(progress_bar=False)
    assert sorted(pairs["source_id_partner"]) == sorted(partners["source_id"])
    assert (pairs["source_id_partner"] == pairs["source_id_found"]).all()


def test_lsdb_opens_it_and_finds_every_star(release: Path, stars: pa.Table) -> None:
    assert_opens_whole(str(release), stars)


def test_lsdb_opens_it_over_http(url: str, stars: pa.Table) -> None:
    assert_opens_whole(url, stars)


def test_a_match_across_a_border_needs_the_margin(tmp_path: Path) -> None:
    """Pairs 4 arcsec apart on both sides of the meridian of 90 degrees, where base pixels 0 and 1 meet; and a pair in
    the south, where the catalog has no other star, so that its partner is in no partition at all."""
    rng = np.random.default_rng(5)
    dec = np.concatenate([rng.uniform(45, 80, 40), rng.uniform(-80, -45, 1)])
    away = 2 / 3600 / np.cos(np.radians(dec))
    filling = np.concatenate([np.full(20, 80.0), np.full(20, 100.0)])  # so that there is a partition on both sides
    ours = stars_at(np.concatenate([90 + away, filling]), np.concatenate([dec, rng.uniform(45, 80, 40)]))
    release = published(ours, tmp_path, 30)
    partners = pd.DataFrame({"ra": 90 - away, "dec": dec, "number": np.arange(1, len(dec) + 1)})
    theirs = lsdb.from_dataframe(partners, ra_column="ra", dec_column="dec")

    def matches(catalog: object) -> set[int]:
        pairs = theirs.crossmatch(catalog, radius_arcsec=5, suffixes=("_l", "_r"), suffix_method="all_columns")
        found = pairs.compute(progress_bar=False)
        assert (found["number_l"] == found["source_id_r"]).all()
        return set(found["number_l"])

    assert matches(lsdb.open_catalog(release / "hats")) == set(partners["number"])
    with pytest.warns(match="does not have a margin cache"):
        alone = matches(lsdb.open_catalog(release / "hats" / "xpfeh"))
    assert alone == set()


def test_a_catalog_without_a_star_near_a_border_opens_without_a_warning(tmp_path: Path) -> None:
    release = published(stars_at(np.array([45.0, 45.0, 45.1, 180.0]), np.array([0.5, 0.6, 0.5, 0.0])), tmp_path, 100)
    opened = lsdb.open_catalog(release / "hats")
    assert len(opened.margin.compute(progress_bar=False)) == 0
    theirs = lsdb.from_dataframe(pd.DataFrame({"ra": [45.0], "dec": [0.5]}), ra_column="ra", dec_column="dec")
    assert len(theirs.crossmatch(opened, radius_arcsec=1, suffixes=("_l", "_r")).compute(progress_bar=False)) == 1


@pytest.fixture
def bucket(release: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URI of the release in a bucket, with a placeholder for a folder in it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tests")
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    s3.create_bucket(Bucket="stars")
    for path in filter(Path.is_file, release.rglob("*")):
        s3.upload_file(str(path), "stars", f"release/{path.relative_to(release)}")
    yield f"s3://stars/release{{}}?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    server.stop()


def test_the_endpoint_reads_each_star_once(release: Path, bucket: str) -> None:
    """Without the margin or a report's stars: from release, collection or catalog, on disk or in a bucket."""
    for place in (f"{release}{{}}", bucket):
        for folder in ("", "/hats", "/hats/", "/hats/xpfeh"):
            found, more = Published(place.format(folder)).cone(180.0, 20.0, 10.0, STARS)
            assert not more
            ids = found["source_id"].to_pylist()
            assert len(ids) == len(set(ids)) > STARS / 3
