"""Who may not ask is refused, and what is asked for too much; nothing leads out of what was opened."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client import HOST, Client

from qwell.explore.guard import HEADERS, LARGEST_BODY
from qwell.explore.opened import Opened

RANDOM = {"height": 5, "width": 4, "length": 0.6, "seed": 1}
SOLVE = json.dumps({"potential": [0.0] * 11}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"token": ""}, {"token": "a-token-of-the-test"}, {"token": "ä"}, {"token": "a-token-of-the-tests "},
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"},
        {"origin": f"https://{HOST}"}, {"host": "evil.example:8899"}, {"host": "127.0.0.1"}, {"host": ""},
    ],
)  # fmt: skip
def test_others_are_refused(client: Client, changes: dict[str, str]) -> None:
    for method, path, body in (
        ("POST", "/api/solve", SOLVE),
        ("GET", "/", b""),
        ("OPTIONS", "/api/solve", b""),
    ):
        answered = client.request(path, body, method, **changes)
        assert answered.status == 403 and b"error" in answered.body, changes
        assert "access-control-allow-origin" not in answered.headers


def test_the_page_itself_may_ask(client: Client) -> None:
    assert client.request("/api/solve", SOLVE, origin=f"http://{HOST}").status == 200
    page = client.request("/", method="GET")
    assert page.status == 200 and b'data-server="yes"' in page.body
    for name, value in HEADERS.items():
        assert page.headers[name] == value
    assert "unsafe" not in HEADERS["content-security-policy"]


def test_questions_are_posted(client: Client) -> None:
    assert client.request("/api/solve", method="GET").status == 405
    assert client.request("/api/none", SOLVE).status == 404


@pytest.mark.parametrize(
    "path", ["/../app.py", "/..%2fapp.py", "/%2e%2e/guard.py", "/static/../app.py", "/app.py", "//etc/passwd"]
)
def test_no_file_but_the_pages_own(client: Client, path: str) -> None:
    assert client.request(path, method="GET").status == 404


def test_requests_have_an_end(client: Client) -> None:
    assert client.request("/api/solve", b" " * (LARGEST_BODY + 1)).status == 413
    assert client.request("/api/solve", [b" " * 2**16] * 9).status == 413
    assert client.request("/api/solve", SOLVE, **{"content-length": "x"}).status == 413


def test_sockets_are_closed(client: Client) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(client.app({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("name", "question", "said"),
    [
        ("solve", {"potential": [0.0] * 2002}, "2002 values"),
        ("solve", {"potential": [0.0, 1.0]}, "2 values"),
        ("solve", {"potential": "0" * 50}, "no list"),
        ("solve", {"potential": [0.0, None, 1.0, 2.0]}, "no number"),
        ("solve", {"potential": [[0.0]] * 5}, "no number"),
        ("solve", {"potential": [0.0, 1e300, 0.0]}, "beyond"),
        ("solve", {"potential": [0.0, float("nan"), 0.0]}, "no number"),
        ("solve", {"potential": [True] * 5}, "no number"),
        ("solve", {"potential": [0.0] * 11, "levels": 10**9}, "levels is"),
        ("solve", {"potential": [0.0] * 11, "levels": 1.5}, "whole number"),
        ("solve", {"potential": [0.0] * 11, "network": "/etc/passwd"}, "unknown network"),
        ("solve", {"potential": [0.0] * 11, "network": "s3://team/models/x"}, "unknown network"),
        ("solve", {"potential": [0.0] * 11, "network": "emulator-gru"}, "unknown network"),
        ("solve", {"potential": [0.0] * 101, "network": "hamiltonian-m3", "coverage": 0.77}, "coverage"),
        ("solve", {"potential": [0.0] * 101, "network": "hamiltonian-m3", "certify": -1}, "certify"),
        ("potential", {"formula": "9**9**9**9"}, "not finite"),
        ("potential", {"formula": "exp(exp(exp(x*100)))"}, "not finite"),
        ("potential", {"formula": "__import__('os').system('true')"}, "not allowed"),
        ("potential", {"formula": "x.__class__"}, "not allowed"),
        ("potential", {"formula": "(" * 300}, "cannot be read"),
        ("potential", {"formula": "x" * 301}, "at most 300"),
        ("potential", {"formula": "-" * 299 + "x", "mesh": 10**9}, "mesh is"),
        ("potential", {"formula": 7}, "no text"),
        ("potential", {"kernel": "os", "sigma": 1, "length": 1, "seed": 0}, "kernel is"),
        ("potential", {"kernel": "rbf", "sigma": 1, "length": 0, "seed": 0}, "length is"),
        ("potential", {"data": "store/../store/m3.zarr", "split": "train", "row": 0}, "unknown data set"),
        ("row", {"data": "/etc", "split": "train", "row": 0}, "unknown data set"),
        ("row", {"data": "s3://other/x", "split": "train", "row": 0}, "unknown data set"),
        ("row", {"data": "store/m3.zarr", "split": "../train", "row": 0}, "unknown split"),
        ("row", {"data": "store/m3.zarr", "split": "train", "row": 40}, "row is"),
        ("row", {"data": "store/m3.zarr", "split": "train", "row": -1}, "row is"),
        ("histogram", {"data": "store/cells.zarr", "split": "train"}, "holds densities"),
        ("barrier", {"shape": "values", "numbers": {"values": [1]}}, "impossible"),
        ("barrier", {"shape": "rectangle", "numbers": {"height": "x", "width": 1}}, "finite numbers"),
        ("barrier", {"shape": "rectangle", "numbers": {"height": [], "width": 1}}, "one number"),
        ("barrier", {"shape": "rectangle", "numbers": {"height": 1, "width": [1]}}, "one number"),
        ("barrier", {"shape": "steps", "numbers": {"edges": 1, "heights": []}}, "a list of numbers"),
        ("barrier", {"shape": "rectangle", "numbers": {"height": 1e300, "width": 1}}, "beyond 100 hartree"),
        ("barrier", {"shape": "random", "numbers": RANDOM | {"width": 1e8}}, "below the width"),
        ("barrier", {"shape": "random", "numbers": RANDOM | {"length": 1e-300}}, "below the width"),
        ("barrier", {"shape": "random", "numbers": RANDOM | {"seed": -1}}, "whole number"),
        ("barrier", {"shape": "random", "numbers": RANDOM | {"seed": 1.5}}, "whole number"),
        ("barrier", {"formula": "1/(x-50)"}, "beyond 100 hartree"),
        ("play", {"potential": [0.0] * 1023, "x0": 1, "s0": 1, "e0": 1}, "1023 values"),
        ("play", {"potential": [1e3] * 1024, "x0": 1, "s0": 1, "e0": 1}, "beyond 100 hartree"),
        ("play", {"potential": [0.0] * 1024, "x0": 1, "s0": 1, "e0": 1, "frames": 10**6}, "frames is"),
        ("play", {"potential": [0.0] * 1024, "x0": 1, "s0": 1, "e0": 1e6}, "momenta beyond"),
        ("play", {"potential": [0.0] * 1024, "x0": 1, "s0": 1, "e0": 1, "emulator": "../x"}, "unknown net"),
        ("run", {"run": "runs/../runs/mlp"}, "unknown run"),
        ("figure", {"run": "runs/mlp", "figure": "../config.json"}, "unknown figure"),
    ],
)  # fmt: skip
def test_what_is_asked_is_checked(client: Client, name: str, question: dict[str, Any], said: str) -> None:
    assert said in client.refused(name, **question)


@pytest.mark.parametrize("body", [b"[1]", b"nothing", b"\xff\xfe", b"[" * 100_000, b'{"potential": 1e999}'])
def test_bodies_that_are_no_questions(client: Client, body: bytes) -> None:
    (message,) = client.request("/api/solve", body).messages
    assert message[0]["error"]


def test_links_in_a_run_lead_nowhere(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs/linked"
    run.mkdir(parents=True)
    (run / "config.json").write_bytes((home / "runs/mlp/config.json").read_bytes())
    (tmp_path / "secret.png").write_bytes(b"secret")
    (run / "figures").mkdir()
    (run / "figures/link.png").symlink_to(tmp_path / "secret.png")
    monkeypatch.chdir(tmp_path)
    client = Client(Opened((), ("runs",)))
    assert client.ask("run", run="runs/linked")[0]["figures"] == []
    assert "unknown figure" in client.refused("figure", run="runs/linked", figure="link.png")
    (run / "report.md").symlink_to(tmp_path / "secret.png")
    assert client.ask("run", run="runs/linked")[0]["report"] == ""


def test_a_data_set_that_is_replaced_is_opened_anew(client: Client, tmp_path: Path) -> None:
    from support import run

    def make(seed: int) -> None:
        made = ("--n", 5, "--validation", 2, "--workers", 0, "--seed", seed, "--out", "one.zarr", "--force")
        run("qdata", "generate", "--kernel", "rbf", *made, cwd=tmp_path)

    make(1)
    other = Client(Opened((str(tmp_path / "one.zarr"),)))
    asked = {"data": str(tmp_path / "one.zarr"), "split": "train", "row": 0}
    before = other.ask("row", **asked)[1]["potential"]
    make(2)
    assert "was replaced" in other.refused("row", **asked)
    assert not np.array_equal(other.ask("row", **asked)[1]["potential"], before)
