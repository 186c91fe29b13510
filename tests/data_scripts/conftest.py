"""A web server on this machine that can break off, forget ranges and say no; and the scripts on the import path."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "data_scripts"))


@dataclass
class Site:
    """What the server has and how it behaves; `requests` holds (path, Range header, If-Range header)."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)  # bytes sent before each of the next connections ends
    statuses: list[int] = field(default_factory=list)  # answers to give before behaving
    ranges: bool = True
    etag: str = '"one"'
    requests: list[tuple[str, str | None, str | None]] = field(default_factory=list)


def handler_of(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted, if_range = self.headers.get("Range"), self.headers.get("If-Range")
            site.requests.append((self.path, wanted, if_range))
            if site.statuses:
                return self.send_error(site.statuses.pop(0))
            body = site.files.get(self.path.lstrip("/"))
            if body is None:
                return self.send_error(404)
            start = 0
            if wanted and site.ranges and if_range in (None, site.etag):
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            if site.etag:
                self.send_header("ETag", site.etag)
            self.end_headers()
            end = start + site.break_after.pop(0) if site.break_after else len(body)
            self.wfile.write(body[start:end])

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(site))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield site
    server.shutdown()
    server.server_close()
    thread.join()
