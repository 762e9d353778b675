"""Web servers that misbehave: busy, silent, broken off, or sending something else or too much."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

from faults.trying import SMALL, Outcome, make, same
from support import content, root_of

from qwell.errors import QwellError
from qwell.store import arriving, places
from qwell.store.transfer import pull


class Server(ThreadingHTTPServer):
    """Serves a directory, and one kind of file in it by a bad habit; counts the bytes that it sent."""

    daemon_threads = True

    def __init__(self, folder: Path, habit: Habit, victim: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.habit, self.victim = folder, habit, victim
        self.asked: Counter[str] = Counter()
        self.over = threading.Event()
        self.sent = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away: that is what they are to do."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path = self.server.folder / self.path.lstrip("/").partition("?")[0]
        self.server.asked[self.path] += 1
        if not path.is_file():
            return self.give(b"", 404)
        if re.search(self.server.victim, self.path):
            return self.server.habit(self, path.read_bytes(), self.server.asked[self.path])
        return self.well(path.read_bytes())

    def start(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0

    def well(self, whole: bytes) -> None:
        start = self.start()
        span = {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"} if start else {}
        self.give(whole[start:], 206 if start else 200, **span)

    def give(self, body: bytes, code: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.send(body)

    def send(self, body: bytes) -> None:
        self.wfile.write(body)
        self.server.sent += len(body)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        self.server.over.wait(120)


Habit = Callable[[Handler, bytes, int], None]


def _first(bad: Habit, times: int = 1) -> Habit:
    """Misbehave the first times only."""
    return lambda h, whole, n: bad(h, whole, n) if n <= times else h.well(whole)


def _half(h: Handler, whole: bytes, n: int) -> None:
    start, left = h.start(), len(whole) - h.start()
    span = {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"} if start else {}
    h.give(whole[start : start + (left + 1) // 2], 206 if start else 200, left, **span)
    h.hang_up()


def _endless(h: Handler, whole: bytes, n: int) -> None:
    h.give(whole, length=2**40)
    while not h.server.over.is_set() and h.server.sent < 2**28:
        h.send(bytes(2**20))


def _drips(h: Handler, whole: bytes, n: int) -> None:
    h.give(b"", length=len(whole))
    for byte in whole:
        h.send(bytes([byte]))
        if h.server.over.wait(0.05):
            return


@cache
def _packed() -> bytes:
    import gzip

    return gzip.compress(bytes(2**26))


def _bomb(h: Handler, whole: bytes, n: int) -> None:
    h.give(_packed(), Content_Encoding="gzip")


def _gzipped(h: Handler, whole: bytes, n: int) -> None:
    import gzip

    h.give(gzip.compress(whole), Content_Encoding="gzip")


def _silent(after: float) -> Habit:
    def habit(h: Handler, whole: bytes, n: int) -> None:
        if after >= 0:
            h.give(whole[: int(after * len(whole))], length=len(whole))
        h.wait()

    return habit


def _garbage(h: Handler, whole: bytes, n: int) -> None:
    h.send(b"\x00\xff 220 ready to serve mail\r\n\r\n")
    h.hang_up()


def _ignores_ranges(h: Handler, whole: bytes, n: int) -> None:
    if n == 1:
        _half(h, whole, n)
    else:
        h.give(whole)


def _another_range(h: Handler, whole: bytes, n: int) -> None:
    if n == 1:
        _half(h, whole, n)
    elif not h.start():
        h.well(whole)
    else:
        h.give(whole[7:], 206, Content_Range=f"bytes 7-{len(whole) - 1}/{len(whole)}")


def _lies_about_range(h: Handler, whole: bytes, n: int) -> None:
    start = h.start()
    if n == 1:
        _half(h, whole, n)
    elif not start:
        h.well(whole)
    else:
        span = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        h.give(whole[: len(whole) - start], 206, Content_Range=span)


def _no_such_range(h: Handler, whole: bytes, n: int) -> None:
    if n == 1:
        _half(h, whole, n)
    elif h.start():
        h.give(b"", 416)
    else:
        h.well(whole)


def _elsewhere(h: Handler, whole: bytes, n: int) -> None:
    if "?" in h.path:
        h.well(whole)
    else:
        h.give(b"", 302, Location=f"{h.path}?there")


def _says(code: int, **headers: str) -> Habit:
    return lambda h, whole, n: h.give(b"", code, **headers)


GOOD = ""  # it arrives all the same
# what the server does, how, and what the error must say of it (GOOD: none)
HABITS: list[tuple[str, Habit, str]] = [
    ("breaks off in the middle, once", _first(_half), GOOD),
    ("breaks off in the middle, again and again", _half, "repeat the command|not those of the manifest"),
    ("sends without end", _endless, "more than the|longer than"),
    ("sends too little, and says so", lambda h, w, n: h.give(w[:-9]), "not those|not valid JSON"),
    ("sends three times the file", lambda h, w, n: h.give(w * 3), "more than the|not valid JSON"),
    ("sends other bytes", lambda h, w, n: h.give(b"\0" * len(w)), "not those|not valid JSON"),
    ("sends nothing", lambda h, w, n: h.give(b""), "not those|not valid JSON"),
    ("sends a page of HTML", lambda h, w, n: h.give(b"<html>" + w), "more than|not valid JSON"),
    ("knows no ranges", _ignores_ranges, GOOD),
    ("answers another range", _another_range, GOOD),
    ("answers another range and says it is the right one", _first(_lies_about_range, 2), GOOD),
    ("says there is no such range", _no_such_range, GOOD),
    ("says 429 and when to come again", _first(_says(429, Retry_After="1")), GOOD),
    ("says 429, again and again", _says(429), "429"),
    ("says 503, once", _first(_says(503)), GOOD),
    ("says 500, again and again", _says(500), "500"),
    ("says 408, once", _first(_says(408)), GOOD),
    ("says 401", _says(401), "login"),
    ("says 403", _says(403), "login"),
    ("has no such file", _says(404), "missing|no data set"),
    ("says nothing", _silent(-1), "repeat the command"),
    ("falls silent after the head", _silent(0), "repeat the command"),
    ("falls silent in the middle", _silent(0.5), "repeat the command"),
    ("sends twenty bytes a second", _drips, "less than"),
    ("hangs up", lambda h, w, n: h.hang_up(), "repeat the command"),
    ("leads round in circles", _says(302, Location="/here"), "repeat the command|missing|no data set"),
    ("leads elsewhere, where it is", _elsewhere, GOOD),
    ("compresses unasked", _gzipped, GOOD),
    ("compresses nothing, without end", _bomb, "more than the|longer than"),
    ("speaks another protocol", _garbage, "repeat the command"),
]  # fmt: skip


@contextmanager
def serving(folder: Path, habit: Habit, victim: str) -> Iterator[tuple[str, Server]]:
    """A server of a directory with a bad habit for files whose address has `victim`; its address."""
    with Server(folder, habit, victim) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def misbehaving_server(folder: Path, suffix: str, tries: int) -> Outcome:
    """Each habit, for a shard and for the manifest, in pulls and in reading from afar."""
    source = make(folder / "there" / f"m3{suffix}", SMALL)
    count = 0
    for habit in HABITS[:tries]:
        for victim in ("train/", "manifest.json"):
            try_habit(source, folder / f"{count}", habit, victim)
            count += 1
    return (
        count,
        "the right bytes, or one line that says what the server does; no more bytes kept than recorded",
    )


def try_habit(source: Path, folder: Path, habit: tuple[str, Habit, str], victim: str) -> None:
    """Pull and read a data set from a server with a habit; AssertionError if that is not handled."""
    name, action, words = habit
    folder.mkdir()
    size = sum(file.stat().st_size for file in root_of(source).rglob("*") if file.is_file())
    with serving(source.parent, action, victim) as (address, server), _counting() as (recorded, written):
        began = time.monotonic()
        try:
            pull(f"{address}/{source.name}", folder / source.name)
            same(folder / source.name, content(source))
        except QwellError as error:
            assert words and re.search(words, str(error)), f"{name}, {victim}: {error}"
            assert not (folder / source.name).exists(), name
        else:
            assert not words, f"{name}, {victim}: nothing was said"
        assert time.monotonic() - began < 60, f"unexpected hang: {name}, {victim}"
        assert server.sent < 20 * size + 2**26, f"{name}: {server.sent:,} bytes were sent"
        assert sum(written) <= sum(recorded), f"{name}: {sum(written):,} bytes were kept"


@contextmanager
def _counting() -> Iterator[tuple[list[int], list[int]]]:
    """The bytes of the files that are brought, as they are recorded and as they are written, each attempt."""
    recorded: list[int] = []
    written: list[int] = []
    bring, write = arriving.bring, arriving._written

    def brought(pieces_from: Any, target: Path, sha256: str, expected: int) -> int:
        recorded.append(expected)
        return bring(pieces_from, target, sha256, expected)

    def counted(target: Path, action: Callable[..., object], *arguments: object) -> None:
        written.extend(len(one) for one in arguments if isinstance(one, bytes))
        write(target, action, *arguments)

    with mock.patch.object(places, "bring", brought), mock.patch.object(arriving, "_written", counted):
        yield recorded, written
