"""Web servers that misbehave: the right bytes come, or one line says what is the matter, and soon."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from faults.web import HABITS, Habit, try_habit
from servers import http_server
from support import run

from qwell.errors import QwellWarning, TransferError
from qwell.store import catalog, places
from qwell.store.places import place_at
from qwell.store.reader import open_dataset

QUICK = {
    "breaks off in the middle, once",
    "sends without end",
    "sends three times the file",
    "sends other bytes",
    "knows no ranges",
    "says 429 and when to come again",
    "falls silent in the middle",
    "sends twenty bytes a second",
}


@pytest.mark.parametrize("victim", ["train/", "manifest.json"])
@pytest.mark.parametrize(
    "habit",
    [pytest.param(h, id=h[0], marks=[] if h[0] in QUICK else pytest.mark.slow) for h in HABITS],
)
def test_a_server_that_misbehaves(
    habit: tuple[str, Habit, str],
    victim: str,
    stored: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(places, "SILENCE", 1)
    if stored.is_file() and (habit[0] not in QUICK or victim == "manifest.json"):
        pytest.skip("files of both formats come the same way")
    try_habit(stored, tmp_path / "try", habit, victim)


def test_files_may_take_hours() -> None:
    """There is no limit on the whole, but one on silence."""
    timeout = place_at("https://example.org/store").fs.client_kwargs["timeout"]
    assert timeout.total is None and timeout.sock_read == places.SILENCE


def test_what_the_user_has_told_fsspec_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.config import conf

    monkeypatch.setitem(conf, "http", {"client_kwargs": {"trust_env": True, "timeout": 3}})
    monkeypatch.setitem(conf, "https", {"client_kwargs": {"headers": {"X-Team": "ours"}}})
    told = place_at("https://example.org/theirs").fs.client_kwargs
    assert told["trust_env"] and told["headers"] == {"X-Team": "ours"}
    assert told["timeout"].sock_read == places.SILENCE


def test_pages_that_lead_in_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page of this server lists two directories; the search ends, and says so."""
    monkeypatch.setattr(catalog, "DEPTH", 3)
    listing = "".join(f'<a href="{name}/">{name}</a>' for name in "ab").encode()
    asked = []

    class Circles(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.endswith(".json"):
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(listing)))
            self.end_headers()
            self.wfile.write(listing)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Circles) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/x"
            with pytest.warns(QwellWarning, match="more than 3 directories deep") as said:
                assert list(catalog.catalog(url, recursive=True)) == []
            assert len(said) == 1
            assert {path.count("/") for path in asked if path.endswith("/")} <= {2, 3, 4, 5}
            del asked[:]
            monkeypatch.setattr(catalog, "PLACES", 5)
            monkeypatch.setattr(catalog, "DEPTH", 99)
            with pytest.warns(QwellWarning, match="5 names were asked for"):
                assert list(catalog.catalog(url, recursive=True)) == []
            assert len({path for path in asked if path.endswith("manifest.json")}) == 5
        finally:
            server.shutdown()


def test_what_lets_one_in_is_never_written_down(dataset_path: Path, tmp_path: Path, cache: Path) -> None:
    """Not in a run, its report or its log, nor on the screen; it is used, though."""
    with http_server(dataset_path.parent) as (address, _):
        secret = address.replace("://", "://me:hunter2@") + f"/{dataset_path.name}"
        learn = ["--model", "mlp", "--set", "hidden=[8]", "--updates", 20, "--out", "runs/tiny"]
        said = [run("qtrain", "eigen", "--data", secret, *learn, cwd=tmp_path)]
        said.append(run("qtrain", "evaluate", "runs/tiny", "--data", secret, cwd=tmp_path))
        said.append(run("qdata", "info", secret, "--json", cwd=tmp_path))
        said.append(run("qdata", "pull", f"{secret}/none", cwd=tmp_path, code=2))
        said.append(run("qdata", "pull", secret, "mine.zarr", "--json", cwd=tmp_path))
    assert not any("hunter2" in one.stdout + one.stderr for one in said)
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 10
    assert [file for file in written if b"hunter2" in file.read_bytes()] == []


def test_the_log_of_a_command_has_no_passwords(tmp_path: Path) -> None:
    """Neither in what was typed, nor in what was said."""
    for address in ("https://me:hunter2@127.0.0.1:1/x.zarr", "ssh://me:hunter2&$@127.0.0.1:1/x.zarr"):
        run("qdata", "--log-file", "log.txt", "info", address, cwd=tmp_path, code=None)
    log = (tmp_path / "log.txt").read_text()
    assert log.count("$ qdata info") == 2 and "127.0.0.1" in log and "hunter2" not in log


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@host/m3.zarr", "https://host/m3.zarr"),
        ("ssh://me:sec@ret@host/m3.zarr", "ssh://me@host/m3.zarr"),
        ("ssh://me:sec/ret@host/m3.zarr", "ssh://me@host/m3.zarr"),
        ("ssh://me:s#c/r@t?@host:22/m3.zarr@3f2a91c0 is", "ssh://me@host:22/m3.zarr@3f2a91c0 is"),
        ("ssh://me@corp.org:secret@host/m3.zarr", "ssh://me@corp.org@host/m3.zarr"),
        ("ssh://me:secret@cafe01", "ssh://me@cafe01"),
        ("ssh://host:22/a@b/m3.zarr", "ssh://host:22/a@b/m3.zarr"),
        ("ssh://me@host:22/a@b/m3.zarr", "ssh://me@host:22/a@b/m3.zarr"),
        ("https://host:8080/m3.zarr@3f2a91c0", "https://host:8080/m3.zarr@3f2a91c0"),
        ("https://me:secret@host/m3.zarr@3f2a91c0: no", "https://host/m3.zarr@3f2a91c0: no"),
        ("https://a:b@c/d.zarr,ssh://u:p@h/x", "https://c/d.zarr,ssh://u@h/x"),
        ("['https://host: no', 'me@host']", "['https://host: no', 'me@host']"),
        ("abfs://c@account.dfs.core.windows.net/x", "abfs://c@account.dfs.core.windows.net/x"),
        ("az://c:secret@account/x", "az://c@account/x"),
        ("https://token@host/m3.zarr?sig=secret&x=1", "https://host/m3.zarr"),
        ("ssh://me:secret@host:22/m3.zarr", "ssh://me@host:22/m3.zarr"),
        ("s3://key:secret@team/m3.zarr", "s3://team/m3.zarr"),
        ("s3://team/m3.zarr@3f2a91c0", "s3://team/m3.zarr@3f2a91c0"),
        ("https://host/m3.zarr@3f2a91c0", "https://host/m3.zarr@3f2a91c0"),
        ("qdata pull https://a:b@c/d.zarr store --x=?", "qdata pull https://c/d.zarr store --x=?"),
    ],
)
def test_addresses_as_they_are_shown(address: str, shown: str) -> None:
    from qwell.errors import shown as public

    assert public(address) == shown


@pytest.mark.parametrize("protocol", ["s3", "http", "ssh"])
def test_a_silent_server_is_given_up(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times fifteen seconds at most; here of one each."""
    monkeypatch.setattr(places, "SILENCE", 1)
    kept = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(20)
        thread = threading.Thread(
            target=lambda: [kept.append(server.accept()) for _ in range(20)], daemon=True
        )
        thread.start()
        where = f"127.0.0.1:{server.getsockname()[1]}"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{where}")
        began = time.monotonic()
        with pytest.raises(TransferError):
            open_dataset(f"{protocol}://{'team' if protocol == 's3' else where}/m3.zarr")
        assert time.monotonic() - began < 20
        assert 1 <= len(kept) <= 3
        for connection, _ in kept:
            connection.close()
