"""Do intervals of the shipped networks cover as often as they say, and which potentials are marked?

    python benchmarks/intervals.py [--fresh 50000] [--shifted 5000]

Fresh potentials are of each network's own law, with a seed that nothing was trained or calibrated on; shifted
ones are of other kernels, standard deviations and lengths. Energies by lanes. `covered` is the least and the
largest share over the ten levels, of the potentials that are not marked.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from common import report

from qwell.models.registry import list_models
from qwell.physics import kernels, potentials, spectrum
from qwell.physics.grid import Grid
from qwell.train.calibration import COVERAGE, UNLIKE, calibration_in
from qwell.train.eigen import predict
from qwell.train.runs import load_model, trained_on

SEED = 20_26
GRID, LEVELS, LENGTH = Grid(100), 10, 0.2
KERNELS = ("rbf", "m5", "m3", "exp")
SIGMAS = (50.0, 100.0, 200.0, 1000.0)
LENGTHS = (0.1, 0.2, 0.4)


def laws(own: str) -> dict[str, tuple[str, float, float]]:
    """Name → kernel, σ and length of shifted laws, one thing changed at a time."""
    found = {f"kernel {kernel}": (kernel, 100.0, LENGTH) for kernel in KERNELS if kernel != own}
    found |= {f"sigma {sigma:g}": (own, sigma, LENGTH) for sigma in SIGMAS if sigma != 100}
    return found | {f"length {length:g}": (own, 100.0, length) for length in LENGTHS if length != LENGTH}


def drawn(kernel: str, sigma: float, length: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Potentials of a law, and their energies."""
    root = potentials.factor(kernels.covariance(kernel, GRID, sigma, length))
    blocks = (potentials.rows(root, SEED, "test", a, min(a + 1000, n)) for a in range(0, n, 1000))
    v = np.concatenate(list(blocks)).astype(np.float32)
    return v, spectrum.eigenvalues(v, GRID, LEVELS, "lanes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", type=int, default=50_000)
    parser.add_argument("--shifted", type=int, default=5000)
    options = parser.parse_args()
    rows: dict[str, Any] = {"coverage": COVERAGE, "marked below p": UNLIKE}
    for name in list_models(task="spectra", pretrained=True):
        model, about = load_model(name), trained_on(name)
        calibration = calibration_in(about, model.config.points, model.config.levels)
        assert calibration is not None
        own = about["recipe"]["kernel"]
        fresh = {f"its own law, {options.fresh:,}": (own, 100.0, LENGTH)}
        for law, settings in {**fresh, **laws(own)}.items():
            v, exact = drawn(*settings, options.fresh if law in fresh else options.shifted)
            found = predict(model, v)
            error, half = np.abs(found - exact), calibration.half_widths(v, found)
            like = calibration.p_values(v) >= UNLIKE
            rows[f"{name}, {law}: marked"] = float(1 - like.mean())
            if like.any():
                shares = (error <= half)[like].mean(axis=0)
                rows[f"{name}, {law}: covered, least level"] = float(shares.min())
                rows[f"{name}, {law}: covered, largest level"] = float(shares.max())
            rows[f"{name}, {law}: median half width"] = float(np.median(half))
            rows[f"{name}, {law}: median error"] = float(np.median(error))
    command = f"python benchmarks/intervals.py --fresh {options.fresh} --shifted {options.shifted}"
    report("intervals", command, rows)


if __name__ == "__main__":
    main()
