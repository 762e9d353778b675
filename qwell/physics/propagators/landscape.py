"""The potentials that wave functions move in, at any time: static ones, their drives, and absorbing ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
        absorbing: W, (N,), or (0,) if nothing absorbs.
    """

    ring: Ring
    potential: Float[np.ndarray, "n points"]
    drives: Sequence[Drive]
    absorber: Absorber | None = None
    absorbing: Float[np.ndarray, "any"] = field(init=False)

    def __post_init__(self) -> None:
        layer = np.zeros(0) if self.absorber is None else self.absorber.on(self.ring)
        object.__setattr__(self, "absorbing", layer)

    def at(self, times: Float[np.ndarray, "times"]) -> Float[np.ndarray, "times n points"]:
        """V at these times, (T, n, N)."""
        out = np.empty((len(times), *self.potential.shape))
        for i, (v, drive) in enumerate(zip(self.potential, self.drives, strict=True)):
            out[:, i] = drive.on(self.ring, v, times)
        return out

    @property
    def shortest(self) -> float:
        """The time over which the drives change, about; 0 if that is not known."""
        return min(drive.shortest for drive in self.drives)
