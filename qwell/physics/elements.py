"""Eigenstates of −½ψ'' + Vψ on an interval, ψ = 0 at its ends, by spectral elements.

The interval is cut into elements, on each of which ψ is a polynomial of degree 16 through its
Gauss–Lobatto–Legendre points; with their quadrature the mass matrix is diagonal and
H = M^{-½} (½ Σ_e Dᵀ W D) M^{-½} + V is banded. Errors fall exponentially with the degree wherever V is
smooth inside the elements; put their edges on its kinks (Patera, J. Comput. Phys. 54, 468).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.linalg import eig_banded

DEGREE = 16


def lobatto(
    degree: int = DEGREE,
) -> tuple[
    Float[np.ndarray, "{degree}+1"],
    Float[np.ndarray, "{degree}+1"],
    Float[np.ndarray, "{degree}+1 {degree}+1"],
]:
    """Points and weights on [−1, 1], and the matrix that differentiates through the points."""
    legendre = np.polynomial.legendre.Legendre.basis(degree)
    x = np.concatenate([[-1.0], np.sort(legendre.deriv().roots().real), [1.0]])
    p = legendre(x)
    w = 2 / (degree * (degree + 1) * p**2)
    gap = x[:, None] - x[None, :] + np.eye(degree + 1)
    d = p[:, None] / p[None, :] / gap
    np.fill_diagonal(d, 0)
    d[0, 0], d[-1, -1] = -degree * (degree + 1) / 4, degree * (degree + 1) / 4
    return x, w, d


def eigenstates(
    potential: Callable[[Float[np.ndarray, "n"]], Float[np.ndarray, "n"]],
    region: tuple[float, float],
    levels: int,
    kinks: tuple[float, ...] = (),
    elements: int = 40,
) -> tuple[Float[np.ndarray, "{levels}"], Float[np.ndarray, "n"], Float[np.ndarray, "{levels} n"]]:
    """The lowest eigenstates of H = −½ d²/dx² + V.

    Arguments:
        potential: V(x), of (n,) float64.
        region: (a, b), where ψ vanishes.
        levels: how many.
        kinks: where V is not smooth.
        elements: at least.

    Returns:
        Energies (levels,); points x (n,), ends included; ψ (levels, n) with ∫ψ² = 1, its largest
        lobe positive. Energies are exact to rounding, about 1e-13 of the largest matrix element.
    """
    nodes, weights, matrix = lobatto()
    corners = np.array([region[0], *sorted(kinks), region[1]])
    share = np.diff(corners) / (region[1] - region[0])
    pieces = [
        np.linspace(a, b, max(1, int(np.ceil(elements * s))) + 1)[:-1]
        for a, b, s in zip(corners[:-1], corners[1:], share, strict=True)
    ]
    edges = np.append(np.concatenate(pieces), region[1])
    n = DEGREE * (len(edges) - 1) + 1
    x, mass = np.empty(n), np.zeros(n)
    stiffness = np.zeros((DEGREE + 1, n))  # lower diagonals
    local = matrix.T @ (weights[:, None] * matrix) / 2
    for e, (a, b) in enumerate(itertools.pairwise(edges)):
        half, at = (b - a) / 2, slice(e * DEGREE, (e + 1) * DEGREE + 1)
        x[at] = a + half * (1 + nodes)
        mass[at] += half * weights
        for k in range(DEGREE + 1):
            stiffness[k, e * DEGREE : (e + 1) * DEGREE + 1 - k] += np.diagonal(local, -k) / half
    root = np.sqrt(mass)
    for k in range(DEGREE + 1):
        stiffness[k, : n - k] /= root[k:] * root[: n - k]
    stiffness[0] += potential(x)
    band = np.ascontiguousarray(stiffness[:, 1:-1])
    for k in range(1, DEGREE + 1):
        band[k, n - 2 - k :] = 0  # what reached the last point
    energy, states = eig_banded(band, lower=True, select="i", select_range=(0, levels - 1))
    wave = np.zeros((levels, n))
    wave[:, 1:-1] = (states / root[1:-1, None]).T
    largest = np.abs(wave).argmax(axis=1)
    return energy, x, wave * np.sign(wave[np.arange(levels), largest])[:, None]
