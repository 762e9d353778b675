"""The potentials that wave functions move in, at any time: static ones, their drives, and absorbing ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from qwell.physics.absorbers import Absorber
from qwell.physics.drives import Drive
from qwell.physics.ring import Ring


@dataclass(frozen=True)
class Landscape:
    """V_i(x, t) − i W(x) of n wave functions.

    Arguments:
        ring: the box.
        potential: V(x), (n, N) float64.
        drives: one a wave function.
        absorber: of all; None if the ends are not open.
    """

    ring: Ring
    potential: np.ndarray
    drives: Sequence[Drive]
    absorber: Absorber | None = None

    def at(self, times: Float[np.ndarray, "times"]) -> Float[np.ndarray, "times n points"]:
        """V at these times, (T, n, N)."""
        out = np.empty((len(times), *self.potential.shape))
        for i, (v, drive) in enumerate(zip(self.potential, self.drives, strict=True)):
            out[:, i] = drive.on(self.ring, v, times)
        return out

    @cached_property
    def absorbing(self) -> Float[np.ndarray, "any"]:
        """W, (N,), or (0,) if nothing absorbs."""
        return np.zeros(0) if self.absorber is None else self.absorber.on(self.ring)

    @property
    def shortest(self) -> float:
        """The time over which the drives change, about; 0 if that is not known."""
        return min(drive.shortest for drive in self.drives)
