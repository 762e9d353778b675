"""How fast data sets are made: the two solvers whole-process, beside the bare solver in the same run.

    python benchmarks/generate.py [--n 500000]

`ideal` is n × (bare `scipy.linalg.eigh_tridiagonal` per potential) / cores, measured before and after.
Memory is the peak of the sum over all processes of the proportional set size (shared pages counted once).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from common import report
from scipy.linalg import eigh_tridiagonal

from qwell.datagen import clusters, pipeline
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.physics import kernels, potentials, spectrum
from qwell.physics.grid import Grid
from qwell.store.writer import DatasetWriter

GRID = Grid(100)


def bare_seconds(n: int = 4000) -> float:
    """Seconds per potential of the plain call, all eigenvalues and a slice of ten."""
    root = potentials.factor(kernels.covariance("m3", GRID, 100.0, 0.2))
    diagonal, off = spectrum.hamiltonian(potentials.rows(root, 1, "train", 0, n), GRID)
    clock = time.perf_counter()
    for d in diagonal:
        eigh_tridiagonal(d, off, eigvals_only=True)[:10]
    return (time.perf_counter() - clock) / n


def whole_command(n: int, solver: str, folder: Path) -> tuple[float, float]:
    """Wall seconds of `qdata generate`, start-up included, and peak memory of all its processes in MiB."""
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--kernel", "m3", "--n", str(n), "--solver", solver, "--out", str(folder / "m3.zarr")]
    clock = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "qwell.cli.qdata", "generate", *options])
    peak = [0.0]

    def watch() -> None:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            total = 0.0
            try:
                for p in [root, *root.children(recursive=True)]:
                    total += p.memory_full_info().pss / 2**20
            except psutil.Error:
                continue
            peak[0] = max(peak[0], total)
            time.sleep(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.wait() == 0
    seconds = time.perf_counter() - clock
    watcher.join()
    return seconds, peak[0]


def running_rate(solver: str, folder: Path) -> float:
    """Samples per second of one process in full swing: draw, solve, write shard after shard.

    Everything is done three times and the median counts: fresh memory of a virtual machine is slow to touch.
    """
    return float(np.median([_running_rate(solver, folder) for _ in range(3)]))


def _running_rate(solver: str, folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    recipe = SpectraRecipe("m3", n=200_000, validation=0, solver=solver)
    plan = recipe.plan()
    writer = DatasetWriter(folder / "m3.zarr", plan)
    pipeline.make_shard(recipe, plan, str(writer.root), "train", 0)
    shards = 8 if solver == "lanes" else 1
    clock = time.perf_counter()
    for shard in range(1, 1 + shards):
        pipeline.make_shard(recipe, plan, str(writer.root), "train", shard)
    rate = shards * 20_000 / (time.perf_counter() - clock)
    writer.close()
    return rate


def solver_microseconds(name: str, sigma: float) -> float:
    """Microseconds per potential of the batched solver alone."""
    root = potentials.factor(kernels.covariance(name, GRID, sigma, 0.2))
    v = potentials.rows(root, 1, "train", 0, 20_000).astype(np.float32)
    spectrum.eigenvalues(v[:100], GRID, 10, "lanes")
    times = []
    for _ in range(5):
        clock = time.perf_counter()
        spectrum.eigenvalues(v, GRID, 10, "lanes")
        times.append(time.perf_counter() - clock)
    return float(np.median(times)) / len(v) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=500_000)
    n = parser.parse_args().n
    rows: dict[str, object] = {"n": n}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "store"
        whole_command(1000, "lanes", folder)  # compile once
        before = bare_seconds()
        seconds, memory = whole_command(n, "scipy", folder)
        fast, fast_memory = whole_command(n, "lanes", folder)
        bare = (before + bare_seconds()) / 2
        ideal = n * bare / clusters.available_cores()
        rows |= {
            "bare eigh_tridiagonal [us]": bare * 1e6,
            "ideal [s]": ideal,
            "generate --solver scipy [s]": seconds,
            "generate --solver scipy / ideal (at most 1.25)": seconds / ideal,
            "generate --solver scipy, peak memory [MiB] (below 2048)": memory,
            "generate --solver lanes [s]": fast,
            "scipy / lanes, whole commands (at least 10)": seconds / fast,
            "generate --solver lanes, peak memory [MiB] (below 2048)": fast_memory,
        }
        slow_rate, fast_rate = running_rate("scipy", folder), running_rate("lanes", folder)
        rows |= {
            "scipy, running, samples/s per core": slow_rate,
            "lanes, running, samples/s per core": fast_rate,
            "lanes / scipy, running (at least 30)": fast_rate / slow_rate,
        }
    for sigma in (100.0, 1000.0):
        for kernel in ("rbf", "m5", "m3", "exp"):
            rows[f"lanes alone, {kernel}, sigma {sigma:g} [us]"] = solver_microseconds(kernel, sigma)
    report("generate", f"python benchmarks/generate.py --n {n}", rows)


if __name__ == "__main__":
    main()
