"""A store with a data set of each kind, and a run, made once a process."""

from pathlib import Path

import pytest
from client import Client
from support import run

from qwell.explore.opened import Opened


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
