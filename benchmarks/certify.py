"""Certified levels: false certificates in ten million checks, what they cost, and how many a network earns.

    python benchmarks/certify.py

The truth is an interval of each level that is proven by Sturm counts in 80-bit floating point (numpy's
longdouble, where it has 64 bits), 2,000 times as narrow as rounding is in float64. Checks put f at the very
edge, E ± δ(1 ± η) and E ± (δ ± k roundings). They are made once more without the margins for rounding, to see
that these are needed. Times are CPU times of the process, the least of 15 calls, solving and proving in turn.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
from common import report

from qwell import load_model
from qwell.physics import certify, kernels, potentials
from qwell.physics.certify import certified, enclosures, smallest_delta
from qwell.physics.grid import Grid
from qwell.physics.spectrum import eigenvalues
from qwell.train.eigen import predict

LEVELS = 10
DELTA = 0.05
DELTAS = (DELTA, 1e-6, 1e-10)
ETAS = (-1e-3, -1e-6, -1e-9, -1e-12, 0.0, 1e-12, 1e-9)
ROUNDINGS = (-32, -16, -12, -8, -4, -2, -1, 1, 2)  # times u(max|a| + b + |E|)
EACH = 660  # potentials of a family
LONG = np.longdouble
WHAT = (
    "checks", "certified", "false (0)", "certified, undecided by the truth", "true beyond rounding, refused",
    "false without margins",
)  # fmt: skip


def drawn(kernel: str, sigma: float, n: int, grid: Grid, split: str = "validation") -> np.ndarray:
    root = potentials.factor(kernels.covariance(kernel, grid, sigma, 0.2))
    return potentials.rows(root, 0, split, 0, n).astype(np.float32)


def wells(n: int, grid: Grid) -> np.ndarray:
    """Symmetric double wells, of splittings from about 1 down to what no float64 can hold."""
    rng = np.random.default_rng(1)
    height, width = 10 ** rng.uniform(1, 4, (n, 1)), rng.uniform(0.2, 0.6, (n, 1))
    return (height * (np.abs(grid.x) < width) + rng.uniform(0, 100, (n, 1)) * grid.x**2).astype(np.float32)


def families(grid: Grid) -> dict[str, np.ndarray]:
    spikes = np.random.default_rng(2).normal(scale=1e8, size=(EACH, grid.mesh + 1))
    return {
        **{f"{k}, σ = {s:g}": drawn(k, s, EACH, grid) for s in (1e2, 1e4) for k in ("rbf", "m3", "exp")},
        "symmetric double wells": wells(EACH, grid),
        "independent values, σ = 1e8": spikes,
    }


def long_count(inner: np.ndarray, b: float, shift: np.ndarray) -> np.ndarray:
    """Negative pivots of H − s, (n, levels), in longdouble."""
    q, count = np.full(shift.shape, np.inf, LONG), np.zeros(shift.shape, int)
    for column in inner.T:
        q = (column[:, None] + 2 * b - shift) - b * b / q
        q[np.abs(q) < 1e-300] = -1e-300
        count += q < 0
    return count


def truth(v: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Proven low and high of each level, (n, levels) longdouble."""
    inner, b, level = v[:, 1:-1].astype(LONG), grid.mesh**2 / 8, np.arange(LEVELS)
    low, high = (one.astype(LONG) for one in enclosures(v, grid, LEVELS))
    size = np.abs(inner + 2 * b).max(axis=1, keepdims=True) + b
    unit = LONG(2) ** -64

    def rounding(s: np.ndarray) -> np.ndarray:
        return 4 * unit * (size + np.abs(s))

    for _ in range(16):
        middle = (low + high) / 2
        above = long_count(inner, b, middle) > level
        high = np.where(above, np.minimum(high, middle + rounding(middle)), high)
        low = np.where(above, low, np.maximum(low, middle - rounding(middle)))
    assert (long_count(inner, b, low - 2 * rounding(low)) <= level).all()  # of the float64 enclosures, too
    assert (long_count(inner, b, high + 2 * rounding(high)) > level).all()
    return low, high


def edges(base: np.ndarray, delta: float, unit: np.ndarray) -> Iterator[np.ndarray]:
    """Energies f at a distance of about δ from levels (n, levels), on both sides."""
    for sign in (-1, 1):
        yield from ((base + sign * delta * (1 + eta)).astype(float) for eta in ETAS)
        yield from ((base + sign * (delta + k * unit)).astype(float) for k in ROUNDINGS)


def checked(v: np.ndarray, grid: Grid) -> dict[str, int]:
    """Certificates of energies at the edge, of level i and of the one above, counted against the truth."""
    low, high = truth(v, grid)
    size = np.abs(v[:, 1:-1] + grid.mesh**2 / 4).max(axis=1, keepdims=True) + grid.mesh**2 / 8
    unit = 2.0**-53 * (size + np.abs(low))
    found = dict.fromkeys(WHAT, 0)
    for base, delta in itertools.product((low, np.roll(low, -1, axis=1)), DELTAS):
        for f in edges(base, delta, unit):
            proven = certified(v, grid, f, delta)
            with patch.object(certify, "U", 0.0):
                bare = certified(v, grid, f, delta)
            farthest, nearest = np.maximum(high - f, f - low), np.maximum(low - f, f - high)
            margin = 16 * 2.0**-53 * (size + np.abs(f) + delta)
            refused = ~proven & (farthest <= delta - margin)
            undecided = proven & (nearest <= delta) & (farthest > delta)
            false, false_bare = proven & (nearest > delta), bare & (nearest > delta)
            for what, one in zip(
                WHAT, (proven | True, proven, false, undecided, refused, false_bare), strict=True
            ):
                found[what] += int(one.sum())
    return found


def least_cpu(*works: Callable[[], Any]) -> list[float]:
    """The least CPU seconds of each, called in turn."""
    for work in works:
        work()
    least = [np.inf] * len(works)
    for _ in range(15):
        for k, work in enumerate(works):
            clock = time.process_time()
            work()
            least[k] = min(least[k], time.process_time() - clock)
    return least


def cost(v: np.ndarray, grid: Grid, name: str) -> dict[str, float]:
    """µs a potential of solving, proving and finding the smallest δ, and the ratios."""
    energy = eigenvalues(v, grid, LEVELS, "lanes") + 0.01
    solve, prove, smallest = least_cpu(
        lambda: eigenvalues(v, grid, LEVELS, "lanes"),
        lambda: certified(v, grid, energy, DELTA),
        lambda: smallest_delta(v, grid, energy),
    )
    rows = {"solving by lanes": solve, f"certifying at δ = {DELTA}": prove, "smallest δ": smallest}
    found = {f"{name}: {what}, µs a potential": s / len(v) * 1e6 for what, s in rows.items()}
    found[f"{name}: certifying by solving (at most 3)"] = prove / solve
    found[f"{name}: smallest δ by solving"] = smallest / solve
    return found


def main() -> None:
    grid, rows = Grid(), dict[str, Any]()
    total: dict[str, int] = {}
    for name, v in families(grid).items():
        for what, count in checked(v, grid).items():
            total[what] = total.get(what, 0) + count
            if "false" in what or what == "certified":
                rows[f"at the edge, {EACH:,} potentials, {name}: {what}"] = count
    rows = {f"at the edge, all: {what}": count for what, count in total.items()} | rows
    model = load_model("hamiltonian-rbf")
    for kernel in ("rbf", "m3", "exp"):
        v = drawn(kernel, 100.0, 10_000, grid)
        energy, exact = predict(model, v), eigenvalues(v, grid, LEVELS)
        proven, name = (
            certified(v, grid, energy, DELTA),
            f"hamiltonian-rbf on 10,000 of {kernel}, δ = {DELTA}",
        )
        rows[f"{name}: share certified"] = float(proven.mean())
        rows[f"{name}: share true"] = float((np.abs(energy - exact) <= DELTA).mean())
    for mesh, n in ((100, 2560), (400, 640), (1600, 192)):
        fine = Grid(mesh)
        for kernel in ("rbf", "m3", "exp") if mesh == 100 else ("m3",):
            name = f"{n:,} of {kernel}, mesh {mesh}, {LEVELS} levels"
            rows |= cost(drawn(kernel, 100.0, n, fine), fine, name)
    report("certify", "python benchmarks/certify.py", rows)


if __name__ == "__main__":
    main()
