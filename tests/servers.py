"""Real servers for the tests, started and stopped here: S3 over HTTP, OpenSSH, plain HTTP."""

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(port: int, host: str = "127.0.0.1") -> None:
    for _ in range(200):
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no server on port {port}")


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """An S3-compatible server with the bucket `team`; yields the environment of its clients."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    import http.client

    connection = http.client.HTTPConnection(host, port)
    connection.request("PUT", "/team")
    assert connection.getresponse().status == 200
    connection.close()
    try:
        yield environment
    finally:
        server.stop()


def find_sshd() -> str | None:
    """OpenSSH's server, if it is installed."""
    return shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])


@contextmanager
def ssh_server(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """OpenSSH's server on this machine; yields the address of its root, and its clients' environment."""
    sshd = find_sshd()
    assert sshd is not None
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for path in (folder / "host_key", home / ".ssh/id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    shutil.copy(home / ".ssh/id_ed25519.pub", folder / "authorized")
    port = free_port()
    public = (folder / "host_key.pub").read_text()
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(
        [sshd, "-D", "-e", "-f", folder / "config"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}", {"HOME": str(home)}
    finally:
        server.terminate()
        server.wait()


class Handler(SimpleHTTPRequestHandler):
    """Serves a directory; counts the bytes of files sent, and can be told to break off."""

    sent = 0
    break_after: int | None = None

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        content = source.read()
        kind = type(self)
        if kind.break_after is not None and kind.sent + len(content) > kind.break_after:
            outputfile.write(content[: max(kind.break_after - kind.sent, 0)])
            outputfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        kind.sent += len(content)
        outputfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def http_server(folder: Path) -> Iterator[tuple[str, type[Handler]]]:
    """A web server of a directory; yields its address and its handler, whose counters may be set."""
    kind = type("CountingHandler", (Handler,), {"sent": 0})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(folder))) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", kind
        finally:
            server.shutdown()
            thread.join()
