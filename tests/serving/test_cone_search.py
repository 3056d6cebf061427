"""Simple Cone Search with real clients: pyvo, and STILTS if it is installed."""

import io
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pytest
import pyvo
from astropy.io.votable import parse, validate
from xpfeh.catalog.parquet_files import write_parquet
from xpfeh.catalog.published import Published
from xpfeh.columns import CATALOG
from xpfeh.serving.cone_search import search

from tests.catalog.test_published import made_catalog


@pytest.fixture(scope="module")
def catalog() -> pa.Table:
    return made_catalog()


@pytest.fixture(scope="module")
def release(catalog: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("release") / "parquet"
    write_parquet(folder, CATALOG, [catalog])
    return Published(str(folder))


@pytest.fixture(scope="module")
def url(release: Published) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = search(release, dict(parse_qsl(urlsplit(self.path).query)))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-votable+xml")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/cone"
    server.shutdown()
    server.server_close()


def test_pyvo_finds_the_stars(url: str, release: Published) -> None:
    found = pyvo.dal.conesearch(url, (266.0, -29.0), 0.3)
    expected, _ = release.cone(266.0, -29.0, 0.3, 10_000)
    assert len(found) > 10
    assert [int(record.id) for record in found] == expected["source_id"].to_pylist()
    assert found.to_table()["FEH"].tolist() == expected["FEH"].to_pylist()
    assert [record.pos.ra.deg for record in found][:3] == expected["ra"].to_pylist()[:3]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"RA": "1", "DEC": "2"}, "SR is missing"),
        ({"RA": "x", "DEC": "2", "SR": "1"}, "RA is not a number"),
        ({"RA": "1", "DEC": "95", "SR": "1"}, "DEC -90 to 90"),
        ({"RA": "nan", "DEC": "5", "SR": "1"}, "RA is not finite"),
        ({"RA": "1", "DEC": "5", "SR": "100"}, "SR must be at most 10 degrees"),
        ({"RA": "1", "DEC": "5", "SR": "1", "VERB": "7"}, "VERB must be"),
    ],
)
def test_an_error_is_the_standard_votable(
    release: Published, parameters: dict[str, str], message: str, url: str
) -> None:
    votable = parse(io.BytesIO(search(release, parameters)))
    (info,) = votable.resources[0].infos
    assert info.name == "Error"
    assert message in info.value
    if {"RA", "DEC", "SR"} <= parameters.keys():
        with pytest.raises(pyvo.dal.DALQueryError, match=message):
            _by_pyvo(url, parameters)


def _by_pyvo(url: str, parameters: dict[str, str]) -> None:
    query = pyvo.dal.scs.SCSQuery(url)
    query.update(parameters)
    query.execute()


def test_columns_types_and_overflow_follow_the_standard(release: Published, tmp_path: Path) -> None:
    content = search(release, {"ra": "266", "dec": "-29", "sr": "1", "MAXREC": "5", "VERB": "1"})
    path = tmp_path / "cone.vot"
    path.write_bytes(content)
    complaints = io.StringIO()
    validate(path, output=complaints)
    # The standard requires UCD1, which VOTable has since dropped: that is the only complaint.
    assert set(re.findall(r"\b[WE]\d\d\b", complaints.getvalue())) == {"W06"}
    table = parse(path).get_first_table()
    by_ucd = {field.ucd: field for field in table.fields}
    assert by_ucd["ID_MAIN"].datatype in ("char", "unicodeChar")
    assert by_ucd["POS_EQ_RA_MAIN"].datatype == by_ucd["POS_EQ_DEC_MAIN"].datatype == "double"
    assert [field.name for field in table.fields] == ["source_id", "ra", "dec", "FEH", "FEH_err", "good", "flags"]
    assert len(table.array) == 5
    infos = {info.name: info.value for info in parse(path).resources[0].infos}
    assert infos["QUERY_STATUS"] == "OVERFLOW"
    assert "the 5 nearest stars; there are more" in infos["overflow"]
    nothing = parse(io.BytesIO(search(release, {"RA": "266", "DEC": "-29", "SR": "0"}))).get_first_table()
    assert (len(nothing.array), len(nothing.fields)) == (0, len(CATALOG))


def test_stilts_reads_it(url: str, tmp_path: Path) -> None:
    if shutil.which("stilts") is None:
        pytest.skip("STILTS is not installed (Debian: apt install stilts)")
    out = tmp_path / "found.csv"
    command = ["stilts", "cone", f"serviceurl={url}?", "lon=266", "lat=-29", "radius=0.3", f"out={out}", "ofmt=csv"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert len(out.read_text().splitlines()) > 10
