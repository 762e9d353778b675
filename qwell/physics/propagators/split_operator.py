"""Strang's splitting with the kinetic energy in Fourier space.

Feit, Fleck and Steiger, J. Comp. Phys. 47, 412 (1982).

ψ(t + δ) = e^{−iVδ/2} F⁻¹ e^{−iT(k)δ} F e^{−iVδ/2} ψ(t); unitary, error O(δ²).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float

from qwell.physics.propagators.settings import Propagation, kinetic_energy
from qwell.physics.ring import Ring
from qwell.physics.waves import as_parts


def split_operator(
    psi: Complex[np.ndarray, "n points"],
    potential: Float[np.ndarray, "n points"],
    ring: Ring,
    how: Propagation,
) -> Float[np.ndarray, "n {how.frames}+1 points 2"]:
    """Frames (n, frames + 1, N, 2) of wave functions psi (n, N) in potentials (n, N); see `propagate`."""
    step = how.dt / how.substeps
    half = np.exp(-0.5j * step * potential).astype(how.complex)
    kinetic = np.exp(-1j * step * kinetic_energy(ring, how.hamiltonian)).astype(how.complex)
    whole = half * half
    out = np.empty((len(psi), how.frames + 1, ring.points), how.complex)
    out[:, 0] = psi
    for f in range(1, how.frames + 1):
        u = half * out[:, f - 1]
        for s in range(how.substeps):
            u = scipy.fft.ifft(kinetic * scipy.fft.fft(u, overwrite_x=True), overwrite_x=True)
            u *= whole if s + 1 < how.substeps else half
        out[:, f] = u
    return as_parts(out)
