"""The direct solution of a data set's potentials, for whoever compares networks with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qwell.errors import InvalidInput
from qwell.physics.galerkin import galerkin
from qwell.physics.grid import Grid
from qwell.physics.matter import medium_of
from qwell.physics.spectrum import eigenstates, eigenvalues
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset

Function = Callable[[np.ndarray], np.ndarray]
ENOUGH = 2000  # potentials that a solver is measured on


@dataclass(frozen=True)
class Exact:
    """The direct solution of the potentials of a data set.

    Arguments:
        states: applied potentials (n, points) → energies (n, levels) and ψ_i² (n, levels, points), Σ_m = 1.
        total: applied potentials → what the particle feels; the same, unless there is matter.
    """

    states: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    total: Function


def _felt(data: Dataset) -> tuple[Grid, Function]:
    """The grid of a data set, and what its particle feels of an applied potential."""
    grid = Grid.of_points(len(data.coordinates["x"]))
    return grid, medium_of(data.recipe, grid.x)


def solvers(data: Dataset) -> dict[str, tuple[Function, int]]:
    """The direct solvers to compare with: name → (potentials to energies, how many potentials to give it)."""
    grid, felt = _felt(data)
    levels = len(data.coordinates["level"])
    found: dict[str, Function] = {}
    if levels <= 20:
        found["Galerkin, 20 sines"] = lambda v: galerkin(felt(v), grid, levels)
    found["direct solver (scipy)"] = lambda v: eigenvalues(felt(v), grid, levels)
    found["direct solver (lanes)"] = lambda v: eigenvalues(felt(v), grid, levels, "lanes")
    return {name: (solver, ENOUGH) for name, solver in found.items()}


def exact(data: Dataset) -> Exact:
    """Energies and densities by scipy, with the data set's matter effect if it has one."""
    grid, felt = _felt(data)
    levels = len(data.coordinates["level"])

    def states(potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, wave = eigenstates(felt(potential), grid, levels)
        return energy, wave**2

    return Exact(states, felt)


def state_of(path: str, split: str, row: int, level: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """x, ψ, V and E of an eigenstate of a data set of spectra, by scipy; V is what the particle feels.

    Raises InvalidInput for a row or level that the data set does not have.
    """
    data = open_dataset(path).require("spectra")
    grid, felt = _felt(data)
    levels = len(data.coordinates["level"])
    rows = len(data[split])
    if not (0 <= row < rows and 0 <= level < levels):
        raise InvalidInput(f"row {row}, level {level}: {path} has {rows} rows of {split} and {levels} levels")
    potential = felt(np.asarray(data[split]["potential"][row : row + 1]))
    energy, wave = eigenstates(potential, grid, levels)
    return grid.x, wave[0, level], potential[0], float(energy[0, level])
