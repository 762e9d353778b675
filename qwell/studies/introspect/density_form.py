"""The law in three numbers, without a wave function: q = (ρ, η, τ) = (ψ², ψψ', ψ'²), in any basis.

Hidden states of a translator with a linear read-out are projected on their d main directions; the update
z₊ = (A₀ + A₁v + A₂v²) z is found by least squares, in closed form, and run from the first state. Exact
physics: q₊ = Sym²(M) q, tr Sym² = (tr M)² − 1, and ρτ − η², a quadratic form, is conserved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qwell.physics.cells import HIGHEST, cell_matrices
from qwell.studies.introspect.distil import DIVERGED
from qwell.studies.introspect.law import GRID

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class DensityForm:
    """Updates in d numbers, closed form.

    Arguments:
        latent: d.
        matrices: A₀, A₁, A₂, (3, d, d).
        loss: MSE/var of the test rows' hidden states, rebuilt by running from the first state; infinite where
            they grow beyond all numbers.
        validation: the same of the validation rows.
        trace: largest error of tr A(V) against (tr M)² − 1, over its range; NaN unless d = 3.
        invariant: smallest over second-smallest singular value of "AᵀKA = K for every V", K symmetric:
            small if one quadratic form is conserved; NaN unless d = 3.
    """

    latent: int
    matrices: np.ndarray
    loss: float
    validation: float
    trace: float
    invariant: float


def density_form(
    first: np.ndarray, y: np.ndarray, potential: np.ndarray, validation: Rows, test: Rows,
    latent: int, energy: float, cell: float,
) -> DensityForm:  # fmt: skip
    """Find the update of d numbers.

    Arguments:
        first, y, potential: first states (rows, n), states (rows, t, n), potentials (rows, t), to learn from.
        validation, test: the same, to measure losses on.
        latent: d.
        energy, cell: E and a, for the trace.
    """
    flat = y.reshape(-1, y.shape[-1])
    _, vectors = np.linalg.eigh(flat.T @ flat)
    project = vectors[:, ::-1][:, :latent]
    z = np.concatenate([first[:, None], y], 1) @ project
    v = potential / HIGHEST
    before = z[:, :-1].reshape(-1, latent)
    powers = np.stack([np.ones_like(v), v, v**2], -1).reshape(-1, 3)
    features = (powers[:, :, None] * before[:, None, :]).reshape(-1, 3 * latent)
    found = np.linalg.lstsq(features, z[:, 1:].reshape(-1, latent), rcond=None)[0]
    matrices = found.reshape(3, latent, latent).transpose(0, 2, 1)
    losses = [_rollout(matrices, project, rows) for rows in (test, validation)]
    if latent != 3:
        return DensityForm(latent, matrices, losses[0], losses[1], float("nan"), float("nan"))
    on = np.stack([sum((x / HIGHEST) ** p * matrices[p] for p in range(3)) for x in GRID])
    exact = np.trace(cell_matrices(GRID - energy, cell), axis1=1, axis2=2) ** 2 - 1
    trace = float(np.abs(np.trace(on, axis1=1, axis2=2) - exact).max() / np.ptp(exact))
    return DensityForm(latent, matrices, losses[0], losses[1], trace, conserved(on))


def _rollout(matrices: np.ndarray, project: np.ndarray, rows: Rows) -> float:
    """MSE/var of hidden states run from the first state."""
    start, true, potential = rows
    state, total = start @ project, 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(potential.shape[1]):
            u = potential[:, t, None] / HIGHEST
            state = sum(u**p * (state @ matrices[p].T) for p in range(3))
            total += float(((state @ project.T - true[:, t]) ** 2).sum(-1).mean())
    loss = total / potential.shape[1] / float(true.var(axis=(0, 1)).sum())
    return loss if loss < DIVERGED else float("inf")


def conserved(updates: np.ndarray) -> float:
    """How nearly one quadratic form K is conserved by all updates (m, d, d): a ratio of singular values."""
    d = updates.shape[1]
    i, j = np.triu_indices(d)
    columns = []
    for a, b in zip(i, j, strict=True):
        k = np.zeros((d, d))
        k[a, b] = k[b, a] = 1
        columns.append((np.swapaxes(updates, 1, 2) @ k @ updates - k).ravel())
    sizes = np.linalg.svd(np.stack(columns, 1), compute_uv=False)
    return float(sizes[-1] / sizes[-2])


def intrinsic_dimension(points: np.ndarray, most: int = 2000, seed: int = 0) -> float:
    """TwoNN (Facco et al., Sci. Rep. 7, 12140): from the ratio of distances to two nearest neighbours."""
    rng = np.random.default_rng(seed)
    x = points[rng.choice(len(points), min(most, len(points)), replace=False)]
    square = ((x[:, None] - x[None]) ** 2).sum(-1) if len(x) <= 500 else _squares(x)
    np.fill_diagonal(square, np.inf)
    near = np.sqrt(np.partition(np.maximum(square, 0), 1, axis=1)[:, :2])
    near = np.sort(near[near[:, 0] > 0], axis=1)
    ratio = np.sort(near[:, 1] / near[:, 0])[: int(0.9 * len(near))]
    share = np.arange(1, len(ratio) + 1) / len(near)
    return float((np.log(ratio) * -np.log1p(-share)).sum() / (np.log(ratio) ** 2).sum())


def _squares(x: np.ndarray) -> np.ndarray:
    size = (x**2).sum(1)
    return np.asarray(size[:, None] + size[None] - 2 * x @ x.T)
