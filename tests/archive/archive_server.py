"""A local server that speaks the archive's protocols (DataLink, TAP, bulk files) and can misbehave.

It plays two releases: DR3 with a genuine star's spectrum, and a DR4 that is MADE from it by dropping the last
BP coefficients, with the tables of ESA's draft data model. Every star has that one spectrum. A query for a table or a
column that is not there is refused, as the archive does it.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import threading
import time
import zipfile
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from astropy.table import Table
from astropy_healpix import HEALPix
from xpfeh.archive.archive_requests import GAIA_SOURCE_COLUMNS
from xpfeh.archive.archives import GaiaArchive
from xpfeh.releases import RELEASES
from xpfeh.sources.coefficients import LIST_COLUMNS

_OVERFLOW = b'</TABLE><INFO name="QUERY_STATUS" value="OVERFLOW"/>'
_REFUSAL = """<?xml version="1.0"?>
<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="ERROR">{}</INFO></RESOURCE></VOTABLE>"""
_PAGE = b"""<!DOCTYPE html><html><head><title>Gaia Archive</title><style>p {color: red}</style></head>
<body><p>The Gaia Archive is under maintenance</p></body></html>"""
_GATEWAY = b"""<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN"><html><head><title>502 Proxy Error</title></head><body>
<p>The proxy server received an invalid response from an upstream server.</p></body></html>"""
"""Apache's page, as ESA's archive served it in September 2025 (GaiaXPy issue 122)."""
_QUOTA = "DB quota exceeded for user anonymous (Currently 10 GB, maximum allowed is 10 GB)"
"""As nasa-fornax/fornax-demo-notebooks issue 700 quotes it, with status 500."""

_DR3_ONLY = {"tentative_parallax_bias"}
_DR4_ONLY = {"phot_bp_rp_excess_factor", "astrometric_params_solved"}
"""Columns that one of the two lacks: those of DR4's draft gaia_source."""
COLUMNS = {
    "gaiadr3.gaia_source": {name: "double" for name in GAIA_SOURCE_COLUMNS if name not in _DR3_ONLY},
    "gaiadr4.gaia_source": {name: "double" for name in GAIA_SOURCE_COLUMNS if name not in _DR4_ONLY},
    "gaiadr4.all_source_photometry": dict.fromkeys(
        ("source_id", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag"), "double"
    ),
    "gaiadr4.all_source_flags": {"source_id": "long", "has_epoch_rvs": "unsignedByte"},
    "gaiadr4.dr3_neighbourhood": dict.fromkeys(
        ("source_id", "dr3_source_id", "angular_distance", "magnitude_difference", "probable_match"), "double"
    ),
}
COLUMNS["gaiadr3.gaia_source"] |= {"has_xp_continuous": "boolean"}
COLUMNS["gaiadr4.gaia_source"] |= {"has_xp_continuous": "boolean"}
XP_TABLE = "gaiadr3.xp_continuous_mean_spectrum"


STALL_S = 3.0
"""Longer than the two seconds that tests wait for an answer; a busy machine may need one of them."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about a client that has hung up, as it does after a timeout: tests read stderr."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ArchiveServer:
    """Serves on 127.0.0.1 while a test runs.

    Attributes
    ----------
    absent : stars it does not have
    not_best : stars that gaia_source does not have, but all_source_photometry
    faults : what to do with the next requests, one each: "500", "502" (a proxy's page), "text" (500 with words that
        explain nothing), "page" (HTML instead of data), "cut", "stall", "stranger" (a star too many), "refused" (a bad
        query)
    always : a fault of all requests; those of `faults` leave questions about the archive itself alone
    slow_links : its service of links is slow, and the others are not
    top_overflows : call the answer to a query with TOP cut short
    other_words : retrieval types that it accepts, and has nothing of
    forbidden : a table that nobody may read
    login_redirect : where it sends those who log in
    hangs : accept every request, and answer none
    uploads : "taken", "quota" (500: all anonymous users' quota is full) or "refused"
    empty_zip : respond with no file at all, not with a line of names, where there are no spectra
    most_rows : rows after which the response to a query is cut
    genuine_table : VOTable to respond to queries with
    log : (path, number of identifiers) of the good responses on stars
    lists_tables : whether it answers TAP_SCHEMA
    schema_queries : how often TAP_SCHEMA was asked
    queries : of all tables of stars
    requests : how many came
    cookies : sent with the latest request
    users : passwords by name; who logs in gets a session
    files : bulk files by name
    retrieval_types : the value of RETRIEVAL_TYPE that it knows, by release
    structures : values of DATA_STRUCTURE that it knows
    products : retrieval types that its service of links names; None: there is no such service
    renamed : columns of spectra that have another name
    n_bp : BP coefficients of the made DR4
    tables : columns and their types by table, as TAP_SCHEMA has them
    epochs : of positions, by a part of the table's name
    values : of columns of gaia_source; positions are those of the identifiers, the others are 1.5
    sky : stars (source_id, ra, dec) that queries by position find
    pmdec : their proper motion northwards, mas a year
    """

    def __init__(self, genuine_csv: str) -> None:
        self.head, row = genuine_csv.splitlines()[:2]
        self.rest = row.partition(",")[2]
        self.absent: set[int] = set()
        self.not_best: set[int] = set()
        self.faults: list[str] = []
        self.always = ""
        self.hangs = False
        self.slow_links = False
        self.top_overflows = False
        self.other_words: set[str] = set()
        self.forbidden = ""
        self.login_redirect = ""
        self.uploads = "taken"
        self.empty_zip = False
        self.most_rows = 1_000_000
        self.genuine_table = b""
        self.log: list[tuple[str, int]] = []
        self.lists_tables = True
        self.schema_queries = 0
        self.queries: list[str] = []
        self.requests = 0
        self.cookies = ""
        self.users: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.retrieval_types = {gaia.title: gaia.retrieval_types[0] for gaia in RELEASES.values()}
        self.structures = {"RAW", "DATAMODEL_GAIA"}
        self.products: list[str] | None = None
        self.renamed: dict[str, str] = {}
        self.n_bp = 51
        self.tables = {name: dict(columns) for name, columns in COLUMNS.items()}
        self.values: dict[str, float] = {}
        self.pmdec = 0.0
        self.epochs = {name: gaia.ref_epoch for name, gaia in RELEASES.items()}
        self.sky: list[tuple[int, float, float]] = []
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.headers["Content-Type"]
                archive.respond(self, _parts(kind, body) if "multipart" in kind else parse_qs(body.decode()))

            def do_GET(self) -> None:
                archive.respond(self, parse_qs(urlsplit(self.path).query))

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def as_archive(self, name: str = "esa", title: str = "ESA's Gaia archive") -> GaiaArchive:
        """It in the table of archives: ESA's, or a mirror that serves spectra by TAP."""
        if name == "esa":
            data, links, login = (f"{self.url}/{path}" for path in ("data", "datalink/links", "login"))
            return GaiaArchive(name, title, f"{self.url}/tap", data=data, links=links, login=login)
        self.tables[XP_TABLE] = dict.fromkeys(("source_id", *LIST_COLUMNS), "double[]")
        return GaiaArchive(name, title, f"{self.url}/tap", spectra=XP_TABLE.partition(".")[2])

    def respond(self, request: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        self.requests += 1
        self.cookies = request.headers.get("Cookie", "")
        about_itself = "TAP_SCHEMA" in form.get("QUERY", [""])[0] or request.path.startswith("/datalink")
        fault = self.always or (self.faults.pop(0) if self.faults and not about_itself else "")
        if self.hangs:
            time.sleep(60)
        if fault == "stall":
            time.sleep(STALL_S)
        if fault == "500":
            request.send_error(500)
            return
        if fault == "502":
            self.send(request, 502, _GATEWAY)
            return
        if request.path.startswith("/datalink") and self.slow_links:
            time.sleep(STALL_S)
        if fault == "text":
            self.send(request, 500, b"<html><body>java.lang.NullPointerException</body></html>")
            return
        if fault == "page":
            self.send(request, 200, _PAGE)
            return
        if fault == "refused":
            self.send(request, 400, _REFUSAL.format("unknown column nonsense").encode())
            return
        if request.path.startswith("/login"):
            self.log_in(request, form)
            return
        if fault == "stranger" and "ID" in form:
            form["ID"] = [form["ID"][0] + ",77"]
        if refusal := self.refusal(request.path, form):
            self.send(request, 500, f"<html><body>{refusal}</body></html>".encode())
            return
        if request.path.startswith("/tap/sync") and (refusal := self.wrong_names(form["QUERY"][0])):
            self.send(request, 400, _REFUSAL.format(refusal).encode())
            return
        content = self.content(request.path, form)
        if content is None:
            request.send_error(404)
            return
        if fault == "cut":
            self.send(request, 200, content, len(content) // 2)
            request.close_connection = True
        elif fault != "stall":
            self.send(request, 200, content)

    def log_in(self, request: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        if self.login_redirect:
            request.send_response(307)
            request.send_header("Location", self.login_redirect)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        user, password = form["username"][0], form["password"][0]
        if self.users.get(user) != password:
            self.send(request, 401, f"no user {user} with password {password}".encode())  # as careless as can be
            return
        request.send_response(200)
        request.send_header("Set-Cookie", f"JSESSIONID=session-of-{user}; Path=/")
        request.send_header("Content-Length", "2")
        request.end_headers()
        request.wfile.write(b"OK")

    def send(self, request: BaseHTTPRequestHandler, status: int, content: bytes, stop: int | None = None) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:stop])

    def content(self, path: str, form: dict[str, list[str]]) -> bytes | None:
        if path.startswith("/datalink/links"):
            return None if self.products is None else _links(form["ID"][0].split(","), self.products)
        if path.startswith("/data"):
            ids = [int(i) for i in form["ID"][0].split(",")]
            self.log.append((path, len(ids)))
            head, rest = self.star(form["RELEASE"][0])
            rows = [f"{i},{rest}" for i in ids if i not in self.absent]
            rows = [] if form["RETRIEVAL_TYPE"][0] in self.other_words else rows
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as files:
                if rows or not self.empty_zip:
                    files.writestr("XP_CONTINUOUS_RAW.csv", "\n".join([head, *rows]) + "\n")
            return buffer.getvalue()
        if path.startswith("/tap/sync"):
            return self.answer(form["QUERY"][0], form)
        return self.files.get(path.removeprefix("/bulk/"))

    def answer(self, query: str, form: dict[str, list[str]]) -> bytes:
        """The answer to a query."""
        if "TAP_SCHEMA.columns" in query:
            self.schema_queries += 1
            rows = [(table, name, kind) for table, columns in self.tables.items() for name, kind in columns.items()]
            names = ("table_name", "column_name", "datatype")
            return _votable(**{name: [row[i] for row in rows] for i, name in enumerate(names)})
        if "TAP_SCHEMA" in query:
            return _votable(schema_name=["gaiadr3"])
        if self.genuine_table:
            return self.genuine_table
        self.queries.append(query)
        if "TAP_UPLOAD" in query:
            positions = Table.read(io.BytesIO(form["positions"][0]), format="votable")
            self.log.append(("/tap/upload", len(positions)))
            return self.near(zip(positions["ra"], positions["dec"], strict=True), _radius(query))
        if "CIRCLE" in query and "g.dec," in f"{query.partition(' FROM')[0]},":
            cones = re.findall(r"CIRCLE\('ICRS', ([-\d.]+), ([-\d.]+), ", query)
            self.log.append(("/tap/cones", len(cones)))
            return self.near([(float(ra), float(dec)) for ra, dec in cones], _radius(query))
        if "TOP 1" in query:
            one = _votable(source_id=[11], ref_epoch=[next(self.epochs[r] for r in self.epochs if r in query)])
            return one.replace(b"</TABLE>", _OVERFLOW) if self.top_overflows else one
        ids = [int(i) for i in re.findall(r"\d{3,}", query.partition(" IN ")[2])] or [11, 12]
        self.log.append(("/tap/sync", len(ids)))
        kept = [i for i in ids if i not in self.absent]
        if "dr3_neighbourhood" in query:
            zeros = [0.0] * len(kept)
            newer = "source_id" if "source_id" in self.tables["gaiadr4.dr3_neighbourhood"] else "dr4_source_id"
            pairs = {newer: [i + 1 for i in kept], "dr3_source_id": kept, "probable_match": [True] * len(kept)}
            return _votable(**pairs, angular_distance=zeros, magnitude_difference=zeros)
        if XP_TABLE in query:
            return self.spectra(kept)
        kept = [i for i in kept if i not in self.not_best or "all_source_photometry" in query]
        cut = len(kept) > self.most_rows
        kept = kept[: self.most_rows]
        values = {name: [self.values.get(name, 1.5)] * len(kept) for name in _selected(query)}
        values |= {name: each for name, each in _positions(kept).items() if name in values and name not in self.values}
        content = _votable(**{**values, "source_id": kept})
        return content.replace(b"</TABLE>", _OVERFLOW) if cut else content

    def spectra(self, ids: list[int]) -> bytes:
        """Spectra as a mirror's TAP has them: single precision but for the coefficients."""
        names = self.head.split(",")[1:]
        row = dict(zip(names, next(csv.reader([self.rest])), strict=True))
        columns = {}
        for name in LIST_COLUMNS:
            kind = np.float64 if name.endswith("coefficients") else np.float32
            numbers = np.array([float(x) for x in row[name].strip("()").split(",")], kind)
            columns[name] = np.tile(numbers, (len(ids), 1))
        return _votable(source_id=np.array(ids, np.int64), **columns)

    def refusal(self, path: str, form: dict[str, list[str]]) -> str:
        """The response to an unknown request, in Gaia's words."""
        if path.startswith("/data") and not path.startswith("/datalink"):
            known = {self.retrieval_types[form["RELEASE"][0]], *self.other_words}
            if form["RETRIEVAL_TYPE"][0] not in known:
                return "Unknown retrieval type"
            return "" if form["DATA_STRUCTURE"][0] in self.structures else "Unknown data structure"
        if "positions" in form and self.uploads == "refused":
            return "uploads are not supported"
        return _QUOTA if "positions" in form and self.uploads == "quota" and not self.cookies else ""

    def wrong_names(self, query: str) -> str:
        """What a query uses that does not exist, or does not match its type."""
        if "TAP_SCHEMA" in query and not self.lists_tables:
            return "TAP_SCHEMA is not supported"
        if "TAP_SCHEMA" in query or "vizier" in query or "I/352" in query or "B/pastel" in query:
            return ""
        tables = {name: self.tables.get(name) for name in re.findall(r"(?:FROM|JOIN) (\w+\.\w+)", query)}
        tables = {name: columns for name, columns in tables.items() if not name.startswith("TAP_UPLOAD")}
        if self.forbidden in tables:
            return f"Cannot parse query '{query}': permission denied for {self.forbidden}"
        if missing := [name for name, columns in tables.items() if columns is None]:
            return f"Unknown table {missing[0]}"
        columns = {name: kind for each in tables.values() for name, kind in (each or {}).items()}
        for name in _selected(query):
            if tables and name not in columns and name != "n.*":
                return f"Unknown column {name}"
        for name, value in re.findall(r"\b(has_\w+) (?:=|>) ('\w+'|\d+)", query):
            if name not in columns:
                return f"Unknown column {name}"
            if value.isdigit() == (columns[name] == "boolean"):
                return f"operator not valid for {columns[name]} {name}"
        return ""

    def star(self, title: str) -> tuple[str, str]:
        """The line of names, and a row without its source_id."""
        names = [self.renamed.get(name, name) for name in self.head.split(",")]
        if title == RELEASES["dr3"].title:
            return ",".join(names), self.rest
        row = next(csv.reader([self.rest]))
        widths = {"coefficients": self.n_bp, "coefficient_errors": self.n_bp}
        widths["coefficient_correlations"] = self.n_bp * (self.n_bp - 1) // 2
        for kind, width in widths.items():
            place = self.head.split(",").index(f"bp_{kind}") - 1
            row[place] = f"({', '.join(row[place].strip('()').split(', ')[:width])})"
        return ",".join(names), ",".join(f'"{cell}"' if "," in cell else cell for cell in row)

    def near(self, positions: object, radius: float) -> bytes:
        """The stars around positions."""
        positions = list(positions)
        found = [
            star for star in self.sky for ra, dec in positions
            if np.hypot((star[1] - ra) * np.cos(np.radians(dec)), star[2] - dec) <= radius
        ]  # fmt: skip
        columns = {name: [star[i] for star in found] for i, name in enumerate(("source_id", "ra", "dec"))}
        moving = {"pmra": 0.0, "pmdec": self.pmdec, "ref_epoch": 2016.0}
        there = self.tables["gaiadr3.gaia_source"]
        return _votable(**columns, **{name: [moving[name]] * len(found) for name in moving if name in there})


def _positions(ids: list[int]) -> dict[str, list[float]]:
    lon, lat = HEALPix(4096, order="nested").healpix_to_lonlat(np.array(ids, np.int64) >> 35)
    return {"ra": lon.deg.tolist(), "dec": lat.deg.tolist()}


def _radius(query: str) -> float:
    return float(re.search(r"CIRCLE\([^)]*, ([\d.]+)\)", query)[1])


def _selected(query: str) -> list[str]:
    """The names after SELECT."""
    names = query.partition("SELECT ")[2].partition(" FROM")[0].replace("Source AS ", "").replace("TOP 1 ", "")
    return [name.strip().strip('"').removeprefix("g.") for name in names.split(", ")]


def _links(sources: list[str], products: list[str]) -> bytes:
    rows = [(source, product) for source in sources for product in products]
    url = "https://example.org/data?ID={}&RETRIEVAL_TYPE={}"
    urls = [url.format(source.replace(" ", "+"), product) for source, product in rows]
    return _votable(ID=[source for source, _ in rows], access_url=urls)


def _votable(**columns: list) -> bytes:
    """A response of TAP, which reports the status of the query inside the document."""
    buffer = io.BytesIO()
    Table(columns).write(buffer, format="votable")
    status = b'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/>'
    return re.sub(rb'<RESOURCE type="results">', status, buffer.getvalue(), count=1)


def _parts(kind: str, body: bytes) -> dict[str, list]:
    """The parts of a form with files: text, and the bytes of files."""
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    form = {}
    for part in message.get_payload():
        content = part.get_payload(decode=True)
        form[part.get_param("name", header="content-disposition")] = [
            content if part.get_filename() else content.decode()
        ]
    return form
