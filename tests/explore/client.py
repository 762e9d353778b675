"""Asks the explorer's application without a server and without a browser: ASGI by hand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qwell.explore.app import make_app
from qwell.explore.opened import Opened
from qwell.explore.wire import unpacked

TOKEN, HOST = "a-token-of-the-tests", "127.0.0.1:8899"


@dataclass
class Answered:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def messages(self) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
        found, rest = [], self.body
        while rest:
            head, arrays, rest = unpacked(rest)
            found.append((head, arrays))
        return found


class Client:
    """What may be asked, and how: the token and the host are those of the server unless others are given."""

    def __init__(self, opened: Opened) -> None:
        self.app = make_app(opened, TOKEN, (HOST,))

    def request(
        self,
        path: str,
        body: bytes | list[bytes] = b"",
        method: str = "POST",
        token: str = TOKEN,
        **headers: str,
    ) -> Answered:
        """One request; several parts of a body have no length announced."""
        parts = body if isinstance(body, list) else [body]
        sent = {"host": HOST, **headers}
        if not isinstance(body, list):
            sent.setdefault("content-length", str(len(body)))
        encoded = [(k.replace("_", "-").encode(), v.encode()) for k, v in sent.items()]
        scope = {
            "type": "http", "method": method, "path": f"/{token}{path}", "raw_path": b"",
            "query_string": b"", "headers": encoded, "http_version": "1.1", "scheme": "http", "root_path": "",
        }  # fmt: skip
        answered, ahead = Answered(), list(parts)

        async def receive() -> dict[str, Any]:
            if not ahead:
                await asyncio.sleep(3600)
            part = ahead.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(ahead)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.status = message["status"]
                answered.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
            else:
                answered.parts.append(message.get("body", b""))

        asyncio.run(self.app(scope, receive, send))
        return answered

    def ask(self, name: str, **question: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Head and arrays of an answer that is one message."""
        answered = self.request(f"/api/{name}", json.dumps(question).encode())
        assert answered.status == 200, answered
        (message,) = answered.messages
        return message

    def refused(self, name: str, **question: Any) -> str:
        """What the answer says is wrong with a question."""
        return str(self.ask(name, **question)[0]["error"])
