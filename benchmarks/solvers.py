"""Ten lowest energies of a potential: our batched solver beside calls of scipy and JAX, on one thread.

    python benchmarks/solvers.py [--potentials 2000]

CPU microseconds a potential, the least of some repetitions; the same potentials for all (kernels m3, mesh M).
JAX's `eigh_tridiagonal` is compiled for the batch; it is left out where JAX is not installed. Errors are the
largest difference from sterf, relative to the energy. Slow peers and errors are of fewer potentials, 100 on a
mesh of 100 to 10 on the finest. Other drivers of scipy (stemr; stebz with a loose tolerance) were not faster.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}

import numpy as np
from common import report
from scipy.linalg import eigh_tridiagonal
from scipy.linalg.lapack import dsterf

from qwell.physics import kernels, lanes, potentials, spectrum
from qwell.physics.grid import Grid

LEVELS = 10
MESHES = (100, 200, 400, 800, 1600)
OURS = "lanes"
Solver = Callable[[np.ndarray, np.ndarray], np.ndarray]


def by_scipy(diagonal: np.ndarray, off: np.ndarray) -> np.ndarray:
    """The documented call: all eigenvalues."""
    return np.array([eigh_tridiagonal(d, off, eigvals_only=True)[:LEVELS] for d in diagonal])


def by_selection(diagonal: np.ndarray, off: np.ndarray) -> np.ndarray:
    """The same call asked for ten eigenvalues, by bisection (stebz)."""
    few: dict[str, Any] = {"select": "i", "select_range": (0, LEVELS - 1), "check_finite": False}
    return np.array([eigh_tridiagonal(d, off, eigvals_only=True, **few) for d in diagonal])


def by_sterf(diagonal: np.ndarray, off: np.ndarray) -> np.ndarray:
    """What the first calls of LAPACK, without its checks."""
    return np.array([dsterf(d, off)[0][:LEVELS] for d in diagonal])


def by_jax() -> Solver | None:
    """JAX's batched bisection in float64, compiled; None without JAX."""
    try:
        import jax
        from jax.scipy.linalg import eigh_tridiagonal as tridiagonal
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    one = lambda d, e: tridiagonal(d, e, eigvals_only=True, select="i", select_range=(0, LEVELS - 1))  # noqa: E731
    batched = jax.jit(jax.vmap(one, in_axes=(0, None)))
    return lambda diagonal, off: np.asarray(batched(diagonal, off))


def microseconds(solve: Callable[[], np.ndarray], n: int, repeats: int = 5) -> float:
    """CPU time of a potential, the least of some repetitions after one that warms up."""
    solve()
    least = np.inf
    for _ in range(repeats):
        clock = time.process_time()
        solve()
        least = min(least, time.process_time() - clock)
    return least / n * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--potentials", type=int, default=2000)
    n = parser.parse_args().potentials
    rows: dict[str, Any] = {"potentials a mesh for lanes": n}
    peers: dict[str, Solver | None] = {
        "scipy eigh_tridiagonal": by_scipy,
        "scipy eigh_tridiagonal, select": by_selection,
        "scipy dsterf": by_sterf,
        "JAX, batched": by_jax(),
    }
    for sigma in (100.0, 1000.0):
        for mesh in MESHES:
            grid = Grid(mesh)
            root = potentials.factor(kernels.covariance("m3", grid, sigma, 0.2))
            v = potentials.rows(root, 1, "train", 0, n).astype(np.float32)
            where = f"mesh {mesh}, sigma {sigma:g}"
            ours = microseconds(lambda v=v, grid=grid: spectrum.eigenvalues(v, grid, LEVELS, "lanes"), n)
            rows[f"{where}: {OURS} [us]"] = ours
            few = max(n * 100 // (20 * mesh), 10)  # of those that are slow
            diagonal, off = spectrum.hamiltonian(v[:few], grid)
            exact = by_sterf(diagonal, off)
            best = {}
            for name, solve in peers.items():
                if solve is not None:
                    best[name] = microseconds(lambda s=solve, d=diagonal, o=off: s(d, o), few, 3)
                    rows[f"{where}: {name} [us]"] = best[name]
            for group, least in (("scipy", 30), ("JAX", 0)):
                times = [t for name, t in best.items() if name.startswith(group)]
                if times:
                    bar = f" (at least {least})" if least else ""
                    rows[f"{where}: fastest of {group} / {OURS}{bar}"] = min(times) / ours
            error = np.abs(spectrum.eigenvalues(v[:few], grid, LEVELS, "lanes") / exact - 1).max()
            rows[f"{where}: error of {OURS} (at most 1e-9)"] = float(error)
            rows[f"{where}: potentials that {OURS} leaves to scipy"] = int((~lanes.tractable(v, grid)).sum())
    report("solvers", f"python benchmarks/solvers.py --potentials {n}", rows)


if __name__ == "__main__":
    main()
