"""Exact propagation: H is diagonalised once a potential, ψ(t) = Q e^{−iEt} Qᵀ ψ(0).

Error: rounding only, some 1e-13 in float64. All frames are one product of matrices, which is what a GPU does
best: with `device` it is made there, by torch.

`truncated_eigen` leaves out states that ψ(0) hardly has. The parts in different states are orthogonal and
keep their norms, so that ‖error(t)‖² = Σ |⟨q_j|ψ(0)⟩|² over those left out, alike at every t.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float, Int
from scipy.linalg import circulant, eigh

from qwell.errors import DeviceUnavailable, extras_needed
from qwell.physics.propagators.settings import Propagation, by_potential, kinetic_energy
from qwell.physics.ring import Ring
from qwell.physics.waves import as_parts


@lru_cache(maxsize=4)
def _states(potential: bytes, ring: Ring, hamiltonian: str) -> tuple[np.ndarray, np.ndarray]:
    """Energies (N,) and eigenvectors (N, N), column by column, float64."""
    kinetic = circulant(np.fft.ifft(kinetic_energy(ring, hamiltonian)).real)
    states: tuple[np.ndarray, np.ndarray] = eigh(
        kinetic + np.diag(np.frombuffer(potential)), overwrite_a=True, check_finite=False
    )
    return states


def eigen(
    psi: Complex[np.ndarray, "n points"],
    potential: Float[np.ndarray, "n points"],
    ring: Ring,
    how: Propagation,
) -> Float[np.ndarray, "n {how.frames}+1 points 2"]:
    """Frames (n, frames + 1, N, 2) of wave functions psi (n, N) in potentials (n, N); see `propagate`."""
    if how.device != "cpu":
        return eigen_on(how.device, psi, potential, ring, how)
    out = np.empty((len(psi), how.frames + 1, ring.points, 2), how.real)
    times = np.arange(how.frames + 1) * how.dt
    for k in range(len(psi)):
        values, vectors = _states(potential[k].astype(float).tobytes(), ring, how.hamiltonian)
        phases = np.exp(-1j * times[:, None] * values) * (psi[k] @ vectors)
        back = np.ascontiguousarray(vectors.T.astype(how.real))
        out[k, :, :, 0] = phases.real.astype(how.real) @ back
        out[k, :, :, 1] = phases.imag.astype(how.real) @ back
    return out


def truncated_eigen(
    psi: Complex[np.ndarray, "n points"],
    potential: Float[np.ndarray, "n points"],
    ring: Ring,
    how: Propagation,
) -> Float[np.ndarray, "n {how.frames}+1 points 2"]:
    """The same by the fewest states with which ‖error‖ ≤ tolerance · ‖ψ(0)‖ at all times, rounding aside."""
    assert how.tolerance is not None  # by `Propagation`
    out = np.empty((len(psi), how.frames + 1, ring.points, 2), how.real)
    times = np.arange(1, how.frames + 1) * how.dt
    for k in range(len(psi)):
        values, vectors = _states(potential[k].astype(float).tobytes(), ring, how.hamiltonian)
        amplitudes = psi[k] @ vectors
        kept = _needed(np.abs(amplitudes) ** 2, how.tolerance**2)
        phases = np.exp(-1j * times[:, None] * values[kept]) * amplitudes[kept]
        back = np.ascontiguousarray(vectors[:, kept].T.astype(how.real))
        out[k, 0] = as_parts(psi[k])
        out[k, 1:, :, 0] = phases.real.astype(how.real) @ back
        out[k, 1:, :, 1] = phases.imag.astype(how.real) @ back
    return out


def _needed(weights: Float[np.ndarray, "points"], share: float) -> Int[np.ndarray, "kept"]:
    """Numbers of the fewest weights, ascending, without which less than a share of the sum would be left."""
    order = np.argsort(weights, kind="stable")
    dropped = np.searchsorted(np.cumsum(weights[order]), share * weights.sum(), side="right")
    return np.sort(order[dropped:])


def eigen_on(
    device: str,
    psi: Complex[np.ndarray, "n points"],
    potential: Float[np.ndarray, "n points"],
    ring: Ring,
    how: Propagation,
) -> Float[np.ndarray, "n {how.frames}+1 points 2"]:
    """The same on a device of torch; products in the precision asked for, energies and phases in float64.

    Raises DeviceUnavailable if torch has no such device, MissingExtra if torch is not installed.
    """
    with extras_needed():
        import torch

    try:
        where = torch.device(device)
        kinetic = circulant(np.fft.ifft(kinetic_energy(ring, how.hamiltonian)).real)
        hamiltonian = torch.tensor(kinetic, device=where)
    except (RuntimeError, AssertionError) as error:
        raise DeviceUnavailable(f"device {device!r} is not there: {error}; choose --device cpu") from error
    real = torch.float64 if how.precision == "float64" else torch.float32
    times = torch.arange(how.frames + 1, device=where, dtype=torch.float64) * how.dt
    out = np.empty((len(psi), how.frames + 1, ring.points, 2), how.real)
    for v, mine in by_potential(potential):
        values, vectors = torch.linalg.eigh(hamiltonian + torch.diag(torch.tensor(v, device=where)))
        start = torch.tensor(psi[mine].astype(complex), device=where)
        amplitudes = torch.complex(start.real @ vectors, start.imag @ vectors)
        phases = torch.exp(-1j * times[:, None] * values)
        back = vectors.T.to(real).contiguous()
        for k, row in enumerate(mine):
            parts = torch.view_as_real(amplitudes[k] * phases).to(real)
            made = torch.stack([parts[..., 0] @ back, parts[..., 1] @ back], dim=-1)
            out[row] = made.cpu().numpy()
    return out
