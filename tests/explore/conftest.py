"""A store with a data set of each kind, and a run, made once a process; and a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Client
from support import run

from qwell.explore.opened import Opened

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with store/ and runs/."""
    home = tmp_path_factory.mktemp("explored")
    small = ("--n", 40, "--validation", 20, "--workers", 0)
    run("qdata", "generate", "--kernel", "m3", *small, "--densities", "--out", "store/m3.zarr", cwd=home)
    run("qdata", "densities", *small, "--out", "store/cells.zarr", cwd=home)
    simulated = ("--hb", 3, "--points", 256, "--e0", "1,2", "--frames", 20, "--workers", 0, "--split", "test")
    run("qdata", "simulate", *simulated, "--out", "store/packets.zarr", cwd=home)
    trained = ("--model", "mlp", "--batch", 20, "--updates", 20, "--evaluate-every", 10, "--out", "runs/mlp")
    run("qtrain", "eigen", "--data", "store/m3.zarr", *trained, cwd=home)
    return home


@pytest.fixture
def client(home: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Asks an explorer of that store and these runs."""
    monkeypatch.chdir(home)
    return Client(Opened(("store",), ("runs",)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()
