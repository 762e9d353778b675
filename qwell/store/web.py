"""Web servers, which are read: files that take hours, servers that are busy, silent, or send too much."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any
from urllib.parse import unquote, urljoin

from qwell.errors import DatasetNotFound, TransferError
from qwell.store import places
from qwell.store.arriving import Pieces
from qwell.store.places import Place
from qwell.store.refusals import BUSY, ServerBusy

LEAST = 1000  # bytes that have to come in `SILENCE` seconds
PIECE = 2**20
LONGEST_PAGE = 2**22  # bytes of a page that lists a directory
_LINK = re.compile(rb"""href\s*=\s*["']?([^"'>\s]+)""", re.IGNORECASE)


class WebPlace(Place):
    """A directory at a web server; see `Place`."""

    def _options(self) -> dict[str, Any]:
        from aiohttp import ClientTimeout

        theirs: dict[str, Any] = {}
        for protocol in ("http", "https"):  # either counts for both, as in fsspec
            theirs |= places.fsspec_settings(protocol).get("client_kwargs", {})
        timeout = ClientTimeout(total=None, connect=places.SILENCE, sock_read=places.SILENCE)
        return {"client_kwargs": {**theirs, "timeout": timeout}}

    def read(self, name: str, limit: int) -> bytes:
        """The content of a small file; see `Place.read`."""

        def action() -> bytes:
            content = b""
            with closing(self._pieces(name, 0, None)[1]) as pieces:
                for piece in pieces:
                    content += piece
                    if len(content) > limit:
                        raise TransferError(
                            f"{self.url}/{name} is longer than {limit} bytes; this is not ours"
                        )
            return content

        return self.attempt(f"cannot read {self.url}/{name}", action)

    def _pieces(self, name: str, start: int, expected: int | None) -> Pieces:
        """The content of a file from byte `start` on; from 0 if the server knows no ranges."""
        from fsspec.asyn import sync

        response = sync(self.fs.loop, self._ask, self.at(name), start)
        start = start if response.status == 206 else 0

        def pieces() -> Generator[bytes]:
            due, enough = time.monotonic() + places.SILENCE, LEAST
            arrived = 0
            try:
                while piece := sync(self.fs.loop, response.content.read, PIECE):
                    arrived += len(piece)
                    yield piece
                    if time.monotonic() > due:
                        if arrived < enough:
                            raise OSError(f"the server sends less than {LEAST} bytes in {places.SILENCE} s")
                        due, enough = time.monotonic() + places.SILENCE, arrived + LEAST
            finally:
                sync(self.fs.loop, _close, response)

        return start, pieces()

    async def _ask(self, address: str, start: int) -> Any:
        """An answer whose content is still to be read.

        Raises FileNotFoundError if there is no such file, ServerBusy if it may be had later, or what aiohttp
        raises.
        """
        session = await self.fs.set_session()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        response = await session.get(self.fs.encode_url(address), headers=headers)
        status, span = response.status, response.headers.get("Content-Range", "")
        if status == 200 or (start and status == 206 and span.startswith(f"bytes {start}-")):
            return response
        response.close()
        if start and status in (206, 416):  # it is not good at ranges
            return await self._ask(address, 0)
        if status in (404, 410):
            raise FileNotFoundError(address)
        if status in BUSY:
            busy = ServerBusy(f"the server answers {status} {response.reason}")
            busy.wait = _seconds(response.headers.get("Retry-After", ""))
            raise busy
        response.raise_for_status()
        raise OSError(f"the server answers {status} {response.reason}")

    def names(self) -> list[str]:
        """Names of what lies directly below, as the server's page lists them.

        Raises DatasetNotFound if there is no such page.
        """
        base = f"{self.address}/"
        try:
            page = self.read("", LONGEST_PAGE)
        except FileNotFoundError as error:
            raise DatasetNotFound(f"there is nothing at {self.url}") from error
        links = {urljoin(base, unescape(link.decode("utf-8", "replace"))) for link in _LINK.findall(page)}
        below = (unquote(link.removeprefix(base)).rstrip("/") for link in links if link.startswith(base))
        return sorted({name for name in below if name and "/" not in name and "?" not in name})

    def sizes(self) -> dict[str, int]:
        """Web servers do not say."""
        return {}


async def _close(response: Any) -> None:
    response.close()


def _seconds(text: str) -> float:
    """What `Retry-After` says, seconds or a date; 0 if it says nothing."""
    if text.strip().isdigit():
        return float(text)
    with suppress(ValueError):
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0)
    return 0
