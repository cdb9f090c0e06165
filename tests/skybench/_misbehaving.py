"""A web server with one file that misbehaves as it is told: for several tests."""

from __future__ import annotations

import hashlib
import random
import re
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from skybench.data.fetch import Remote

DATA = random.Random(0).randbytes(40_000)
CHANGED = random.Random(1).randbytes(40_000)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Site:
    """A web server with one file, and how it misbehaves."""

    address: str = ""
    data: bytes = DATA
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    ranges: bool = True
    heeds_if_range: bool = True
    wrong_part: bool = False  # a byte too early
    length: bool = True  # says it
    cuts: list[int] = field(default_factory=list)  # bytes after which each answer breaks off
    states: list[int] = field(default_factory=list)  # of the first answers, instead of the file
    stall: bool = False  # after half of the file
    asked: list[dict[str, str]] = field(default_factory=list)  # headers of the requests

    def ranges_asked(self) -> list[str]:
        return [headers.get("Range", "") for headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.asked.append(dict(self.headers))
        state = site.states.pop(0) if site.states else 200
        if self.path.startswith("/to/"):
            self._head(302, {"Location": self.path.removeprefix("/to/")})
        elif state != 200:
            self._head(state, {"Content-Length": "0"})
        else:
            self._file()

    def _file(self) -> None:
        site, start, state, extra = self.site, 0, 200, dict(self.site.headers)
        known = (None, extra.get("ETag"), extra.get("Last-Modified"))
        same = self.headers["If-Range"] in known or not site.heeds_if_range
        if site.ranges and same and (wanted := self.headers["Range"]):
            start = int(re.findall(r"\d+", wanted)[0]) - site.wrong_part
            if start >= len(site.data):
                self._head(416, {"Content-Range": f"bytes */{len(site.data)}"})
                return
            state = 206
            extra["Content-Range"] = f"bytes {start}-{len(site.data) - 1}/{len(site.data)}"
        body, cut = site.data[start:], site.cuts.pop(0) if site.cuts else None
        if site.length:
            extra["Content-Length"] = str(len(body))
        self._head(state, extra)
        half = len(body) // 2 if site.stall else 0
        self.wfile.write(body[:half])
        while site.stall:
            time.sleep(0.01)
        self.wfile.write(body[half:cut])

    def _head(self, state: int, headers: dict[str, str]) -> None:
        self.send_response(state)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def remote_of(site: Site, **changes: Any) -> Remote:
    digest = changes.pop("digest", sha256(DATA))
    return Remote(f"{site.address}/data.zip", "data.zip", digest, **changes)


def names_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"site": site})
