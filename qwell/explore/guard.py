"""Who may ask: only the page that was opened with the token, from this machine, and not too much at a time.

The token is the first part of every path, http://127.0.0.1:8899/<token>/, so that no cookie is kept, which
pages of other ports of this machine would see. A page of another site knows no token; were it to guess one,
its requests name another origin, or another host (DNS rebinding), and are refused all the same.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 2**18  # bytes that a request may have
TOO_LARGE = (413, f"a request may have {LARGEST_BODY:,} bytes")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"
    " blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Lets through what may ask, with the token taken out of the path; refuses the rest.

    Arguments:
        app: what answers.
        token: the first part of every path.
        hosts: under which the server is known, e.g. "127.0.0.1:8899".
    """

    def __init__(self, app: App, token: str, hosts: tuple[str, ...]) -> None:
        self.app, self.token, self.hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; a server's start and end are passed on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page uses no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        token, _, rest = str(scope["path"]).lstrip("/").partition("/")
        if refused := self._refused(scope, token):
            await _answer(send, *refused)
            return
        body = await _read(receive)
        if body is None:
            await _answer(send, *TOO_LARGE)
            return

        async def again() -> MutableMapping[str, Any]:
            nonlocal body
            if body is None:
                return await receive()
            whole, body = body, None
            return {"type": "http.request", "body": whole, "more_body": False}

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = [(k, v) for k, v in message["headers"] if k.decode().lower() not in HEADERS]
                message = {**message, "headers": own + _encoded(HEADERS)}
            await send(message)

        inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode(), "root_path": ""}
        await self.app(inner, again, sent)

    def _refused(self, scope: Scope, token: str) -> tuple[int, str] | None:
        """Status and reason, if a request is refused."""
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self.hosts:
            return 403, "this server answers to its own address alone"
        if origin is not None and origin != f"http://{host}":
            return 403, "pages of other sites may not ask"
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return 403, "the token is missing or wrong; open the address that the command printed"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return TOO_LARGE
        return None


async def _read(receive: Receive) -> bytes | None:
    """The body of a request; None if it is longer than it may be, or breaks off."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > LARGEST_BODY:
            return None
    return b"".join(parts)


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = {**HEADERS, "content-type": "application/json", "content-length": str(len(body))}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})
