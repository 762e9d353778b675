"""Chebyshev's expansion of exp(−iHt) (Tal-Ezer and Kosloff, J. Chem. Phys. 81, 3967 (1984)).

    exp(−iHt) = e^{−iĒt} Σ_k (2 − δ_k0) (−i)^k J_k(Rt) T_k((H − Ē)/R)

with [Ē − R, Ē + R] around the spectrum: from min V to max V + max T. The vectors T_k ψ do not depend on t:
they are made once for a block of frames t = Δt … mΔt, which needs about R m Δt + 30 of them instead of
m (RΔt + 25), and all frames are two products of matrices. T_k have real coefficients and H is real, so that
real and imaginary part go separately, even and odd k into two sums:

    exp(−iHt) ψ = e^{−iĒt} (A − iB) ψ
    A = Σ_{k even} (2 − δ_k0) (−1)^{k/2} J_k(Rt) T_k,   B = Σ_{k odd} 2 (−1)^{(k−1)/2} J_k(Rt) T_k

How many terms there are, and how far they can be off, is in `terms.py`.

However large R m Δt is, the T_k ψ take no more memory than `MOST_BYTES`: where they would, the sums over k
are done piece by piece.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float
from scipy.special import jv

from qwell.physics.compiled import compiled
from qwell.physics.propagators.settings import Propagation, by_potential, kinetic_energy
from qwell.physics.propagators.terms import block, bounds, error_bound
from qwell.physics.ring import Ring
from qwell.physics.waves import as_parts

MOST_BYTES = 2**28  # of the vectors T_k ψ that are held at a time


@lru_cache(maxsize=2)
def _weights(radius: float, terms: int, how: Propagation) -> tuple[np.ndarray, np.ndarray]:
    """Weights of even and odd k at t = Δt … mΔt, each (m, terms/2) in the precision of the computation."""
    times = np.arange(1, block(radius, how) + 1) * how.dt
    k = np.arange(terms)
    weights = np.where(k == 0, 1, 2) * (-1.0) ** (k // 2) * jv(k, radius * times[:, None])
    return tuple(np.ascontiguousarray(weights[:, i::2].astype(how.real)) for i in (0, 1))  # type: ignore[return-value]


def _pieces(weights: np.ndarray, vector_bytes: int) -> np.ndarray:
    """Weights (m, K/2) in pieces (p, m, K/2p), the last one filled with zeros; p = 1 if memory allows."""
    m, half = weights.shape
    size = max(MOST_BYTES // (2 * vector_bytes), 2)  # even and odd
    if half <= size:
        return weights[None]
    padded = np.pad(weights, ((0, 0), (0, -half % size)))
    return np.ascontiguousarray(padded.reshape(m, -1, size).swapaxes(0, 1))


@compiled()
def _next(
    diagonal: np.ndarray, hopping: float, current: np.ndarray, before: np.ndarray, after: np.ndarray
) -> None:
    """after ← 2 (H − Ē)/R current − before, on a ring with a ghost at both ends."""
    n = len(current) - 2
    for i in range(1, n + 1):
        after[i] = diagonal[i] * current[i] + hopping * (current[i - 1] + current[i + 1]) - before[i]
    after[0], after[n + 1] = after[n], after[1]


@compiled()
def _begin(part: np.ndarray, diagonal: np.ndarray, hopping: float, even: np.ndarray, odd: np.ndarray) -> None:
    """even[0], odd[0] ← T_0 ψ, T_1 ψ of a real vector; rows have a ghost at both ends."""
    n = len(part)
    even[0, 1 : n + 1] = part
    even[0, 0], even[0, n + 1] = part[n - 1], part[0]
    odd[0, :] = 0
    _next(diagonal, hopping, even[0], odd[0], odd[0])
    for i in range(n + 2):
        odd[0, i] *= 0.5


@compiled()
def _polynomials(diagonal: np.ndarray, hopping: float, even: np.ndarray, odd: np.ndarray) -> None:
    """even[j], odd[j] ← the following T_k ψ, j = 1, 2 …"""
    for j in range(1, len(even)):
        _next(diagonal, hopping, odd[j - 1], even[j - 1], even[j])
        _next(diagonal, hopping, even[j], odd[j - 1], odd[j])


@compiled()
def _on_lattice(
    out: np.ndarray,
    diagonal: np.ndarray,
    hopping: float,
    to_even: np.ndarray,
    to_odd: np.ndarray,
    phase: np.ndarray,
) -> None:
    """Fill out[1:] (frames, N, 2) from out[0]; weights in pieces; phase (m, 2) holds cos Ēt and sin Ēt."""
    frames, n = out.shape[0] - 1, out.shape[1]
    pieces, m, half = to_even.shape
    even, odd = np.empty((half, n + 2), out.dtype), np.empty((half, n + 2), out.dtype)
    a, b = np.empty((2, m, n + 2), out.dtype), np.empty((2, m, n + 2), out.dtype)
    for start in range(0, frames, m):
        for p in range(2):
            _begin(out[start, :, p].copy(), diagonal, hopping, even, odd)
            _polynomials(diagonal, hopping, even, odd)
            np.dot(to_even[0], even, a[p])
            np.dot(to_odd[0], odd, b[p])
            for piece in range(1, pieces):
                _next(diagonal, hopping, odd[half - 1], even[half - 1], even[0])
                _next(diagonal, hopping, even[0], odd[half - 1], odd[0])
                _polynomials(diagonal, hopping, even, odd)
                a[p] += np.dot(to_even[piece], even)
                b[p] += np.dot(to_odd[piece], odd)
        for f in range(min(m, frames - start)):
            c, s = phase[f, 0], phase[f, 1]
            row, a0, a1, b0, b1 = out[start + 1 + f], a[0, f], a[1, f], b[0, f], b[1, f]
            for i in range(n):  # (A − iB)(r + is) = (A r + B s) + i(A s − B r)
                real, imaginary = a0[i + 1] + b1[i + 1], a1[i + 1] - b0[i + 1]
                row[i, 0] = c * real + s * imaginary
                row[i, 1] = c * imaginary - s * real


@compiled()
def _combine(
    transformed: np.ndarray, local: np.ndarray, current: np.ndarray, before: np.ndarray, after: np.ndarray
) -> None:
    """after ← transformed + local · current − before, all (n, N), local (N,)."""
    for i in range(current.shape[0]):
        for j in range(current.shape[1]):
            after[i, j] = transformed[i, j] + local[j] * current[i, j] - before[i, j]


def _in_fourier_space(
    out: np.ndarray,
    t: np.ndarray,
    local: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray],
    phase: np.ndarray,
) -> None:
    """Fill out[:, 1:] (n, frames, N) complex from out[:, 0].

    t: 2T(k)/R, (N,); local: 2(V − Ē)/R, (N,); weights in pieces; phase: e^{−iĒt}, (m,).
    """
    n, frames, points = out.shape[0], out.shape[1] - 1, out.shape[2]
    pieces, m, half = weights[0].shape
    even, odd = (np.empty((half, n, points), out.dtype) for _ in range(2))
    nothing = np.zeros((n, points), out.dtype)

    def advance(current: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        transformed = scipy.fft.fft(current)
        transformed *= t
        _combine(scipy.fft.ifft(transformed, overwrite_x=True), local, current, before, after)

    for start in range(0, frames, m):
        sums: list[np.ndarray] = []
        for piece in range(pieces):
            if piece == 0:
                even[0] = out[:, start]
                advance(even[0], nothing, odd[0])
                odd[0] *= 0.5
            else:
                advance(odd[-1], even[-1], even[0])
                advance(even[0], odd[-1], odd[0])
            for j in range(1, half):
                advance(odd[j - 1], even[j - 1], even[j])
                advance(even[j], odd[j - 1], odd[j])
            parts = [
                w[piece] @ x.view(w.dtype).reshape(half, -1)
                for w, x in zip(weights, (even, odd), strict=True)
            ]
            sums = [s + p for s, p in zip(sums, parts, strict=True)] if sums else parts
        a, b = (s.view(out.dtype).reshape(m, n, points) for s in sums)
        stop = min(start + m, frames)
        made = phase[:, None, None] * (a - out.dtype.type(1j) * b)
        out[:, start + 1 : stop + 1] = made[: stop - start].transpose(1, 0, 2)


def chebyshev(
    psi: Complex[np.ndarray, "n points"],
    potential: Float[np.ndarray, "n points"],
    ring: Ring,
    how: Propagation,
) -> Float[np.ndarray, "n {how.frames}+1 points 2"]:
    """Frames (n, frames + 1, N, 2) of wave functions psi (n, N) in potentials (n, N); see `propagate`."""
    out = np.empty((len(psi), how.frames + 1, ring.points), how.complex)
    out[:, 0] = psi
    parts = as_parts(out)
    for v, mine in by_potential(potential):
        terms, (centre, radius) = error_bound(v, ring, how)[0], bounds(v, ring, how.hamiltonian)
        times = np.arange(1, block(radius, how) + 1) * how.dt
        vectors = 1 if how.hamiltonian == "lattice" else 2 * len(mine)  # real ones of N points
        vector_bytes = vectors * ring.points * how.real.itemsize
        even, odd = (_pieces(w, vector_bytes) for w in _weights(radius, terms, how))
        if how.hamiltonian == "lattice":
            phase = np.stack([np.cos(centre * times), np.sin(centre * times)], axis=1).astype(how.real)
            diagonal = np.pad(2 * (v + 1 / ring.dx**2 - centre) / radius, 1, mode="wrap").astype(how.real)
            hopping = how.real.type(-1 / (ring.dx**2 * radius))
            for i in mine:
                _on_lattice(parts[i], diagonal, hopping, even, odd, phase)
        else:
            group = out[mine]
            t = (2 * kinetic_energy(ring, how.hamiltonian) / radius).astype(how.real)
            local = (2 * (v - centre) / radius).astype(how.real)
            _in_fourier_space(group, t, local, (even, odd), np.exp(-1j * centre * times).astype(how.complex))
            out[mine] = group
    return parts
