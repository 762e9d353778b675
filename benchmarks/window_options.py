"""What the options of emulators that see windows are worth over 60, 200 and 400 frames, at equal cost.

    python benchmarks/window_options.py [--updates 40000] [--seeds 1]

The recurrent network learns from `qdata simulate --preset demo` (81 simulations) by a cosine from 3e-3, 128
windows an update, one thread, and predicts the 11 rectangular test cases. Every row has the CPU seconds of
its training. "norm kept" brings every predicted frame to the norm of the last true one.
"""

# ruff: noqa: E402  (threads must be limited before numpy is loaded)
from __future__ import annotations

import argparse
import os
import tempfile
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from pathlib import Path
from typing import Any

import numpy as np
from common import report

from qwell import load_model
from qwell.datagen.pipeline import generate
from qwell.datagen.presets import preset
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.store.windows import Curriculum
from qwell.train.config import DynamicsConfig
from qwell.train.dynamics import begin, train_dynamics
from qwell.train.metrics import waves_compared
from qwell.train.rollout import predict_frames

VARIANTS: dict[str, dict[str, Any]] = {
    "as the paper's": {},
    "normalised": {"options": {"normalised": True}},
    "noise 1e-3": {"noise": 1e-3},
    "normalised, noise 3e-4": {"options": {"normalised": True}, "noise": 3e-4},
    "normalised, noise 3e-3": {"options": {"normalised": True}, "noise": 3e-3},
    "normalised, noise 3e-3, ema .999": {"options": {"normalised": True}, "noise": 3e-3, "ema": 0.999},
}
HORIZONS = (60, 200, 400)


def judged(model: Any, tests: Dataset, v_scale: float, keep_norm: bool) -> dict[str, float]:
    """MAE of parts and C over the first frames of all test cases."""
    psi, potential = tests["test"]["psi"][:], tests["test"]["potential"][:]
    compared = waves_compared(*predict_frames(model, v_scale, psi, potential, max(HORIZONS), keep_norm))
    kept = ", norm kept" if keep_norm else ""
    found = {}
    for n in HORIZONS:
        found[f"{n} frames{kept}: MAE of parts"] = float(
            np.nan_to_num(compared.mae_parts[:, :n], nan=np.inf).mean()
        )
        found[f"{n} frames{kept}: C"] = float(np.nan_to_num(compared.correlation[:, :n]).mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=40_000)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    rows: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("demo", "paper-tests-rect"):
            generate(preset(name), Path(folder) / f"{name}.zarr", workers=0)
        data, tests = (open_dataset(Path(folder) / f"{n}.zarr") for n in ("demo", "paper-tests-rect"))
        v_scale = Curriculum.of(data).v_scale
        for name, changed in VARIANTS.items():
            for seed in range(options.seeds):
                recipe = DynamicsConfig(
                    data=str(data.path), digest=data.digest, updates=options.updates, first_rate=3e-3,
                    schedule="cosine", threads=1, seed=seed, rollout=1, **changed,
                )  # fmt: skip
                run = begin(recipe, Path(folder) / f"{name}-{seed}".replace(" ", "-"), data)
                clock = time.process_time()
                train_dynamics(run, device="cpu", data=data)
                label = f"{name}, seed {seed}, {options.updates:,} updates"
                rows[f"{label}: CPU s"] = time.process_time() - clock
                model = load_model(run.path)
                for keep_norm in (False, True):
                    for key, value in judged(model, tests, v_scale, keep_norm).items():
                        rows[f"{label}: {key}"] = value
                report(
                    "window-options",
                    " ".join(
                        (
                            "python benchmarks/window_options.py",
                            f"--updates {options.updates}",
                            f"--seeds {options.seeds}",
                        )
                    ),
                    rows,
                )


if __name__ == "__main__":
    main()
