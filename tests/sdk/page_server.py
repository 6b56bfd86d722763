"""Static files, pages that a test gives, and a place where pages report to."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPORT = "/report"


class Pages:
    """What is served, and what pages reported."""

    def __init__(self) -> None:
        self.origin = ""
        self.page = b""
        """What / gives."""
        self.reports: queue.Queue[dict] = queue.Queue()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, pages: Pages, *arguments, **options) -> None:
        self._pages = pages
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self._answer("text/html; charset=utf-8", self._pages.page)

    def do_POST(self) -> None:
        assert self.path == REPORT
        body = self.rfile.read(int(self.headers["content-length"]))
        self._pages.reports.put(json.loads(body))
        self._answer("application/json", b"{}")

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve_pages(folder: Path) -> Iterator[Pages]:
    """Serve the files of a folder, and pages, until the block ends."""
    pages = Pages()
    handler = partial(_Handler, pages, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        pages.origin = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield pages
        finally:
            server.shutdown()
            thread.join()
