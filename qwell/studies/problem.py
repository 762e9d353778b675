"""The direct solution of a data set's potentials, for commands that compare networks with it.

Here, because learning may not know the generators: commands hand it over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qwell.studies.probes.asked import OfTrajectories

if TYPE_CHECKING:
    import numpy as np

    from qwell.store.dataset import Dataset
    from qwell.studies.finding import Exact

Solver = Callable[[Any], Any]
HISTORY = 20  # frames that an emulator may be given at most


def _felt(data: Dataset) -> tuple[Any, Callable[[np.ndarray], np.ndarray]]:
    """The grid of a data set, and what its particle feels of an applied potential."""
    from qwell.physics.grid import Grid
    from qwell.physics.matter import matter_of

    grid = Grid(len(data.coordinates["x"]) - 1)
    matter = matter_of(data.recipe)
    return grid, (lambda v: v) if matter is None else (lambda v: matter[0](v, grid.x, matter[1]))


def solvers(data: Dataset) -> dict[str, tuple[Solver, int]]:
    """The direct solvers to compare with: name → (potentials to energies, how many potentials to give it)."""
    from qwell.physics.galerkin import galerkin
    from qwell.physics.spectrum import eigenvalues

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
    from qwell.physics.spectrum import eigenstates
    from qwell.studies.finding import Exact

    grid, felt = _felt(data)
    levels = len(data.coordinates["level"])

    def states(potential: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, wave = eigenstates(felt(potential), grid, levels)
        return energy, wave**2

    return Exact(states, felt)


def energies(data: Dataset) -> Callable[[Any, Any], Any]:
    """⟨H⟩ of wave functions (…, n) in potentials that broadcast with them, by the data set's Hamiltonian."""
    from qwell.datagen.recipes.trajectories import TrajectoriesRecipe
    from qwell.physics.propagators.settings import energy

    recipe = TrajectoriesRecipe.from_json(data.recipe)
    return lambda psi, potential: energy(psi, potential, recipe.ring, recipe.propagation.hamiltonian)


def simulator(
    hamiltonian: str = OfTrajectories.hamiltonian, frames: int = OfTrajectories.frames
) -> Callable[[Any, str], tuple[Any, Any]]:
    """Makes trajectories on the paper's ring: numbers x0, s0, e0, hb, wb of cases, kind of packet → ψ, V.

    Arguments:
        hamiltonian: "lattice" or "spectral".
        frames: to be predicted; `HISTORY` more are made, from which predictions may begin.
    """
    import numpy as np

    from qwell.physics.barriers import Potential
    from qwell.physics.packets import packet
    from qwell.physics.propagators.family import propagate
    from qwell.physics.propagators.settings import Propagation
    from qwell.physics.ring import Ring

    ring, how = Ring(), Propagation(hamiltonian=hamiltonian, frames=frames + HISTORY)

    def simulate(cases: Any, kind: str) -> tuple[Any, Any]:
        psi = np.array([packet(ring, kind, c["x0"], c["s0"], c["e0"]) for c in cases])
        walls = [
            Potential("rectangle", {"height": c["hb"], "width": c["wb"]}) if c["wb"] else Potential()
            for c in cases
        ]
        potential = np.array([wall.on(ring) for wall in walls])
        return propagate(psi, potential, ring, how).astype(np.float32), potential

    return simulate


def levels_of(well: Any, levels: int) -> tuple[Any, Any, Any]:
    """Energies, points and states of a variational well, by spectral elements in a region an eighth wider.

    Within the region itself where the potential is not finite beyond.
    """
    from qwell.errors import InvalidInput
    from qwell.physics.elements import eigenstates

    a, b = well.region
    wider = (a - (b - a) / 8, b + (b - a) / 8)
    try:
        return eigenstates(well, wider, levels, well.kinks)
    except InvalidInput:
        return eigenstates(well, well.region, levels, well.kinks)


def state_of(path: str, split: str, row: int, level: int) -> tuple[Any, Any, Any, float]:
    """x, ψ, V and E of an eigenstate of a data set of spectra, by scipy; V is what the particle feels."""
    import numpy as np

    from qwell.errors import InvalidInput
    from qwell.physics.spectrum import eigenstates
    from qwell.store.reader import open_dataset

    data = open_dataset(path).require("spectra")
    grid, felt = _felt(data)
    levels = len(data.coordinates["level"])
    rows = len(data[split])
    if not (0 <= row < rows and 0 <= level < levels):
        raise InvalidInput(f"row {row}, level {level}: {path} has {rows} rows of {split} and {levels} levels")
    potential = felt(np.asarray(data[split]["potential"][row : row + 1]))
    energy, wave = eigenstates(potential, grid, levels)
    return grid.x, wave[0, level], potential[0], float(energy[0, level])
