"""What an update costs, and what our loop adds to it.

    python benchmarks/step.py [--updates 60] [--device auto]

`bare` is forward, backward and Adam on one fixed batch in three plain lines. `loop` is `qwell.train.loop`
with its stream, schedule, logging and checkpoints. The two take turns, so that a drift of the machine
hits both. On a GPU, eager, compiled and graph steps are measured too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import report
from torch import nn

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.models.registry import create_model
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.train.config import EigenConfig, known
from qwell.train.devices import choose_device
from qwell.train.eigen import begin
from qwell.train.eigen_steps import make_optimizer, make_step
from qwell.train.loop import train
from qwell.train.stream import open_stream
from qwell.train.team import Team

BATCH = 100  # potentials an update, as in the spectra paper


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bare(
    data: Dataset, model_name: str, device: torch.device, updates: int, compiled: bool = False
) -> list[float]:
    """Seconds of each bare update on a fixed batch."""
    model = create_model(model_name).to(device)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    forward = torch.compile(model) if compiled else model
    v, e = next(open_stream(data, batch=BATCH, device=device))
    v, e = v.clone(), e.clone() / 100
    times = []
    for _ in range(updates + 5):
        synchronise(device)
        clock = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.mse_loss(forward(v) / 100, e).backward()
        optimizer.step()
        synchronise(device)
        times.append(time.perf_counter() - clock)
    return times[5:]


def looped(data: Dataset, model_name: str, device: torch.device, updates: int) -> list[float]:
    """Seconds between the ends of successive updates of the training loop."""
    ends: list[float] = []
    model = create_model(model_name).to(device)
    with tempfile.TemporaryDirectory() as scratch:
        asked = EigenConfig(
            str(data.path),
            data.digest,
            model=model_name,
            updates=updates + 5,
            batch=BATCH,
            evaluate_every=10**6,
            log_every=10,
        )
        run = begin(asked, Path(scratch) / "run", data)
        config = EigenConfig.from_json(run.config)
        optimizer = make_optimizer(model, known(config.first_rate))
        step = make_step(model, optimizer)

        def timed(v: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
            loss = step(v, e)
            synchronise(device)
            ends.append(time.perf_counter())
            return loss

        stream = open_stream(data, batch=BATCH, device=device)
        train(
            model, optimizer, timed, stream, config, run,
            describe=lambda loss: {}, evaluate=dict, team=Team(),
        )  # fmt: skip
    return list(np.diff(ends)[4:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    rows: dict[str, object] = {
        "device": str(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "m3.zarr"
        generate(SpectraRecipe("m3", n=20_000, validation=0, solver="lanes"), path)
        data = open_dataset(path)
        for model in ("res_sa", "mlp"):
            ours, theirs = [], []
            for _ in range(4):
                theirs += bare(data, model, device, options.updates // 4)
                ours += looped(data, model, device, options.updates // 4)
            rows[f"{model}: bare step [ms]"] = float(np.median(theirs)) * 1e3
            rows[f"{model}: step in the loop [ms]"] = float(np.median(ours)) * 1e3
            rows[f"{model}: loop / bare (at most 1.05)"] = float(np.median(ours) / np.median(theirs))
        try:
            compiled = bare(data, "res_sa", device, options.updates // 2, compiled=True)
            rows["res_sa: bare step, torch.compile [ms]"] = float(np.median(compiled)) * 1e3
        except Exception as error:  # no C++ compiler
            rows["res_sa: bare step, torch.compile [ms]"] = f"not available ({type(error).__name__})"
    report(f"step-{device.type}", f"python benchmarks/step.py --updates {options.updates}", rows)


if __name__ == "__main__":
    main()
