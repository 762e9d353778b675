"""The server of the page: on this machine alone, until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qwell.errors import InvalidInput, MissingExtra, WriteError
from qwell.explore.opened import Opened

HOST = "127.0.0.1"
STATIC = Path(__file__).parent / "static"  # the page and its modules


@contextmanager
def explore_needs() -> Iterator[None]:
    """What is done inside needs the extra `explore`; MissingExtra says how it is installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("starlette", "uvicorn"):
            raise
        raise MissingExtra(
            f'the explorer needs {missing}, which is not installed: pip install "qwell[explore]"'
        ) from error


def serve(opened: Opened, say: Callable[[str], object], port: int = 0, browser: bool = True) -> None:
    """Serve the page at an address with a token of its own, until Ctrl-C.

    Arguments:
        opened: what may be looked at.
        say: is given the address, once the page can be opened.
        port: of 127.0.0.1; 0 for one that is free.
        browser: open the address in the browser.

    Raises MissingExtra without starlette or uvicorn, InvalidInput for a port that there is not, WriteError
    for one that is taken.
    """
    with explore_needs():
        import uvicorn

        from qwell.explore.app import make_app
    listening = _listen(port)
    host, token = f"{HOST}:{listening.getsockname()[1]}", secrets.token_urlsafe(24)
    address = f"http://{host}/{token}/"

    class Server(uvicorn.Server):
        """Says the address when it listens."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Begin to listen."""
            await super().startup(sockets)
            say(address)
            if browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    settings = uvicorn.Config(
        make_app(opened, token, (host, host.replace(HOST, "localhost"))),
        log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1,
        server_header=False, limit_concurrency=64, ws="none",
    )  # fmt: skip
    with listening, suppress(KeyboardInterrupt):
        Server(settings).run(sockets=[listening])


def _listen(port: int) -> socket.socket:
    """A socket of this machine alone."""
    if not 0 <= port < 2**16:
        raise InvalidInput(f"port is {port}; choose one from 1 to 65535, or 0 for one that is free")
    # asyncio sends at once (TCP_NODELAY) only where it sees that this is TCP; else answers wait 40 ms
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
        made.listen()  # at once: two sockets may be bound to a port of which neither is listened at
    except OSError as error:
        made.close()
        raise WriteError(f"port {port} cannot be used: {error.strerror}; choose another --port") from error
    return made
