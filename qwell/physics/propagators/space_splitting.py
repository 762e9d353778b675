"""The dynamics paper's propagator: the lattice's bonds in two groups, each a product of 2 × 2 rotations.

    ψ(t + δ) = e^{−iVδ/2} U_e(δ/2) U_o(δ) U_e(δ/2) e^{−iVδ/2} ψ(t)

A bond's kinetic energy is (1/2dx²) (1 −1; −1 1), so that on (ψ_j, ψ_{j+1})

    U(δ) = e^{−iα} (cos α, i sin α; i sin α, cos α),   α = δ/(2dx²).

Bonds (2j, 2j+1) are U_e, bonds (2j+1, 2j+2) are U_o. Unitary, error O(δ²)
(H. De Raedt, Comp. Phys. Rep. 7, 1 (1987)).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float

from qwell.physics.compiled import compiled
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring


# Inlined, so that no call of a function of its own remains: the linker would take another version of it in
# the process that compiles (rounded differently in the last bit) than in all that load the compiled code.
@compiled(inline="always")
def _rotate(r: np.ndarray, i: np.ndarray, first: int, n: int, c: float, s: float) -> None:
    """(a, b) → (c a + i s b, c b + i s a) for n bonds: (first, first + 1), (first + 2, first + 3) …"""
    for k in range(n):
        j = first + 2 * k
        ra, ia, rb, ib = r[j], i[j], r[j + 1], i[j + 1]
        r[j], i[j] = c * ra - s * ib, c * ia + s * rb
        r[j + 1], i[j + 1] = c * rb - s * ia, c * ib + s * ra


@compiled(inline="always")
def _turn(r: np.ndarray, i: np.ndarray, cosine: np.ndarray, sine: np.ndarray, n: int) -> None:
    """Multiply by cosine − i sine, point by point."""
    for j in range(n):
        a, b = r[j], i[j]
        r[j] = cosine[j] * a + sine[j] * b
        i[j] = cosine[j] * b - sine[j] * a


@compiled()
def _evolve(
    out: np.ndarray,
    half: np.ndarray,
    whole: np.ndarray,
    c2: float,
    s2: float,
    c1: float,
    s1: float,
    substeps: int,
    r: np.ndarray,
    i: np.ndarray,
) -> None:
    """Fill out[1:] (frames, N, 2) from out[0]. half, whole: (2, N) cosines and sines of the local phases."""
    n = out.shape[1]
    for j in range(n):
        r[j], i[j] = out[0, j, 0], out[0, j, 1]
    for f in range(1, out.shape[0]):
        _turn(r, i, half[0], half[1], n)
        for step in range(substeps):
            _rotate(r, i, 0, n // 2, c2, s2)
            r[n], i[n] = r[0], i[0]  # the last bond goes round the ring
            _rotate(r, i, 1, n // 2, c1, s1)
            r[0], i[0] = r[n], i[n]
            _rotate(r, i, 0, n // 2, c2, s2)
            if step + 1 < substeps:
                _turn(r, i, whole[0], whole[1], n)
        _turn(r, i, half[0], half[1], n)
        for j in range(n):
            out[f, j, 0], out[f, j, 1] = r[j], i[j]


def space_splitting(
    psi: Complex[np.ndarray, "n points"],
    potential: Float[np.ndarray, "n points"],
    ring: Ring,
    how: Propagation,
) -> Float[np.ndarray, "n {how.frames}+1 points 2"]:
    """Frames (n, frames + 1, N, 2) of wave functions psi (n, N) in potentials (n, N); see `propagate`."""
    n, real, step = ring.points, how.real, how.dt / how.substeps
    angle = step / (2 * ring.dx**2)
    out = np.empty((len(psi), how.frames + 1, n, 2), real)
    r, i = np.empty(n + 1, real), np.empty(n + 1, real)
    rotation = [real.type(f(a)) for a in (angle / 2, angle) for f in (np.cos, np.sin)]
    for k in range(len(psi)):
        out[k, 0, :, 0], out[k, 0, :, 1] = psi[k].real, psi[k].imag
        phase = (potential[k] + 1 / ring.dx**2) * step  # with e^{−iα} of both groups
        half, whole = (np.stack([np.cos(p), np.sin(p)]).astype(real) for p in (phase / 2, phase))
        _evolve(out[k], half, whole, *rotation, how.substeps, r, i)
    return out
