"""Energies from a few sine modes: the variational upper bound a small basis gives.

H_jk = δ_jk E_{j−1}(box) + dx Σ_l φ_j(x_l) v_l φ_k(x_l) with φ_j(x) = sin(jπ(x+1)/2), j = 1 … modes: the
lattice Hamiltonian in the lowest eigenvectors of the empty box, which are orthonormal on the mesh too.
A yardstick for networks: cheap, training-free, and systematically improvable.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from qwell.physics.grid import Grid


def galerkin(
    potential: Float[np.ndarray, "n points"], grid: Grid, levels: int, modes: int = 20
) -> Float[np.ndarray, "n {levels}"]:
    """Lowest eigenvalues of H in the span of `modes` sine functions.

    Arguments:
        potential: (n, M+1), energy units.
        grid: the mesh.
        levels: how many, at most `modes`.

    Returns: (n, levels) float64, none below the exact lattice energy (Rayleigh–Ritz).
    """
    j = np.arange(1, modes + 1)
    basis = np.sin(j[:, None] * np.pi * (grid.x[1:-1] + 1) / 2)
    pairs = (basis[:, None, :] * basis[None, :, :]).reshape(modes * modes, -1)
    matrices = (potential[:, 1:-1].astype(np.float64) @ pairs.T * grid.dx).reshape(-1, modes, modes)
    return np.linalg.eigvalsh(matrices + np.diag(grid.box_energies(modes)))[:, :levels]
