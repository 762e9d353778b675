"""How fast emulators predict 400 frames of 1,024 points on one core, beside the simulators they emulate.

    python benchmarks/rollout.py

Weights do not matter for time; the emulators are those that come with the package where there are some.
`error` is the largest |ψ − ψ_exact| over 400 frames of the first rectangular test case. The target for
the recurrent network is 1.2 s.
"""

# ruff: noqa: E402  (threads must be limited before numpy is loaded)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"


import numpy as np
import torch
from common import best, report

from qwell.datagen.presets import preset
from qwell.models.registry import create_model, load_pretrained, pretrained
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation
from qwell.train.rollout import history_of, rollout

FRAMES = 400


def main() -> None:
    torch.set_num_threads(1)
    recipe = preset("paper-tests-rect")
    psi, v = recipe.beginning("test", 0)
    exact = propagate(psi, v, recipe.ring, Propagation("eigen", "lattice", frames=FRAMES + 4))
    rows: dict[str, float] = {}
    for name in ("gru", "dense", "conv", "linear", "unitary"):
        kept = f"emulator-{name}"
        model = load_pretrained(kept) if kept in pretrained() else create_model(f"emulator_{name}").eval()
        history = history_of(model)
        seed, scaled = exact[:, :history], v[None] / 14
        for fused in (True, False) if name == "gru" else (True,):
            seconds, found = best(lambda: rollout(model, seed, scaled, FRAMES, fused), 2)  # noqa: B023
            how = "" if fused else ", plain"
            rows[f"{name}{how}: ms a frame"] = 1e3 * seconds / FRAMES
            rows[
                f"{name}{how}: s for {FRAMES} frames" + (" (target 1.2)" if name == "gru" and fused else "")
            ] = seconds
            if kept in pretrained():
                difference = (found - exact[:, history : history + FRAMES]).view(complex)
                rows[f"{name}{how}: error"] = float(np.abs(difference).max())
    for tolerance in (1e-2, 1e-6):
        how = Propagation("chebyshev", "lattice", frames=FRAMES, precision="float32", tolerance=tolerance)
        seconds, made = best(lambda: propagate(psi, v, recipe.ring, how), 5)  # noqa: B023
        difference = (made.astype(float) - exact[:, : FRAMES + 1]).view(complex)
        rows[f"chebyshev, float32, tolerance {tolerance:g}: ms a frame"] = 1e3 * seconds / FRAMES
        rows[f"chebyshev, float32, tolerance {tolerance:g}: error"] = float(np.abs(difference).max())
    report("rollout", "python benchmarks/rollout.py", rows)


if __name__ == "__main__":
    main()
