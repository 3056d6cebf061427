"""A local server that speaks the archive's protocols (DataLink zip, TAP VOTable, bulk files) and can misbehave.

It plays two releases: DR3 with a genuine star's spectrum, and a DR4 that is MADE from it by dropping the last
BP coefficients. Every star has that one spectrum.
"""

from __future__ import annotations

import csv
import io
import re
import threading
import time
import zipfile
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import numpy as np
from astropy.table import Table
from xpfeh.download.archive_requests import GAIA_SOURCE_COLUMNS
from xpfeh.sources.releases import RELEASES

_OVERFLOW = b'</TABLE><INFO name="QUERY_STATUS" value="OVERFLOW"/>'
_REFUSAL = b"""<?xml version="1.0"?>
<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="ERROR">unknown column nonsense</INFO></RESOURCE></VOTABLE>"""


class ArchiveServer:
    """Serves on 127.0.0.1 while a test runs.

    Attributes
    ----------
    absent : stars it does not have
    faults : what to do with the next requests, one each: "500", "cut", "stall",
        "stranger" (a star too many), "refused" (a bad query)
    empty_zip : respond with no file at all, not with a line of names, where there are no spectra
    most_rows : rows after which the response to a query is cut
    genuine_table : VOTable to respond to queries with
    log : (path, number of identifiers) of the good responses
    files : bulk files by name
    retrieval_types : the value of RETRIEVAL_TYPE that it knows, by release
    structures : values of DATA_STRUCTURE that it knows
    renamed : columns of spectra that have another name
    n_bp : BP coefficients of the made DR4
    tables : names of columns by table, as TAP_SCHEMA tells them
    epochs : of positions, by table
    sky : stars (source_id, ra, dec) that queries by position find
    pmdec : their proper motion northwards, mas a year
    """

    def __init__(self, genuine_csv: str) -> None:
        self.head, row = genuine_csv.splitlines()[:2]
        self.rest = row.partition(",")[2]
        self.absent: set[int] = set()
        self.faults: list[str] = []
        self.empty_zip = False
        self.most_rows = 1_000_000
        self.genuine_table = b""
        self.log: list[tuple[str, int]] = []
        self.files: dict[str, bytes] = {}
        self.retrieval_types = {gaia.title: gaia.retrieval_type for gaia in RELEASES.values()}
        self.structures = {"RAW", "DATAMODEL_GAIA"}
        self.renamed: dict[str, str] = {}
        self.n_bp = 51
        self.tables: dict[str, list[str]] = {}
        for gaia in RELEASES.values():
            self.tables[gaia.gaia_source] = [*GAIA_SOURCE_COLUMNS, gaia.has_xp]
            if gaia.neighbourhood:
                self.tables[gaia.neighbourhood] = [*gaia.neighbours, "angular_distance", "magnitude_difference"]
        self.pmdec = 0.0
        self.epochs = {gaia.gaia_source: gaia.ref_epoch for gaia in RELEASES.values()}
        self.sky: list[tuple[int, float, float]] = []
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.headers["Content-Type"]
                archive.respond(self, _parts(kind, body) if "multipart" in kind else parse_qs(body.decode()))

            def do_GET(self) -> None:
                archive.respond(self, {})

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def respond(self, request: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "stall":
            time.sleep(1.5)
        if fault == "500":
            request.send_error(500)
            return
        if fault == "refused":
            self.send(request, 400, _REFUSAL)
            return
        if fault == "stranger":
            form["ID"] = [form["ID"][0] + ",77"]
        if request.path.startswith("/data") and (refusal := self.refusal(form)):
            self.send(request, 500, f"<html><body>{refusal}</body></html>".encode())
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

    def send(self, request: BaseHTTPRequestHandler, status: int, content: bytes, stop: int | None = None) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:stop])

    def content(self, path: str, form: dict[str, list[str]]) -> bytes | None:
        if path.startswith("/data"):
            ids = [int(i) for i in form["ID"][0].split(",")]
            self.log.append((path, len(ids)))
            head, rest = self.star(form["RELEASE"][0])
            rows = [f"{i},{rest}" for i in ids if i not in self.absent]
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as files:
                if rows or not self.empty_zip:
                    files.writestr("XP_CONTINUOUS_RAW.csv", "\n".join([head, *rows]) + "\n")
            return buffer.getvalue()
        if path.startswith("/tap/sync"):
            if self.genuine_table:
                return self.genuine_table
            query = form["QUERY"][0]
            if "TAP_SCHEMA" in query:
                return _votable(column_name=self.tables.get(query.split("'")[1], []))
            if "TAP_UPLOAD" in query:
                return self.near(query, form["positions"][0])
            if "TOP 1" in query:
                return _votable(source_id=[11], ref_epoch=[next(self.epochs[t] for t in self.epochs if t in query)])
            ids = [int(i) for i in re.findall(r"\d{3,}", query.partition(" IN ")[2])] or [11, 12]
            self.log.append((path, len(ids)))
            names = query.partition("SELECT ")[2].partition(" FROM")[0].replace("Source AS ", "").split(", ")
            kept = [i for i in ids if i not in self.absent]
            cut = len(kept) > self.most_rows
            kept = kept[: self.most_rows]
            names = [name.strip('"') for name in names]
            content = _votable(**{name: kept if name == "source_id" else [1.5] * len(kept) for name in names})
            return content.replace(b"</TABLE>", _OVERFLOW) if cut else content
        return self.files.get(path.removeprefix("/bulk/"))

    def refusal(self, form: dict[str, list[str]]) -> str:
        """What it says to a request that it does not know, in Gaia's words."""
        if form["RETRIEVAL_TYPE"][0] != self.retrieval_types[form["RELEASE"][0]]:
            return "Unknown retrieval type"
        return "" if form["DATA_STRUCTURE"][0] in self.structures else "Unknown data structure"

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

    def near(self, query: str, upload: bytes) -> bytes:
        """The stars of its sky that lie around the uploaded positions."""
        radius = float(re.search(r"p\.dec, ([\d.]+)\)", query)[1])
        positions = Table.read(io.BytesIO(upload), format="votable")
        found = [
            star for star in self.sky for ra, dec in zip(positions["ra"], positions["dec"], strict=True)
            if np.hypot((star[1] - ra) * np.cos(np.radians(dec)), star[2] - dec) <= radius
        ]  # fmt: skip
        self.log.append(("/tap/upload", len(positions)))
        columns = {name: [star[i] for star in found] for i, name in enumerate(("source_id", "ra", "dec"))}
        epochs = [2016.0] * len(found)
        return _votable(**columns, pmra=[0.0] * len(found), pmdec=[self.pmdec] * len(found), ref_epoch=epochs)


def _votable(**columns: list) -> bytes:
    """A response of TAP, which says inside the document how the query ended."""
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
