"""Terms that Chebyshev's expansion takes (`chebyshev.py`), and its error: known before anything is made.

Error of K terms, without rounding: at most 2 Σ_{k≥K} |J_k(R m Δt)| a block of m frames, since |T_k| ≤ 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.special import jv

from qwell.errors import InvalidInput
from qwell.physics.propagators.settings import Propagation, kinetic_energy
from qwell.physics.ring import Ring

TOGETHER = {"lattice": 4, "spectral": 8}  # frames a block; more would not stay in the cache
MOST_TERMS = 2**20  # R m Δt of a block


def block(radius: float, how: Propagation) -> int:
    """m, frames made together: fewer where the spectrum is wide.

    Raises InvalidInput if a single frame is too much.
    """
    a_frame = radius * how.dt
    if a_frame > MOST_TERMS:
        raise InvalidInput(
            f"chebyshev would take {a_frame:.2g} terms a frame, at most {MOST_TERMS:,} are allowed: choose"
            " --propagator eigen, a smaller --dt, fewer --points or lower potentials"
        )
    return max(int(min(TOGETHER[how.hamiltonian], how.frames, MOST_TERMS / a_frame)), 1)


def bounds(potential: Float[np.ndarray, "*n points"], ring: Ring, hamiltonian: str) -> tuple[float, float]:
    """Ē and R: the spectrum of T + V lies in [Ē − R, Ē + R]."""
    low, high = potential.min(), potential.max() + _fastest(ring, hamiltonian)
    return float(high + low) / 2, float(high - low) / 2


@lru_cache
def _fastest(ring: Ring, hamiltonian: str) -> float:
    """max T."""
    return float(kinetic_energy(ring, hamiltonian).max())


def error_bound(potential: Float[np.ndarray, "points"], ring: Ring, how: Propagation) -> tuple[int, float]:
    """Terms a block, and the bound on ‖error‖ after all frames, for one potential (N,).

    The number of terms is the smallest whose bound is below the tolerance, or what float64 can express; it is
    even.

    Raises InvalidInput if there would be too many.
    """
    radius = bounds(potential, ring, how.hamiltonian)[1]
    blocks = frame_blocks(potential, ring, how)
    return _terms(radius * how.dt * block(radius, how), blocks, max(how.tolerance or 0.0, 1e-15))


def frame_blocks(potential: Float[np.ndarray, "points"], ring: Ring, how: Propagation) -> int:
    """Blocks that the frames are made in, in one potential (N,)."""
    return -(-how.frames // block(bounds(potential, ring, how.hamiltonian)[1], how))


@lru_cache(maxsize=2**12)
def _terms(z: float, blocks: int, tolerance: float) -> tuple[int, float]:
    """K and 2 Σ_{k≥K} |J_k(z)| · blocks. |J_k(z)| falls beyond k = z: sums that begin there are enough."""
    most = int(z + 40 + 12 * z ** (1 / 3))  # J_k(z) has long vanished
    for first in (int(z), 0):
        terms = np.abs(jv(np.arange(first, most), z))
        tail = 2 * np.append(np.cumsum(terms[::-1])[::-1], 0.0) * blocks
        if tail[0] > tolerance:
            break
    count = first + int(np.argmax(tail <= tolerance))
    count = max(count + count % 2, 2)
    return count, float(tail[count - first])
