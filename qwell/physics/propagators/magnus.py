"""Magnus' expansion of fourth order without commutators, its exponentials by Chebyshev's expansion.

    U(t + δ, t) = exp(−i δ/2 (T + 2β V₁ + 2α V₂)) exp(−i δ/2 (T + 2α V₁ + 2β V₂)) + O(δ⁵)
    V₁, V₂ = V(t + (½ ∓ √3/6) δ),  α, β = ¼ ± √3/6

(S. Blanes and P. C. Moan, Appl. Numer. Math. 56, 1519 (2006); A. Alvermann and H. Fehske, J. Comput. Phys.
230, 5930 (2011)). Only the change of V with time makes an error: of a static one the step may be any.

An exponential is e^{−iĒt} Σ c_k J_k(Rt) S_k ψ with S_k = (−i)^k T_k((H − Ē)/R), so that S_{k+1} =
−2i (H − Ē)/R S_k + S_{k−1}. With an absorbing potential −iW the spectrum lies below the real axis by at most
max W, and S_k grow like ρ^k, ρ = γ + √(1 + γ²), γ = max W/R; the terms are counted with that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float
from scipy.special import jv

from qwell.errors import InvalidInput
from qwell.physics.compiled import compiled
from qwell.physics.propagators.landscape import Landscape
from qwell.physics.propagators.settings import kinetic_energy

Exponential = Callable[[np.ndarray, np.ndarray, float, float, float], np.ndarray]  # of ψ, V, Ē, R, t
LEFT_OUT = {"float64": 1e-16, "float32": 1e-8}  # of the sum of an exponential
_NODES = 0.5 + np.array([-1, 1]) * np.sqrt(3) / 6
_ALPHA, _BETA = 0.25 + np.sqrt(3) / 6, 0.25 - np.sqrt(3) / 6
MOST_TERMS = 2**18
_ROUND = 64  # radii are rounded up to so many parts of a power of two, so that coefficients are met again


@lru_cache(maxsize=2**8)
def _coefficients(z: float, growth: float, precision: str) -> np.ndarray:
    """(2 − δ_k0) J_k(z), as many as matter when S_k grow like growth^k: J_k falls faster for k > ½e z growth.

    Raises InvalidInput if these are too many.
    """
    most = max(z, 0.5 * math.e * z * growth) if growth > 1 else z
    if not most <= MOST_TERMS:
        raise InvalidInput(
            f"magnus would take {most:.1e} terms a step: the potentials or the absorbing ends are too strong"
            " for it; lower them, or --dt"
        )
    k = np.arange(int(most + 60 + 20 * z ** (1 / 3)))
    terms = np.where(k == 0, 1, 2) * jv(k, z)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by who finds NaN
        tail = np.cumsum(np.where(terms == 0, 0.0, np.abs(terms) * growth**k)[::-1])[::-1]
    kept: np.ndarray = terms[: max(int(np.argmax(tail <= LEFT_OUT[precision])), 2)].astype(precision)
    return kept


@compiled()
def _next(
    d: np.ndarray, g: np.ndarray, hopping: float, cur: np.ndarray, old: np.ndarray, out: np.ndarray, c: float
) -> None:
    """old ← −i (d − i g + hopping) cur + old on a ring, and out ← out + c · old; rows (2, N + 2), ghosts."""
    n = cur.shape[1] - 2
    for i in range(1, n + 1):
        a = d[i] * cur[0, i] + hopping * (cur[0, i - 1] + cur[0, i + 1])
        b = d[i] * cur[1, i] + hopping * (cur[1, i - 1] + cur[1, i + 1])
        old[0, i] += b
        old[1, i] -= a
    if len(g):
        for i in range(1, n + 1):
            old[0, i] -= g[i] * cur[0, i]
            old[1, i] -= g[i] * cur[1, i]
    for i in range(1, n + 1):
        out[0, i] += c * old[0, i]
        out[1, i] += c * old[1, i]
    for p in range(2):
        old[p, 0], old[p, n + 1] = old[p, n], old[p, 1]


@compiled()
def _on_lattice(
    psi: np.ndarray,
    diagonal: np.ndarray,
    g: np.ndarray,
    hopping: float,
    weights: np.ndarray,
    cosine: float,
    sine: float,
    room: np.ndarray,
) -> None:
    """ψ ← exp(−iHt) ψ for one, as pairs (N, 2). diagonal, g: 2 (V − Ē)/R and 2W/R with ghosts, (N + 2,)."""
    n = psi.shape[0]
    a, b, out = room[0], room[1], room[2]
    for p in range(2):
        for i in range(n):
            a[p, i + 1] = psi[i, p]
            out[p, i + 1] = weights[0] * psi[i, p]
        a[p, 0], a[p, n + 1] = a[p, n], a[p, 1]
    b[:] = 0
    _next(diagonal, g, hopping, a, b, out, 0.5 * weights[1])
    b *= 0.5  # S₁ = −i (H − Ē)/R S₀
    for k in range(2, len(weights), 2):
        _next(diagonal, g, hopping, b, a, out, weights[k])
        if k + 1 < len(weights):
            _next(diagonal, g, hopping, a, b, out, weights[k + 1])
    for i in range(n):
        psi[i, 0] = cosine * out[0, i + 1] + sine * out[1, i + 1]
        psi[i, 1] = cosine * out[1, i + 1] - sine * out[0, i + 1]


@compiled()
def _gather(
    kinetic: np.ndarray,
    d: np.ndarray,
    g: np.ndarray,
    cur: np.ndarray,
    old: np.ndarray,
    out: np.ndarray,
    c: float,
) -> None:
    """old ← −i (kinetic + d cur − i g cur) + old, out ← out + c · old; all (n, N, 2), d (n, N), g (N,)."""
    for i in range(cur.shape[0]):
        for j in range(cur.shape[1]):
            real = kinetic[i, j, 0] + d[i, j] * cur[i, j, 0]
            imaginary = kinetic[i, j, 1] + d[i, j] * cur[i, j, 1]
            old[i, j, 0] += imaginary
            old[i, j, 1] -= real
        if len(g):
            for j in range(cur.shape[1]):
                old[i, j, 0] -= g[j] * cur[i, j, 0]
                old[i, j, 1] -= g[j] * cur[i, j, 1]
        for j in range(cur.shape[1]):
            out[i, j, 0] += c * old[i, j, 0]
            out[i, j, 1] += c * old[i, j, 1]


class Magnus:
    """ψ from t to t + Δt in so many steps; V comes from the caller.

    Arguments:
        land: the potentials.
        hamiltonian: see `Propagation`.
    """

    order = 4

    def __init__(self, land: Landscape, hamiltonian: str) -> None:
        self.land, self.hamiltonian = land, hamiltonian
        self._kinetic = kinetic_energy(land.ring, hamiltonian)

    def nodes(self, dt: float, steps: int) -> Float[np.ndarray, "nodes"]:
        """The times within Δt at which the potential is asked for, two a step."""
        times: np.ndarray = dt / steps * (np.arange(steps)[:, None] + _NODES).ravel()
        return times

    def __call__(
        self,
        psi: Complex[np.ndarray, "n points"],
        v: Float[np.ndarray, "nodes n points"],
        dt: float,
        steps: int,
    ) -> Complex[np.ndarray, "n points"]:
        """The wave functions after Δt, V at the nodes."""
        step = dt / steps
        v = v.reshape(steps, 2, *psi.shape)
        v = 2 * np.stack([_ALPHA * v[:, 0] + _BETA * v[:, 1], _BETA * v[:, 0] + _ALPHA * v[:, 1]], axis=1)
        low, high = v.min(), v.max() + self._kinetic.max()
        radius, centre = _rounded((high - low) / 2), (high + low) / 2
        exponential: Exponential = self._lattice if self.hamiltonian == "lattice" else self._spectral
        u = psi.copy()
        for potential in v.reshape(-1, *psi.shape):
            u = exponential(u, potential, centre, radius, step / 2)
        return u

    def _weights(self, radius: float, t: float, dtype: np.dtype) -> np.ndarray:
        gamma = float(self.land.absorbing.max(initial=0.0)) / radius
        precision = "float64" if dtype == np.complex128 else "float32"
        return _coefficients(radius * t, gamma + float(np.sqrt(1 + gamma**2)), precision)

    def _lattice(self, u: np.ndarray, v: np.ndarray, centre: float, radius: float, t: float) -> np.ndarray:
        real, dx = u.real.dtype, self.land.ring.dx
        weights = self._weights(radius, t, u.dtype)
        diagonal = np.empty((len(v), v.shape[1] + 2), real)  # its ghosts are never read
        diagonal[:, 1:-1] = 2 * (v + 1 / dx**2 - centre) / radius
        absorbing = self.land.absorbing
        g = (np.pad(2 * absorbing / radius, 1) if len(absorbing) else absorbing).astype(real)
        room = np.empty((3, 2, u.shape[1] + 2), real)
        pairs = u.view(real).reshape(*u.shape, 2)
        turn = real.type(np.cos(centre * t)), real.type(np.sin(centre * t))
        hopping = real.type(-1 / (dx**2 * radius))
        for i in range(len(u)):
            _on_lattice(pairs[i], diagonal[i], g, hopping, weights, *turn, room)
        return u

    def _spectral(self, u: np.ndarray, v: np.ndarray, centre: float, radius: float, t: float) -> np.ndarray:
        real = u.real.dtype
        weights = self._weights(radius, t, u.dtype)
        d = (2 * (v - centre) / radius).astype(real)
        g = (2 * self.land.absorbing / radius).astype(real)
        factor = (2 * self._kinetic / radius).astype(real)
        out: np.ndarray = weights[0] * u
        old, cur = np.zeros_like(u), u.copy()

        def advance(cur: np.ndarray, old: np.ndarray, c: float) -> None:
            moved = scipy.fft.fft(cur)
            moved *= factor
            moved = scipy.fft.ifft(moved, overwrite_x=True)
            parts = [x.view(real).reshape(*x.shape, 2) for x in (moved, cur, old, out)]
            _gather(parts[0], d, g, *parts[1:], real.type(c))

        advance(cur, old, weights[1] / 2)
        old *= 0.5
        for weight in weights[2:]:
            cur, old = old, cur
            advance(cur, old, weight)
        out *= u.dtype.type(np.exp(-1j * centre * t))
        return out


def _rounded(radius: float) -> float:
    """A little more than it, so that its coefficients are met again."""
    unit = 2.0 ** np.floor(np.log2(radius)) / _ROUND
    return float(np.ceil(radius / unit) * unit)
