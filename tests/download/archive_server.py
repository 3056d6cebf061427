"""A local server that speaks the archive's protocols (DataLink zip, TAP VOTable, bulk files) and can misbehave."""

from __future__ import annotations

import io
import re
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from astropy.table import Table

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
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                archive.respond(self, parse_qs(body))

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
            assert form["RETRIEVAL_TYPE"] == ["XP_CONTINUOUS"]
            ids = [int(i) for i in form["ID"][0].split(",")]
            self.log.append((path, len(ids)))
            rows = [f"{i},{self.rest}" for i in ids if i not in self.absent]
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as files:
                if rows or not self.empty_zip:
                    files.writestr("XP_CONTINUOUS_RAW.csv", "\n".join([self.head, *rows]) + "\n")
            return buffer.getvalue()
        if path.startswith("/tap/sync"):
            if self.genuine_table:
                return self.genuine_table
            query = form["QUERY"][0]
            ids = [int(i) for i in re.findall(r"\d{3,}", query.partition(" IN ")[2])] or [11, 12]
            self.log.append((path, len(ids)))
            names = query.partition("SELECT ")[2].partition(" FROM")[0].replace("Source AS ", "").split(", ")
            kept = [i for i in ids if i not in self.absent]
            cut = len(kept) > self.most_rows
            kept = kept[: self.most_rows]
            table = Table({n: kept if n == "source_id" else [1.5] * len(kept) for n in (x.strip('"') for x in names)})
            buffer = io.BytesIO()
            table.write(buffer, format="votable")
            # TAP says how a query ended inside the document.
            status = b'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/>'
            content = re.sub(rb'<RESOURCE type="results">', status, buffer.getvalue(), count=1)
            return content.replace(b"</TABLE>", _OVERFLOW) if cut else content
        return self.files.get(path.removeprefix("/bulk/"))
