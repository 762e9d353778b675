"""How fast emulators predict 400 frames of 1,024 points on one core, beside the simulators they emulate.

    python benchmarks/rollout.py

Weights do not matter for time; the emulators are those that come with the package where there are some.
`error` is the largest |ψ − ψ_exact| over 400 frames of the first rectangular test case. The target for
the recurrent network is 1.2 s.

The second part takes 16 cases together and alone, frames delivered on 1,024 points: the learned phases of
`emulator-unitary`, a split step (Strang) with as many phases on the same mesh, and Chebyshev's expansion in
float32 with a tolerance of 1e-2. C is the mean over 400 frames of the paper's 37 test cases. Target: 1 - C at
most 1e-4 in at most .75 of Chebyshev's time a frame and case.
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
from qwell.models.propagating import UnitaryEmulator
from qwell.models.registry import create_model, load_pretrained, pretrained
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.physics.waves import as_complex
from qwell.studies.league.emulators import Strang
from qwell.train.metrics import waves_compared
from qwell.train.rollout import history_of, predict_frames, rollout

FRAMES = 400
V_SCALE = 14.0
TOGETHER = 16  # cases
SETS = ("rect", "shaped", "free")


def on_the_ring(rows: dict[str, float]) -> None:
    """Microseconds a frame and case of what advances whole rings, and C over the paper's cases."""
    cheap = {"hamiltonian": "lattice", "frames": FRAMES, "precision": "float32", "tolerance": 1e-2}
    chebyshev = Propagation("chebyshev", **cheap)
    exact = Propagation("eigen", "lattice", frames=FRAMES)
    waves, potentials, truths = [], [], []
    for name in SETS:
        recipe = preset(f"paper-tests-{name}")
        for i in range(recipe.rows_by_split["test"]):
            psi, v = recipe.beginning("test", i)
            waves.append(psi)
            potentials.append(v)
            truths.append(propagate(psi, v, recipe.ring, exact)[0])
    psi, v = np.stack(waves), np.stack(potentials)
    truth = np.stack(truths).astype(np.float32)
    learned = load_pretrained("emulator-unitary")
    assert isinstance(learned, UnitaryEmulator)
    coarse = Strang(Ring(), exact, learned.mesh, learned.config.layers, V_SCALE).eval()
    programs = {"emulator-unitary": learned, "Strang": coarse}
    microseconds: dict[tuple[str, int], float] = {}
    for _ in range(7):  # side by side
        for cases in (TOGETHER, 1):
            some = truth[:cases, :1], (v[:cases] / V_SCALE).astype(np.float32)
            calls = {n: lambda m=m: rollout(m, *some, FRAMES) for n, m in programs.items()}  # noqa: B023
            calls["chebyshev"] = lambda: propagate(psi[:cases], v[:cases], Ring(), chebyshev)  # noqa: B023
            for name, call in calls.items():
                spent = 1e6 * best(call, 1)[0] / FRAMES / cases
                microseconds[name, cases] = min(spent, microseconds.get((name, cases), np.inf))
    made = as_complex(propagate(psi, v, Ring(), chebyshev)[:, 1:], np.complex64)
    pairs = {name: predict_frames(model, V_SCALE, truth, v, FRAMES) for name, model in programs.items()}
    pairs["chebyshev"] = made, as_complex(truth[:, 1:], np.complex64)
    for name, pair in pairs.items():
        c = waves_compared(*pair).correlation.mean(axis=1)
        mesh = (
            f", {learned.mesh} points, {learned.config.layers} layers"
            if name in programs
            else ", float32, 1e-2"
        )
        rows[f"{name}{mesh}: mean 1 - C over {len(c)} cases"] = float(1 - c.mean())
        rows[f"{name}{mesh}: largest 1 - C of a case"] = float(1 - c.min())
        for cases in (TOGETHER, 1):
            rows[f"{name}{mesh}: us a frame and case, {cases} together"] = microseconds[name, cases]
    fastest = min(microseconds["chebyshev", cases] for cases in (TOGETHER, 1))
    target = " (target .75)"
    rows[f"emulator-unitary, {TOGETHER} together / chebyshev at its fastest{target}"] = (
        microseconds["emulator-unitary", TOGETHER] / fastest
    )


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
        seed, scaled = exact[:, :history], v[None] / V_SCALE
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
    on_the_ring(rows)
    report("rollout", "python benchmarks/rollout.py", rows)


if __name__ == "__main__":
    main()
