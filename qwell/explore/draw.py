"""Draw: potentials by formula, kernel or row, and their levels, exact and by a network."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np

from qwell.errors import InvalidInput
from qwell.explore.asked import LARGEST, MOST_POINTS, Asked, integer, number, text, values
from qwell.explore.networks import network_of, predicted
from qwell.explore.opened import Opened
from qwell.physics.formula import Formula
from qwell.physics.grid import Grid
from qwell.physics.kernels import KERNELS, covariance
from qwell.physics.potentials import factor, rows
from qwell.physics.spectrum import eigenstates

MOST_LEVELS = 20
FINEST = 400  # intervals on which random potentials are drawn: their kernel's matrix is decomposed
Reply = tuple[dict[str, Any], dict[str, np.ndarray]]


def potential(opened: Opened, asked: Asked) -> Reply:
    """A potential (points,) by `formula`, `kernel`, or a row of a data set (`data`, `split`, `row`).

    Raises InvalidInput for what cannot be made, and as `qwell.open_dataset` does.
    """
    mesh = integer(asked, "mesh", 2, MOST_POINTS - 1, 100)
    if "formula" in asked:
        return {}, {
            "potential": by_formula(text(asked, "formula"), mesh, number(asked, "sigma", 0, LARGEST, 100))
        }
    if "kernel" in asked:
        sigma, length = number(asked, "sigma", 0.0, 1e6), number(asked, "length", 1e-3, 1e3)
        kernel, seed = text(asked, "kernel"), integer(asked, "seed", 0, 2**31)
        nu = number(asked, "nu", 0.1, 50, 1.5) if kernel == "matern" else None
        root = _root(kernel, min(mesh, FINEST), length, nu)
        return {}, {"potential": sigma * rows(root, seed, "train", 0, 1)[0]}
    data = opened.dataset(text(asked, "data")).require("spectra")
    part = data[text(asked, "split")]
    row = integer(asked, "row", 0, max(len(part) - 1, 0))
    return {}, {"potential": np.asarray(part["potential"][row])}


def by_formula(formula: str, mesh: int, sigma: float) -> np.ndarray:
    """V(x) on a mesh, (mesh + 1,), of a formula in x, sigma and pi; InvalidInput unless it is finite."""
    parsed = Formula(formula, ("x", "sigma", "pi"), "potential", "200*x**2 - sigma*exp(-30*x**2)")
    x = Grid(mesh).x
    found = np.broadcast_to(np.asarray(parsed(x=x, sigma=np.float64(sigma), pi=np.pi), dtype=float), x.shape)
    if not (np.abs(found) <= LARGEST).all():
        where = x[~(np.abs(found) <= LARGEST)][0]
        raise parsed.refused(f"it is not finite, or beyond {LARGEST:g}, at x = {where:g}")
    return np.array(found)


@lru_cache(maxsize=16)
def _root(kernel: str, mesh: int, length: float, nu: float | None) -> np.ndarray:
    """What makes potentials of σ = 1 out of normal numbers; InvalidInput for an unknown kernel."""
    if kernel not in KERNELS:
        raise InvalidInput(f"kernel is {kernel[:40]!r}; choose one of {', '.join(KERNELS)}")
    return factor(covariance(kernel, Grid(mesh), 1.0, length, nu))


def solve(opened: Opened, asked: Asked) -> Reply:
    """Levels and wave functions of a potential by scipy, and what a network says of it, if one is named.

    Arguments (of `asked`):
        potential: values from wall to wall, energy units ħ²/(m·length²).
        levels: how many, at most 20.
        network, coverage, certify: see `qwell.explore.networks.predicted`.

    Returns: `energy` (levels) and what `predicted` says under `network`; arrays `wave` (levels, points) with
    Σ_m ψ_i(m)² = 1, and `density`, `density_x` of the network.
    """
    v = values(asked, "potential")
    grid = Grid.of_points(len(v))
    levels = min(integer(asked, "levels", 1, MOST_LEVELS, 10), grid.mesh - 1)
    clock = time.perf_counter()
    energy, wave = eigenstates(v[None], grid, levels)
    head: dict[str, Any] = {"energy": energy[0].tolist(), "solved_in": time.perf_counter() - clock}
    arrays = {"wave": wave[0]}
    if name := text(asked, "network"):
        certify = number(asked, "certify", 1e-9, 1e6) if asked.get("certify") is not None else None
        clock = time.perf_counter()
        said, more = predicted(network_of(opened, name), v, number(asked, "coverage", 0, 1, 0.9), certify)
        head |= {"network": said, "predicted_in": time.perf_counter() - clock}
        arrays |= {"density": more["density"], "density_x": more["x"]}
    return head, arrays
