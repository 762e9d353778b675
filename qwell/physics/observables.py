"""What is measured of wave functions on their way, so that these need not be kept.

norm        Σ|ψ|² dx
position    ⟨x⟩ = Σ x|ψ|² dx / norm,  0 ≤ x < L
momentum    ⟨p⟩ = Σ p(k)|ψ̂|² / Σ|ψ̂|², p = k, or sin(k dx)/dx on the lattice
energy      ⟨T + V(x, t)⟩ / norm
flux        j = Im ψ* ∂ψ/∂x at a point, on the lattice of the bond that begins there
population  |⟨φ_j|ψ⟩|² of the eigenstates φ_j of T + V(x), without the drive
spectrum    |∫ w(t) d(t) e^{iωt} dt|² of the dipole d = ⟨x⟩ − L/2, w = Hann's window sin²(πt/T)
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float
from scipy.interpolate import CubicSpline
from scipy.linalg import circulant, eigh

from qwell.physics.propagators.settings import kinetic_energy
from qwell.physics.ring import Ring

SAME = 1e-12  # of the largest energy: differences of levels that rounding may hide
PER_FRAME = {
    "norm": ("1", "norm of the wave function"),
    "position": ("bohr", "mean position <x>"),
    "momentum": ("hbar/bohr", "mean momentum <p>"),
    "energy": ("hartree", "mean energy <T + V(x, t)>"),
    "flux_left": ("hartree/hbar", "probability a time that leaves through the left detector"),
    "flux_right": ("hartree/hbar", "probability a time that leaves through the right detector"),
    "transmitted_left": ("1", "probability that has left through the left detector"),
    "transmitted_right": ("1", "probability that has left through the right detector"),
}


def observe(
    psi: Complex[np.ndarray, "frames points"],
    potential: Float[np.ndarray, "frames points"],
    times: Float[np.ndarray, "frames"],
    ring: Ring,
    hamiltonian: str,
    detectors: tuple[int, int],
) -> dict[str, Float[np.ndarray, "frames"]]:
    """The numbers of PER_FRAME of one simulation, (frames,) float64 each.

    Arguments:
        psi: its frames; potential: V(x, t) at the frames.
        times: of the frames.
        ring, hamiltonian: see `Propagation`.
        detectors: points of the mesh, left and right, through which the flux out is measured.
    """
    density, weight = np.abs(psi) ** 2, np.abs(transformed := np.fft.fft(psi)) ** 2
    total, in_all = density.sum(axis=1), weight.sum(axis=1)
    p = ring.k if hamiltonian == "spectral" else np.sin(ring.k * ring.dx) / ring.dx
    flux = [_flux(psi, transformed, ring, hamiltonian, place) for place in detectors]
    out = {"flux_left": -flux[0], "flux_right": flux[1]}
    return {
        "norm": total * ring.dx,
        "position": density @ ring.x / total,
        "momentum": weight @ p / in_all,
        "energy": weight @ kinetic_energy(ring, hamiltonian) / in_all
        + np.einsum("tx,tx->t", density, potential) / total,
        **out,
        **{f"transmitted_{name[5:]}": _integral(times, values) for name, values in out.items()},
    }


def _flux(psi: np.ndarray, transformed: np.ndarray, ring: Ring, hamiltonian: str, place: int) -> np.ndarray:
    """The current at a point, towards larger x, (frames,)."""
    if hamiltonian == "lattice":
        current: np.ndarray = (psi[:, place].conj() * psi[:, (place + 1) % ring.points]).imag / ring.dx
        return current
    k = np.where(np.arange(ring.points) == ring.points // 2, 0.0, ring.k)  # whose derivative is not defined
    slope = transformed @ (1j * k * np.exp(1j * ring.k * ring.x[place])) / ring.points
    current = (psi[:, place].conj() * slope).imag
    return current


def _integral(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """∫ from the first time, at all times; exact for cubic splines through the values."""
    if len(times) < 4:
        return np.concatenate([[0.0], np.cumsum(np.diff(times) * (values[1:] + values[:-1]) / 2)])
    integral: np.ndarray = CubicSpline(times, values).antiderivative()(times)
    return integral


def eigenstates(
    potential: Float[np.ndarray, "points"], ring: Ring, hamiltonian: str, levels: int
) -> tuple[Float[np.ndarray, "levels"], Float[np.ndarray, "levels points"]]:
    """Energies (levels,) and eigenstates (levels, N) of T + V, Σφ² dx = 1, the largest value positive.

    Among states of the same energy, as in a lattice on a ring, those are taken that x does not mix, in the
    order of ⟨x⟩, so that populations do not depend on the machine.
    """
    return _eigenstates(np.asarray(potential, dtype=float).tobytes(), ring, hamiltonian, levels)


@lru_cache(maxsize=32)
def _eigenstates(
    potential: bytes, ring: Ring, hamiltonian: str, levels: int
) -> tuple[np.ndarray, np.ndarray]:
    kinetic, v = circulant(np.fft.ifft(kinetic_energy(ring, hamiltonian)).real), np.frombuffer(potential)
    h, count = kinetic + np.diag(v), levels
    while True:  # until no level is left without those of the same energy
        found, vectors = eigh(h, subset_by_index=(0, min(count, ring.points - 1)), check_finite=False)
        apart = np.flatnonzero(np.diff(found) > SAME * np.abs(h).sum(axis=1).max()) + 1
        if len(found) == ring.points or apart.max(initial=0) >= levels:
            break
        count *= 2
    for group in np.split(np.arange(len(found)), apart):
        if len(group) > 1 and group[0] < levels:
            some = vectors[:, group]
            vectors[:, group] = some @ eigh(some.T @ (ring.x[:, None] * some))[1]
    energies, states = found[:levels], vectors.T[:levels] / np.sqrt(ring.dx)
    signs = np.sign(np.take_along_axis(states, np.abs(states).argmax(axis=1)[:, None], axis=1))
    return energies, np.ascontiguousarray(states * signs)


def populations(
    psi: Complex[np.ndarray, "frames points"], states: Float[np.ndarray, "levels points"], ring: Ring
) -> Float[np.ndarray, "frames levels"]:
    """|⟨φ_j|ψ⟩|² at all frames, (frames, levels)."""
    shares: np.ndarray = np.abs(psi @ states.T * ring.dx) ** 2
    return shares


def spectrum(
    position: Float[np.ndarray, "frames"], ring: Ring, dt: float
) -> Float[np.ndarray, "frequencies"]:
    """|∫ w d e^{iωt} dt|² at ω = `frequencies`, of ⟨x⟩ at the frames, (frames//2 + 1,) Bohr²(ħ/Hartree)²."""
    window = np.sin(np.pi * np.arange(len(position)) / (len(position) - 1)) ** 2
    size: np.ndarray = np.abs(np.fft.rfft(window * (position - ring.box / 2)) * dt) ** 2
    return size


def frequencies(frames: int, dt: float) -> Float[np.ndarray, "frequencies"]:
    """ω of `spectrum` for so many frames, Hartree/ħ."""
    return 2 * np.pi * np.fft.rfftfreq(frames, dt)
