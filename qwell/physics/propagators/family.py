"""The one entrance to the family of propagators."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from jaxtyping import Complex, Float

from qwell.errors import InvalidInput
from qwell.physics.propagators.settings import METHODS, Method, Propagation
from qwell.physics.ring import Ring


def propagate(
    psi: Complex[np.ndarray, "*n points"],
    potential: Float[np.ndarray, "*v points"],
    ring: Ring,
    how: Propagation,
) -> Float[np.ndarray, "rows {how.frames}+1 points 2"]:
    """ψ(0), ψ(Δt) … ψ(frames·Δt) of many wave functions.

    Arguments:
        psi: (n, N) complex, or (N,) for one.
        potential: (n, N), or (N,) for all, Hartree.
        ring: the box.
        how: method, Hamiltonian, times, precision.

    Returns: (n, frames + 1, N, 2), real and imaginary part last, in the precision asked for. All methods
    are unitary to rounding; `chebyshev` errs by less than the tolerance (and, in float32, 1e-4 over 500
    frames), `eigen` by rounding, the splittings by O(substep²).

    Raises InvalidInput if shapes do not fit, or values are not finite.
    """
    psi = np.atleast_2d(psi)
    if potential.shape == psi.shape[1:]:
        potential = np.broadcast_to(potential, psi.shape)
    if psi.shape != potential.shape or psi.shape[1] != ring.points:
        raise InvalidInput(
            f"wave functions have shape {psi.shape} and potentials {potential.shape}; expected"
            f" (n, {ring.points})"
        )
    if not (np.isfinite(psi).all() and np.isfinite(potential).all()):
        raise InvalidInput("a wave function or potential holds NaN or infinity")
    frames: np.ndarray = _method(how.method)(psi, np.ascontiguousarray(potential, dtype=float), ring, how)
    expected = (len(psi), how.frames + 1, ring.points, 2)
    if np.shape(frames) != expected:
        raise InvalidInput(
            f"propagator {how.method!r} gives an array of shape {np.shape(frames)}; expected {expected}"
        )
    return frames


def _method(name: str) -> Method:
    """The function of a method."""
    place = METHODS[name]
    if not isinstance(place, str):
        return place
    module, _, function = place.partition(":")
    method: Method = getattr(import_module(module), function)
    return method
