"""Magnus' expansion of fourth order without commutators, its exponentials by Chebyshev's expansion.

    U(t + δ, t) = exp(−i δ/2 (T + 2β V₁ + 2α V₂)) exp(−i δ/2 (T + 2α V₁ + 2β V₂)) + O(δ⁵)
    V₁, V₂ = V(t + (½ ∓ √3/6) δ),  α, β = ¼ ± √3/6

(S. Blanes and P. C. Moan, Appl. Numer. Math. 56, 1519 (2006); A. Alvermann and H. Fehske, J. Comput. Phys.
230, 5930 (2011)). Only the change of V with time makes an error: of a static one the step may be any.

An exponential is e^{−iĒt} Σ (2 − δ_k0) J_k(Rt) S_k ψ with S_k = (−i)^k T_k((H − Ē)/R), as many terms as the
tolerance asks. With an absorbing potential −iW the spectrum lies below the real axis by at most max W, and
S_k grow like ρ^k, ρ = γ + √(1 + γ²), γ = max W/R; the terms are counted with that.
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

Exponentials = Callable[[np.ndarray, np.ndarray, float, float, float], np.ndarray]  # of ψ, each V, Ē, R, t
LEFT_OUT = {"float64": 1e-16, "float32": 1e-8}  # of the sum of an exponential at least
_NODES = 0.5 + np.array([-1, 1]) * np.sqrt(3) / 6
_MIXED = 0.5 + np.array([[1, -1], [-1, 1]]) * np.sqrt(3) / 3  # 2α and 2β
MOST_TERMS = 2**18
_ROUND = 64  # radii are rounded up to so many parts of a power of two, so that coefficients are met again


@lru_cache(maxsize=2**8)
def _coefficients(z: float, growth: float, precision: str, left_out: float) -> np.ndarray:
    """2 J_k(z), as many as matter when S_k grow like growth^k: J_k falls faster for k > ½e z growth.

    The number of them is even, and what is left out of the sum is at most `left_out`.

    Raises InvalidInput if these are too many.
    """
    most = max(z, 0.5 * math.e * z * growth) if growth > 1 else z
    if not most <= MOST_TERMS:
        raise InvalidInput(
            f"magnus would take {most:.1e} terms a step: the potentials or the absorbing ends are too strong"
            " for it; lower them, or --dt"
        )
    k = np.arange(int(most + 60 + 20 * z ** (1 / 3)))
    terms = 2 * jv(k, z)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by who finds NaN
        tail = np.cumsum(np.where(terms == 0, 0.0, np.abs(terms) * growth**k)[::-1])[::-1]
    count = max(int(np.argmax(tail <= max(left_out, LEFT_OUT[precision]))), 2)
    kept: np.ndarray = terms[: count + count % 2].astype(precision)
    return kept


@compiled()
def _back(
    d: np.ndarray,
    g: np.ndarray,
    hopping: float,
    cur: np.ndarray,
    old: np.ndarray,
    psi: np.ndarray,
    c: float,
    odd: bool,
) -> None:
    """old ← (d − i g + hopping) cur − old + c ψ, or − i c ψ if odd, on a ring; all (2, N + 2)."""
    n = cur.shape[1] - 2
    if len(g):
        for i in range(1, n + 1):
            old[0, i] -= g[i] * cur[1, i]
            old[1, i] += g[i] * cur[0, i]
    for p in range(2):
        source = psi[1 - p] if odd else psi[p]
        part = -c if odd and p else c
        for i in range(1, n + 1):
            near = hopping * (cur[p, i - 1] + cur[p, i + 1])
            old[p, i] = d[i] * cur[p, i] + near - old[p, i] + part * source[i]
        old[p, 0], old[p, n + 1] = old[p, n], old[p, 1]


@compiled()
def _on_lattice(
    waves: np.ndarray,
    potentials: np.ndarray,
    absorbing: np.ndarray,
    line: tuple[float, float, float],
    weights: np.ndarray,
    turn: tuple[float, float],
    room: np.ndarray,
) -> None:
    """ψ ← exp(−iHt) ψ for each H in turn, ψ as pairs (n, N, 2), by Clenshaw's recurrence, M = 2 (H − Ē)/R:

        b_k = M b_{k+1} − b_{k+2} + (−i)^k 2 J_k(Rt) ψ,  e^{−iHt} ψ = ½ e^{−iĒt} (b_0 − b_2)

    Arguments:
        potentials: V − Ē, (exponentials, n, N).
        absorbing: W, (N,) or (0,).
        line: a, b, h: M is a (V − Ē) + b, and h between neighbours.
        weights: (−1)^⌊k/2⌋ 2 J_k(Rt), an even number of them.
        turn: cos Ēt and sin Ēt.
        room: (4, 2, N + 2).
    """
    n = waves.shape[1]
    factor, shift, hopping = line
    cosine, sine = turn
    psi, a, b, d = room[0], room[1], room[2], room[3, 0]
    g = room[3, 1, : len(absorbing) and n + 2]
    for i in range(len(absorbing)):
        g[i + 1] = factor * absorbing[i]
    for m in range(waves.shape[0]):
        wave = waves[m]
        for e in range(potentials.shape[0]):
            for i in range(n):
                d[i + 1] = factor * potentials[e, m, i] + shift
                psi[0, i + 1], psi[1, i + 1] = wave[i, 0], wave[i, 1]
            for p in range(2):
                psi[p, 0], psi[p, n + 1] = psi[p, n], psi[p, 1]
            last = weights[-1]
            for i in range(n + 2):  # b_{K−1}, where all before are 0
                a[0, i], a[1, i] = 0, 0
                b[0, i], b[1, i] = last * psi[1, i], -last * psi[0, i]
            for k in range(len(weights) - 2, 0, -2):
                _back(d, g, hopping, b, a, psi, weights[k], False)
                _back(d, g, hopping, a, b, psi, weights[k - 1], True)
            a *= 2
            _back(d, g, hopping, b, a, psi, weights[0], False)
            for i in range(n):
                real, imaginary = 0.5 * a[0, i + 1], 0.5 * a[1, i + 1]
                wave[i, 0] = cosine * real + sine * imaginary
                wave[i, 1] = cosine * imaginary - sine * real


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
        left_out: error that the exponentials of a call may have together.
    """

    order = 4

    def __init__(self, land: Landscape, hamiltonian: str, left_out: float = 0.0) -> None:
        self.land, self.hamiltonian, self.left_out = land, hamiltonian, left_out
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
        v = _MIXED @ v.reshape(steps, 2, -1)
        low, high = v.min(), v.max() + self._kinetic.max()
        radius, centre = _rounded((high - low) / 2), (high + low) / 2
        exponentials: Exponentials = self._lattice if self.hamiltonian == "lattice" else self._spectral
        return exponentials(psi.copy(), v.reshape(-1, *psi.shape), centre, radius, step / 2)

    def _weights(self, radius: float, t: float, dtype: np.dtype, exponentials: int) -> np.ndarray:
        gamma = float(self.land.absorbing.max(initial=0.0)) / radius
        precision = "float64" if dtype == np.complex128 else "float32"
        each = 2.0 ** np.floor(np.log2(self.left_out / exponentials)) if self.left_out else 0.0
        return _coefficients(radius * t, gamma + float(np.sqrt(1 + gamma**2)), precision, each)

    def _lattice(self, u: np.ndarray, v: np.ndarray, centre: float, radius: float, t: float) -> np.ndarray:
        real, dx = u.real.dtype, self.land.ring.dx
        weights = self._weights(radius, t, u.dtype, len(v))
        weights = weights * np.array([1, 1, -1, -1], real)[np.arange(len(weights)) % 4]
        line = 2 / radius, 2 / (dx**2 * radius), -1 / (dx**2 * radius)
        turn = np.cos(centre * t), np.sin(centre * t)
        _on_lattice(
            u.view(real).reshape(*u.shape, 2),
            (v - centre).astype(real, copy=False),  # before digits are lost
            self.land.absorbing.astype(real, copy=False),
            tuple(map(real.type, line)),
            weights,
            tuple(map(real.type, turn)),
            np.empty((4, 2, u.shape[1] + 2), real),
        )
        return u

    def _spectral(self, u: np.ndarray, v: np.ndarray, centre: float, radius: float, t: float) -> np.ndarray:
        weights = self._weights(radius, t, u.dtype, len(v))
        for potential in v:
            u = self._one(u, potential, centre, radius, t, weights)
        return u

    def _one(
        self, u: np.ndarray, v: np.ndarray, centre: float, radius: float, t: float, weights: np.ndarray
    ) -> np.ndarray:
        real = u.real.dtype
        d = (2 * (v - centre) / radius).astype(real)
        g = (2 * self.land.absorbing / radius).astype(real)
        factor = (2 * self._kinetic / radius).astype(real)
        out: np.ndarray = 0.5 * weights[0] * u
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
