"""Products of e^{−iV c} and e^{−iT c} in a potential that changes with time, compiled and batched.

The products are those of `compositions.py`. The absorbing potential −iW belongs to V.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float

from qwell.physics.compiled import compiled
from qwell.physics.propagators.compositions import composition
from qwell.physics.propagators.landscape import Landscape
from qwell.physics.propagators.settings import kinetic_energy

KEPT = 64  # arrays of factors that do not change from step to step
_PI = (3.141592653589793, 1.2246467991473532e-16)  # π in two parts
_SIN = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(11))
_COS = tuple((-1) ** k / math.factorial(2 * k) for k in range(11))


@compiled()
def _kick(
    u: np.ndarray, v: np.ndarray, damping: np.ndarray, step: float, cosine: np.ndarray, sine: np.ndarray
) -> None:
    """u ← damping e^{−iV step} u, V (n, N), u as pairs (n, N, 2); sine and cosine are room for (N,).

    damping: e^{−W step}, (N,), or (0,) for 1.

    sin and cos are Taylor's polynomials on [−π/2, π/2], to rounding: loops that are compiled to vectors.
    """
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            angle = step * v[i, j]
            turns = np.floor(angle / _PI[0] + 0.5)
            r = (angle - turns * _PI[0]) - turns * _PI[1]
            sign = 1.0 - 2.0 * (turns - 2.0 * np.floor(0.5 * turns))
            q = r * r
            s = _SIN[10]
            s = s * q + _SIN[9]
            s = s * q + _SIN[8]
            s = s * q + _SIN[7]
            s = s * q + _SIN[6]
            s = s * q + _SIN[5]
            s = s * q + _SIN[4]
            s = s * q + _SIN[3]
            s = s * q + _SIN[2]
            s = s * q + _SIN[1]
            s = s * q + _SIN[0]
            c = _COS[10]
            c = c * q + _COS[9]
            c = c * q + _COS[8]
            c = c * q + _COS[7]
            c = c * q + _COS[6]
            c = c * q + _COS[5]
            c = c * q + _COS[4]
            c = c * q + _COS[3]
            c = c * q + _COS[2]
            c = c * q + _COS[1]
            c = c * q + _COS[0]
            cosine[j] = sign * c
            sine[j] = sign * r * s
        if len(damping):
            for j in range(u.shape[1]):
                cosine[j] *= damping[j]
                sine[j] *= damping[j]
        for j in range(u.shape[1]):
            a, b = u[i, j, 0], u[i, j, 1]
            u[i, j, 0] = cosine[j] * a + sine[j] * b
            u[i, j, 1] = cosine[j] * b - sine[j] * a


class Splitting:
    """ψ from t to t + Δt in so many steps; V comes from the caller.

    Arguments:
        land: the potentials.
        hamiltonian: see `Propagation`.
        order: 2, 4 or 6.
    """

    def __init__(self, land: Landscape, hamiltonian: str, order: int) -> None:
        self.land, self.order = land, order
        one = composition(order, hamiltonian)
        self._a, self._b = one.kicks.tolist(), one.drifts.tolist()
        self._starts = one.times[:-1]  # of the stages, the last left out
        self._kinetic = kinetic_energy(land.ring, hamiltonian)
        self._room = np.empty((2, land.ring.points))
        self._factors: dict[float, list[np.ndarray]] = {}
        self._damping: dict[float, np.ndarray] = {}

    def nodes(self, dt: float, steps: int) -> Float[np.ndarray, "nodes"]:
        """The times within Δt at which the potential is asked for, one a stage and the last."""
        times = dt / steps * (np.arange(steps)[:, None] + self._starts).ravel()
        return np.append(times, dt)

    def __call__(
        self,
        psi: Complex[np.ndarray, "n points"],
        v: Float[np.ndarray, "nodes n points"],
        dt: float,
        steps: int,
    ) -> Complex[np.ndarray, "n points"]:
        """The wave functions after Δt, V at the nodes."""
        step = dt / steps
        u = psi.copy()
        per = len(self._b)
        for stage in range(steps * per):
            j = stage % per
            whole = self._a[j] if stage == 0 or j else self._a[0] + self._a[-1]
            self._potential(u, v[stage], whole * step)
            u = scipy.fft.fft(u, overwrite_x=True)
            np.multiply(u, self._of(step)[j], out=u, casting="same_kind")
            u = scipy.fft.ifft(u, overwrite_x=True)
        self._potential(u, v[-1], self._a[-1] * step)
        return u

    def _potential(self, u: np.ndarray, v: np.ndarray, step: float) -> None:
        pairs = u.view(u.real.dtype).reshape(*u.shape, 2)
        if step not in self._damping:
            if len(self._damping) > KEPT:
                self._damping.clear()
            self._damping[step] = np.exp(-step * self.land.absorbing)
        _kick(pairs, v, self._damping[step], step, self._room[0], self._room[1])

    def _of(self, step: float) -> list[np.ndarray]:
        """e^{−iT b_j δ} of all stages, kept; in float64, so that no norm drifts by their rounding."""
        if step not in self._factors:
            if len(self._factors) > KEPT:
                self._factors.clear()
            distinct = {b: np.exp(-1j * self._kinetic * b * step) for b in self._b}
            self._factors[step] = [distinct[b] for b in self._b]
        return self._factors[step]
