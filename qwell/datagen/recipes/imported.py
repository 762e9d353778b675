"""Data sets from potentials that somebody brings, with or without their energies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qwell.datagen.recipes.spectra import DEFAULT_SHARD_ROWS, spectra_plan
from qwell.errors import InvalidInput, unknown
from qwell.physics.grid import Grid
from qwell.physics.spectrum import SOLVERS, eigenstates, eigenvalues
from qwell.store.backends import storage_of
from qwell.store.derive import write_rows
from qwell.store.manifest import FileRecord, Manifest
from qwell.store.tables import read_arrays

GIVEN = "given"  # the solver of energies that came with the potentials


def read_spectra(path: Path, potential: str = "potential", energy: str = "energy") -> dict[str, np.ndarray]:
    """Potentials, and energies if there are any, from a file.

    Arguments:
        path: `.npz` or HDF5; `.npy` and `.csv` hold potentials only.
        potential, energy: their names in the file.

    Returns: `potential` (n, points) and, if they are there, `energy` (n, levels).

    Raises InvalidInput if the file cannot be read, or has no array of that name.
    """
    return read_arrays(path, {"potential": potential, "energy": energy})


def import_spectra(
    potential: np.ndarray,
    path: str | Path,
    energy: np.ndarray | None = None,
    *,
    levels: int = 10,
    solver: str = "scipy",
    densities: bool = False,
    dtype: str = "float32",
    validation: int = 0,
    seed: int = 0,
    source: str = "",
    shard_rows: int = DEFAULT_SHARD_ROWS,
    resume: bool = False,
    force: bool = False,
    credits: Mapping[str, Any] | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> Manifest:
    """Make a data set of spectra from given potentials.

    Arguments:
        potential: (n, M+1), values on M + 1 equally spaced points from wall to wall of the box [−1, 1], in
            ħ²/(m·length²) with length half the box.
        path: where.
        energy: (n, levels), ascending, in the same units; solved for if left out: `levels` of them.
        solver: "scipy" or "lanes".
        densities: also keep ψ_i² (by scipy), ΣΨ² = 1, of the levels that are kept.
        dtype: of the stored potentials.
        validation, seed: rows of the validation split, and of their choice; the others keep their order.
        source: where they come from, for the recipe.
        shard_rows, resume, force, credits, progress: see `generate`.

    Raises InvalidInput for shapes that do not fit, NaN, infinity, or energies not in ascending order.
    """
    if energy is not None:
        energy = np.asarray(energy, np.float64)
        solver, levels = GIVEN, energy.shape[-1]
    stored = np.asarray(potential).astype(dtype)
    _check(stored, energy, levels, solver, validation)
    n, points = stored.shape
    order = np.random.Generator(np.random.SFC64(seed)).permutation(n)
    rows = {"train": np.sort(order[validation:]), "validation": np.sort(order[:validation])}
    recipe = {
        "recipe": "import", "source": source, "sha256": _digest(stored, energy), "n": n - validation,
        "validation": validation, "seed": seed, "mesh": points - 1, "levels": levels, "solver": solver,
        "dtype": dtype,
    }  # fmt: skip
    if densities:
        recipe["densities"] = True
    plan = spectra_plan(
        recipe, points, levels, dtype, {k: len(v) for k, v in rows.items()}, shard_rows, storage_of(path),
        densities, row_order="grouped",
    )  # fmt: skip

    def made(split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        chosen = rows[split][start:stop]
        return _solved(stored[chosen], None if energy is None else energy[chosen], levels, solver, densities)

    about = {"workers": 0, **(credits or {})}
    return write_rows(Path(path), plan, made, about, resume=resume, force=force, progress=progress)


def _solved(
    potential: np.ndarray, energy: np.ndarray | None, levels: int, solver: str, densities: bool
) -> dict[str, np.ndarray]:
    """The fields of some rows; energies that were brought are kept."""
    grid = Grid.of_points(potential.shape[1])
    found = {"potential": potential}
    found["energy"] = eigenvalues(potential, grid, levels, solver) if energy is None else energy
    if densities:
        found["density"] = (eigenstates(potential, grid, levels)[1] ** 2).astype(np.float32)
    return found


def _digest(potential: np.ndarray, energy: np.ndarray | None) -> str:
    """The sha256 of what was brought."""
    content = [np.ascontiguousarray(potential).tobytes(), b"" if energy is None else energy.tobytes()]
    return FileRecord.of(b"".join(content)).sha256


def _check(
    potential: np.ndarray, energy: np.ndarray | None, levels: int, solver: str, validation: int
) -> None:
    """Raise InvalidInput for shapes, levels, a solver or a split that cannot be; see `import_spectra`."""
    if potential.ndim != 2 or potential.shape[1] < 3 or not len(potential):
        raise InvalidInput(f"potentials have shape {potential.shape}; expected (n, M+1) with M at least 2")
    n, points = potential.shape
    if energy is not None:
        if energy.ndim != 2 or len(energy) != n:
            raise InvalidInput(
                f"energies have shape {energy.shape}; expected ({n}, levels), one row a potential"
            )
        if bad := np.flatnonzero((np.diff(energy, axis=1) <= 0).any(axis=1)).tolist():
            raise InvalidInput(f"the energies of row {bad[0]} are not in ascending order")
    elif solver not in SOLVERS:
        raise InvalidInput(unknown("solver", solver, SOLVERS))
    if not 1 <= levels <= points - 2:
        raise InvalidInput(f"levels is {levels}; potentials on {points} points have 1 to {points - 2}")
    if not 0 <= validation < n:
        raise InvalidInput(f"validation is {validation}; choose 0 to {n - 1} of the {n} potentials")
    for name, values in (("potential", potential), ("energy", energy)):
        if values is not None and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise InvalidInput(
                f"{name} of row {row} holds NaN, infinity, or numbers too large for {values.dtype}"
            )
