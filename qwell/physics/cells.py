"""Potentials in cells: ψ'' = uψ with u = V − E constant in each, integrated cell by cell, exactly.

Units 2m/ħ² = 1. In a cell of length a the pair s = (ψ, ψ') advances by

    M(u) = [[cos ka, sin(ka)/k], [−k sin ka, cos ka]],  k = √(−u)   (cosh, sinh for u > 0),  det M = 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float

HIGHEST = 2.5  # |V| of the random potentials in cells stays below it; networks divide potentials by it


def cell_matrices(u: Float[np.ndarray, "*cells"], cell: float) -> Float[np.ndarray, "*cells 2 2"]:
    """M(u) of cells of one length, (…, 2, 2) float64, see above.

    Arguments:
        u: V − E of each cell, (…,), 1/length².
        cell: a, length.
    """
    k = np.sqrt(-u.astype(complex))
    small = np.abs(k * cell) < 1e-6
    over = np.where(small, cell, np.sin(k * cell) / np.where(small, 1, k))
    matrix = np.array([[np.cos(k * cell), over], [-k * np.sin(k * cell), np.cos(k * cell)]]).real
    return np.moveaxis(matrix, (0, 1), (-2, -1))


def integrate(
    u: Float[np.ndarray, "n t"], cell: float, psi: complex, slope: complex
) -> tuple[Complex[np.ndarray, "n t+1"], Complex[np.ndarray, "n t+1"]]:
    """ψ and ψ' at all edges of the cells, (n, T + 1) complex each.

    Arguments:
        u: V − E of each cell, (n, T), 1/length².
        cell: a, length.
        psi, slope: ψ(0) and ψ'(0).
    """
    matrices = cell_matrices(u, cell)
    states = np.empty((len(u), u.shape[1] + 1, 2), complex)
    states[:, 0] = psi, slope
    for i in range(u.shape[1]):
        states[:, i + 1] = np.einsum("nab,nb->na", matrices[:, i], states[:, i])
    return states[..., 0], states[..., 1]
