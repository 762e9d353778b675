"""Two processes with gloo learn what one process learns from the same batches."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support import run

from qwell.errors import InvalidInput
from qwell.store.dataset import Dataset
from qwell.train.runs import Run, load_model
from qwell.train.stream import open_stream

OPTIONS = ["--model", "mlp", "--set", "hidden=[64]", "--batch", "50", "--updates", "200", "--log-every", "1"]


def environment(home: Path) -> dict[str, str]:
    """A bare one, that finds the code under test."""
    return {
        "PATH": "/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
        "HOME": str(home),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }


def torchrun(
    world: int, arguments: list[str], folder: Path, **options: object
) -> subprocess.CompletedProcess[str]:
    """`torchrun … qtrain eigen` as a user types it; world 1 is the plain command."""
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"] if world > 1 else []
    )
    command = [sys.executable, *launcher, "-m", "qwell.cli.qtrain", "eigen", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False, timeout=240
    )


def losses(run: Path) -> np.ndarray:
    return np.array([row["loss"] for row in Run(run).metrics()])


def train(dataset: Dataset, folder: Path, world: int, *extra: str) -> Path:
    path = folder / f"run-{world}"
    done = torchrun(world, ["--data", str(dataset.path), *OPTIONS, *extra, "--out", str(path)], folder)
    assert done.returncode == 0, done.stderr
    return path


def test_torchrun_does_what_one_process_does(dataset: Dataset, tmp_path: Path) -> None:
    """The first updates of the curves below."""
    few = ("--updates", "15", "--evaluate-every", "15")
    two = train(dataset, tmp_path, 2, *few)
    run("qtrain", "eigen", "--data", dataset.path, *OPTIONS, *few, "--out", "one", cwd=tmp_path)
    assert len(losses(two)) == 15
    np.testing.assert_allclose(losses(two), losses(tmp_path / "one"), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("stream", "precision"), [("resident", "float32"), ("pool", "float64")])
def test_two_processes_give_the_loss_curve_of_one(
    dataset: Dataset, tmp_path: Path, stream: str, precision: str
) -> None:
    extra = ["--precision", precision, "--stream", stream]
    one, two = (train(dataset, tmp_path, world, *extra) for world in (1, 2))
    assert len(losses(one)) == 200
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-6)
    x = dataset["validation"]["potential"][:5]
    import torch

    a, b = (load_model(run)(torch.from_numpy(x)).detach().numpy() for run in (one, two))
    np.testing.assert_allclose(a, b, rtol=1e-4)
    assert json.loads((two / "evaluation.json").read_text())["split"] == "validation"


@pytest.mark.slow
def test_begun_by_two_and_ended_by_one(dataset: Dataset, tmp_path: Path) -> None:
    """SIGTERM to torchrun stops all ranks at one update; one process resumes in the middle of the epoch."""
    arguments = ["--data", str(dataset.path), "--model", "mlp", "--set", "hidden=[64]", "--batch", "50"]
    arguments += [
        "--updates",
        "2000",
        "--log-every",
        "20",
        "--evaluate-every",
        "500",
        "--precision",
        "float64",
    ]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert torchrun(1, [*arguments, "--out", str(whole)], tmp_path).returncode == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "qwell.cli.qtrain", "eigen", *arguments, "--out", str(run)]
    process = subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (run / "metrics.jsonl").exists() or len(Run(run).metrics()) < 5:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.terminate()
    said = "".join(process.communicate(timeout=120))
    reached = Run(run).metrics()[-1]["update"]
    assert 100 <= reached < 2000 and "--resume" in said, said
    assert torchrun(1, ["--resume", str(run)], tmp_path).returncode == 0
    np.testing.assert_allclose(losses(run), losses(whole), rtol=1e-6)


def test_a_batch_that_cannot_be_shared(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="multiple of the 3 processes"):
        open_stream(dataset, batch=50, world=3)
