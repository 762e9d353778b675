"""Initial wave packets on a ring, all with mean position X0, width S0 and kinetic energy about E0.

    ψ₀(x) ∝ g(x − X0) exp(i √(2 E0) (x − X0)),   Σ|ψ₀|² dx = 1

    gaussian   g(u) = exp(−u²/(4 S0²))                (dynamics paper, Eq. 10)
    triangle   g(u) = max(0, 1 − |u|/(√10 S0))
    square     g(u) = 1 where |u| < √3 S0, else 0

S0 is the standard deviation of |ψ₀|² for each of them. Plug-ins bring others (`qwell.register_packet`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Complex

from qwell.errors import InvalidInput, unknown
from qwell.physics.ring import Ring
from qwell.plugins import Family

_OWN: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "gaussian": lambda u, s0: np.exp(-(u**2) / (4 * s0**2)),
    "triangle": lambda u, s0: np.maximum(0.0, 1 - np.abs(u) / (np.sqrt(10) * s0)),
    "square": lambda u, s0: (np.abs(u) < np.sqrt(3) * s0).astype(float),
}
ENVELOPES: Family[Callable[[np.ndarray, float], np.ndarray]] = Family("packets", _OWN)


def packet(
    ring: Ring, kind: str, x0: float, s0: float, e0: float, wrap: bool = True
) -> Complex[np.ndarray, "{ring.points}"]:
    """ψ₀ on the ring, (N,) complex128, normalised.

    Arguments:
        kind: of ENVELOPES.
        x0, s0, e0: as above, atomic units; 0 ≤ X0 < L, S0 > 0, E0 ≥ 0.
        wrap: distances go the shorter way round the ring. False cuts the packet at x = 0 and x = L, as the
            authors of the dynamics paper did.

    Raises InvalidInput for an unknown kind, values out of range, or momenta that the mesh cannot carry.
    """
    if kind not in ENVELOPES:
        raise InvalidInput(unknown("packet", kind, ENVELOPES))
    if not (0 <= x0 < ring.box and ring.dx <= s0 < ring.box and e0 >= 0):
        raise InvalidInput(
            f"the packet has x0 = {x0}, s0 = {s0}, e0 = {e0}; expected 0 <= x0 < {ring.box:g},"
            f" {ring.dx:.3g} <= s0 < {ring.box:g} and e0 >= 0"
        )
    momentum = np.sqrt(2 * e0)
    if momentum + 3 / (2 * s0) > np.pi / ring.dx:
        raise InvalidInput(
            f"a packet with e0 = {e0:g} and s0 = {s0:g} has momenta beyond π/dx = {np.pi / ring.dx:.3g};"
            " lower e0 or raise the number of points"
        )
    u = ring.displacement(x0) if wrap else ring.x - x0
    envelope = np.asarray(ENVELOPES[kind](u, s0))
    if envelope.shape != u.shape or not (np.isfinite(envelope).all() and envelope.any()):
        raise InvalidInput(
            f"packet {kind!r} gives an array of shape {envelope.shape}; expected {u.shape}, finite numbers"
            " that are not all zero"
        )
    psi = envelope * np.exp(1j * momentum * u)
    normed: np.ndarray = psi / np.sqrt((np.abs(psi) ** 2).sum() * ring.dx)
    return normed
