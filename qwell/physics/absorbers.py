"""Open ends: an absorbing potential −iW(x) at both ends of the box, so that what leaves does not come back.

    W = strength · y(u)/y(1),  y(u) = u³ (4 + u)… see `Absorber`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from qwell.physics.ring import Ring


@dataclass(frozen=True)
class Absorber:
    width: float = 20.0
    strength: float = 2.0
    order: int = 3

    def on(self, ring: Ring) -> Float[np.ndarray, "points"]:
        d = np.minimum(ring.x, ring.box - ring.x)
        return self.strength * np.maximum(1 - d / self.width, 0.0) ** self.order
