"""Exact propagation: H is diagonalised once a potential, ψ(t) = Q e^{−iEt} Qᵀ ψ(0).

Error: rounding only, some 1e-14 in float64.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.linalg import circulant, eigh

from qwell.datagen.propagators.settings import Propagation, kinetic_energy
from qwell.datagen.ring import Ring


@lru_cache(maxsize=4)
def _states(potential: bytes, ring: Ring, hamiltonian: str) -> tuple[np.ndarray, np.ndarray]:
    """Energies (N,) and eigenvectors (N, N), column by column, float64."""
    kinetic = circulant(np.fft.ifft(kinetic_energy(ring, hamiltonian)).real)
    return eigh(kinetic + np.diag(np.frombuffer(potential)), overwrite_a=True, check_finite=False)


def eigen(psi: np.ndarray, potential: np.ndarray, ring: Ring, how: Propagation) -> np.ndarray:
    """Frames (n, frames + 1, N, 2) of wave functions psi (n, N) in potentials (n, N); see `propagate`."""
    out = np.empty((len(psi), how.frames + 1, ring.points, 2), how.real)
    times = np.arange(how.frames + 1) * how.dt
    for k in range(len(psi)):
        values, vectors = _states(potential[k].astype(float).tobytes(), ring, how.hamiltonian)
        phases = np.exp(-1j * times[:, None] * values) * (psi[k] @ vectors)
        back = np.ascontiguousarray(vectors.T.astype(how.real))
        out[k, :, :, 0] = phases.real.astype(how.real) @ back
        out[k, :, :, 1] = phases.imag.astype(how.real) @ back
    return out
