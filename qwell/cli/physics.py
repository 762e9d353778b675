"""The direct solution of a data set's potentials, for commands that compare networks with it.

Here, because learning may not know the generators: commands hand it over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from qwell.store.dataset import Dataset
    from qwell.train.probes.finding import Exact

Solver = Callable[[Any], Any]


def _felt(data: Dataset) -> tuple[Any, Callable[[np.ndarray], np.ndarray]]:
    """The grid of a data set, and what its particle feels of an applied potential."""
    from qwell.datagen.grid import Grid
    from qwell.datagen.matter import matter_of

    grid = Grid(len(data.coordinates["x"]) - 1)
    matter = matter_of(data.recipe)
    return grid, (lambda v: v) if matter is None else (lambda v: matter[0](v, grid.x, matter[1]))


def solvers(data: Dataset) -> dict[str, tuple[Solver, int]]:
    """The direct solvers to compare with: name → (potentials to energies, how many potentials to give it)."""
    from qwell.datagen.galerkin import galerkin
    from qwell.datagen.spectrum import eigenvalues

    grid, felt = _felt(data)
    levels = len(data.coordinates["level"])
    found: dict[str, tuple[Solver, int]] = {}
    if levels <= 20:
        found["Galerkin, 20 sines"] = (lambda v: galerkin(felt(v), grid, levels), 2000)
    found["direct solver (scipy)"] = (lambda v: eigenvalues(felt(v), grid, levels), 2000)
    found["direct solver (lanes)"] = (lambda v: eigenvalues(felt(v), grid, levels, "lanes"), 2000)
    return found


def exact(data: Dataset) -> Exact:
    """Energies and densities by scipy, with the data set's matter effect if it has one."""
    from qwell.datagen.spectrum import eigenstates
    from qwell.train.probes.finding import Exact

    grid, felt = _felt(data)
    levels = len(data.coordinates["level"])

    def states(potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, wave = eigenstates(felt(potential), grid, levels)
        return energy, wave**2

    return Exact(states, felt)
