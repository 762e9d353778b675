"""The spectrum: H = −½ d²/dx² + V by second-order differences on the interior points (spectra paper, Eq. 12).

Diagonal 1/dx² + v_l, off-diagonal −1/(2dx²), l = 1 … M − 1; ψ(±1) = 0. Energies in ħ²/(m·length²).
Eigenvectors are normalised ΨᵀΨ = 1 (the paper's convention; the density per length is ψ²/dx).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh_tridiagonal
from scipy.linalg.lapack import dsterf

from qwell.errors import InvalidInput, unknown
from qwell.physics.grid import Grid

SOLVERS = ("scipy", "lanes")
# All M − 1 eigenvalues by sterf take .0105 M² µs, by bisection (stebz) .18 M µs each, on an AMD EPYC: from so
# many mesh points a level on these alone are found faster.
FEW = 17


def hamiltonian(
    potential: Float[np.ndarray, "n points"], grid: Grid
) -> tuple[Float[np.ndarray, "n {grid.mesh}-1"], Float[np.ndarray, "{grid.mesh}-2"]]:
    """Diagonals of H.

    Arguments:
        potential: (n, M+1), energy units; the values at the walls do not enter.

    Returns: diagonal (n, M−1) and off-diagonal (M−2,), float64.
    """
    diagonal = potential[:, 1:-1].astype(np.float64) + 1.0 / grid.dx**2
    return diagonal, np.full(grid.mesh - 2, -0.5 / grid.dx**2)


def eigenvalues(
    potential: Float[np.ndarray, "n points"], grid: Grid, levels: int, solver: str = "scipy"
) -> Float[np.ndarray, "n {levels}"]:
    """The lowest energies E_0 < E_1 < … of each potential.

    Arguments:
        potential: (n, M+1) float, energy units ħ²/(m·length²), finite.
        grid: the mesh.
        levels: how many, at most M − 1.
        solver: "scipy" (what `eigh_tridiagonal` calls of LAPACK, the reference: sterf for all eigenvalues,
            or, where few are wanted of a fine mesh, stebz for these; absolute error about 2e-15 of the norm
            of H) or "lanes" (batched Sturm recurrence, 1e-9 relative to scipy).

    Returns: (n, levels) float64, ascending.

    Raises:
        InvalidInput: wrong shape, not finite, too many levels, or unknown solver.
    """
    check_potential(potential, grid, levels)
    if solver == "lanes":
        from qwell.physics import lanes  # numba is loaded only where it is used

        tractable = lanes.tractable(potential, grid)
        energies = np.empty((len(potential), levels))
        energies[tractable] = lanes.eigenvalues(potential[tractable], grid, levels)
        if not tractable.all():
            energies[~tractable] = eigenvalues(potential[~tractable], grid, levels)
        return energies
    if solver != "scipy":
        raise InvalidInput(unknown("solver", solver, SOLVERS))
    diagonal, off = hamiltonian(potential, grid)
    energies = np.empty((len(potential), levels))
    few = {"select": "i", "select_range": (0, levels - 1), "check_finite": False}
    for row, d in zip(energies, diagonal, strict=True):
        if FEW * levels < grid.mesh or len(d) == 1:
            row[:] = eigh_tridiagonal(d, off, eigvals_only=True, **few)
        else:  # what eigh_tridiagonal calls, to the bit, without what it asks before
            every, failed = dsterf(d, off)
            if failed:
                raise np.linalg.LinAlgError(f"sterf did not find {failed} eigenvalues")
            row[:] = every[:levels]
    return energies


def eigenstates(
    potential: Float[np.ndarray, "n points"], grid: Grid, levels: int
) -> tuple[Float[np.ndarray, "n {levels}"], Float[np.ndarray, "n {levels} points"]]:
    """The lowest energies and wave functions by scipy.

    The sign of ψ_i is fixed so that its first value of at least half the largest modulus is positive.

    Arguments: as for `eigenvalues`.

    Returns: energies (n, levels) and wave functions (n, levels, M+1), zero at the walls, Σ_m ψ_i(m)² = 1.
    """
    check_potential(potential, grid, levels)
    diagonal, off = hamiltonian(potential, grid)
    energies = np.empty((len(potential), levels))
    waves = np.zeros((len(potential), levels, grid.mesh + 1))
    for i, d in enumerate(diagonal):
        energies[i], vectors = eigh_tridiagonal(
            d, off, select="i", select_range=(0, levels - 1), check_finite=False
        )
        waves[i, :, 1:-1] = vectors.T
    large = np.abs(waves) >= 0.5 * np.abs(waves).max(axis=2, keepdims=True)
    first = large.argmax(axis=2)[..., None]
    return energies, waves * np.sign(np.take_along_axis(waves, first, axis=2))


def check_potential(potential: Float[np.ndarray, "n points"], grid: Grid, levels: int) -> None:
    """Raise InvalidInput for potentials of a wrong shape or not finite, and too many levels."""
    if potential.ndim != 2 or potential.shape[1] != grid.mesh + 1:
        raise InvalidInput(
            f"potential has shape {potential.shape}; expected (n, {grid.mesh + 1}) for mesh = {grid.mesh}"
        )
    if not 1 <= levels <= grid.mesh - 1:
        raise InvalidInput(
            f"levels is {levels}; a mesh of {grid.mesh} has {grid.mesh - 1} interior points and so at most"
            " that many levels: raise --mesh or lower --levels"
        )
    if not np.isfinite(potential).all():
        row = int(np.flatnonzero(~np.isfinite(potential).all(axis=1))[0])
        raise InvalidInput(f"potential {row} holds NaN or infinity; remove or repair it")
