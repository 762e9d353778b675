"""How near the estimates of `--dry-run` come: seconds of one core estimated, by seconds measured.

    python benchmarks/estimates.py

First what a row costs, where the work takes long enough for a second of starting not to count; then the
seconds that `--dry-run` prints by those of the command as typed, also for few rows.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import report

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.datagen.recipes.trajectories import Family, TrajectoriesRecipe
from qwell.physics.barriers import Potential
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring

# mesh, levels, n, solver
SPECTRA = [
    (20, 3, 500_000, "lanes"),
    (100, 10, 200_000, "lanes"),
    (100, 40, 50_000, "lanes"),
    (200, 10, 50_000, "lanes"),
    (400, 10, 20_000, "lanes"),
    (1600, 10, 10_000, "lanes"),
    (50, 10, 5_000, "scipy"),
    (100, 10, 5_000, "scipy"),
    (400, 10, 500, "scipy"),
    (1000, 10, 100, "scipy"),
]
# points, dt, frames, height, packets, method, Hamiltonian
TRAJECTORIES = [
    (256, 0.1, 500, 5.0, 64, "chebyshev", "lattice"),
    (1024, 0.1, 500, 5.0, 16, "chebyshev", "lattice"),
    (1024, 0.1, 100, 500.0, 8, "chebyshev", "lattice"),
    (4096, 0.1, 50, 5.0, 8, "chebyshev", "lattice"),
    (16384, 0.005, 50, 5.0, 8, "chebyshev", "lattice"),
    (256, 0.1, 500, 5.0, 64, "chebyshev", "spectral"),
    (256, 5.0, 50, 5.0, 8, "chebyshev", "spectral"),
    (1024, 0.1, 100, 5.0, 8, "chebyshev", "spectral"),
    (1024, 0.1, 20, 1000.0, 1, "chebyshev", "spectral"),
    (4096, 0.02, 40, 5.0, 8, "chebyshev", "spectral"),
    (16384, 0.002, 16, 5.0, 8, "chebyshev", "spectral"),
    (1024, 0.1, 200, 5.0, 8, "split-operator", "spectral"),
    (1024, 0.1, 100, 5.0, 8, "space-splitting", "lattice"),
    (1024, 0.1, 500, 5.0, 8, "eigen", "spectral"),
    (2048, 0.1, 50, 5.0, 8, "eigen", "spectral"),
]


def trajectories(
    points: int, dt: float, frames: int, height: float, packets: int, method: str, hamiltonian: str
) -> TrajectoriesRecipe:
    barrier = Potential("rectangle", {"height": height, "width": 7.0})
    family = Family(tuple(20.0 + i / 2 for i in range(packets)), (2.0,), (2.0,), (barrier,))
    return TrajectoriesRecipe(
        (family,), ring=Ring(100.0, points), propagation=Propagation(method, hamiltonian, dt, frames)
    )


def ratio(recipe: Any) -> float:
    """Seconds estimated by seconds measured, of this process."""
    with tempfile.TemporaryDirectory() as folder:
        clock = time.process_time()
        manifest = generate(recipe, Path(folder) / "x.zarr", workers=0)
        seconds = time.process_time() - clock
    rows = sum(layout.rows for layout in manifest.plan.splits.values())
    return float(recipe.seconds_per_row * rows / seconds)


def as_typed(n: int, mesh: int) -> float:
    """Seconds that `--dry-run` prints, by seconds of the processor that the command takes."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["qwell.cli.qdata", "generate", "--kernel", "m3", "--solver", "lanes", "--workers", "0"]
        command = [sys.executable, "-m", *words, "--n", str(n), "--mesh", str(mesh), "--out", "x.zarr"]
        told = subprocess.run([*command, "--dry-run"], cwd=folder, text=True, capture_output=True, check=True)
        printed = re.search(r"about ([\d.]+) s", told.stdout)
        assert printed is not None, told.stdout
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(printed[1]) / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    base = SpectraRecipe("m3", n=1000, validation=0, solver="lanes")
    ratio(base)  # what is compiled or imported at first use
    ratio(trajectories(256, 0.1, 8, 5.0, 8, "chebyshev", "lattice"))
    ratio(trajectories(256, 0.1, 8, 5.0, 8, "space-splitting", "lattice"))
    rows: dict[str, Any] = {}
    for mesh, levels, n, solver in SPECTRA:
        name = f"{solver}, {n:,} rows, mesh {mesh}, {levels} levels (0.5 to 2)"
        rows[name] = ratio(replace(base, mesh=mesh, levels=levels, n=n, solver=solver))
    for case in TRAJECTORIES:
        points, dt, frames, height, packets, method, hamiltonian = case
        where = f"{points} points, dt {dt:g}, V {height:g}"
        name = f"{method}, {hamiltonian}, {packets} x {frames} frames, {where} (0.5 to 2)"
        rows[name] = ratio(trajectories(*case))
    for n, mesh in ((1000, 100), (20_000, 100), (500_000, 100), (1000, 1600)):
        rows[f"as typed: lanes, {n:,} rows, mesh {mesh} (0.5 to 2)"] = as_typed(n, mesh)
    report("estimates", "python benchmarks/estimates.py", rows)


if __name__ == "__main__":
    main()
