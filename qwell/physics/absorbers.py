"""Open ends: an absorbing potential −iW(x) on both sides of the seam, so that what leaves does not come back.

    W(x) = strength · (1 − d/width)³ within `width` of the seam, d the distance from it, else 0

What runs into one end passes both layers, 2·width, before it could come out at the other. How much does come
back, turned round by the slope of W or let through, is a matter of one dimension: −½ψ'' − iWψ = ½k²ψ is
integrated by Numerov's rule from the far side of the layers, where there is only an outgoing wave. A layer
with k·width ≥ 15 and strength about 3.3 k² lets no more than 1e-5 come back for momenta k … 4k.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from qwell.errors import InvalidInput
from qwell.physics.ring import Ring

POWER = 3
FASTEST = 60.0  # k·width of the fastest waves that the layer is made for
FINENESS = 60  # points a wavelength of Numerov's rule: an error of 1e-6
MOST_POINTS = 2**18


@dataclass(frozen=True)
class Absorber:
    """The layer above.

    Arguments:
        width: of the layer at each end of the box, Bohr.
        strength: W at the seam, Hartree.

    Raises InvalidInput for numbers that are not positive.
    """

    width: float = 15.0
    strength: float = 3.3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) not in (int, float) or not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"{name} of the absorbing ends is {value!r}; it must be a positive number")

    def on(self, ring: Ring) -> Float[np.ndarray, "{ring.points}"]:
        """W on the ring, (N,) float64, Hartree.

        Raises InvalidInput if the layers leave no room between them, or hold no point.
        """
        if self.width < ring.dx:
            raise InvalidInput(
                f"the absorbing ends are {self.width:g} wide, less than the {ring.dx:g} between two points;"
                " make them wider"
            )
        if 2 * self.width >= ring.box:
            raise InvalidInput(
                f"the absorbing ends are {self.width:g} wide each, and the box {ring.box:g}; make them less"
                " than half of it"
            )
        distance = np.minimum(ring.x, ring.box - ring.x)
        layer: np.ndarray = self.strength * np.maximum(1 - distance / self.width, 0.0) ** POWER
        return layer

    def detectors(self, ring: Ring) -> tuple[int, int]:
        """The points of the mesh beside the layers, left and right, where the flux out is measured."""
        left = math.ceil(self.width / ring.dx)
        return left, ring.points - left

    def comes_back(self, ring: Ring) -> Float[np.ndarray, "{ring.points}"]:
        """exp(−∫ W dx/k) from x to the edge of the layer, (N,): what is left of an amplitude that leaves the
        layer from there with the momentum k = 60/width, four times the least that the layer is made for."""
        distance = np.minimum(ring.x, ring.box - ring.x)
        depth = np.maximum(1 - distance / self.width, 0.0)
        path = self.strength * self.width * depth ** (POWER + 1) / (POWER + 1)
        left: np.ndarray = np.exp(-path * self.width / FASTEST)
        return left

    @np.errstate(all="ignore")
    def returned(self, momenta: Float[np.ndarray, "k"]) -> Float[np.ndarray, "k"]:
        """The share of |ψ|² that comes back into the box, by either end, for waves of momenta k > 0, (k,).

        Raises InvalidInput for layers that are too strong for the integration.
        """
        k = np.asarray(momenta, dtype=float)
        fastest = max(k.max(), math.sqrt(2 * self.strength))  # waves are as short as this in the layers
        count = min(int(2 * self.width * fastest / (2 * np.pi) * FINENESS) + 200, MOST_POINTS)
        x = np.linspace(0, 2 * self.width, count + 1)
        h = x[1]
        w = self.strength * np.maximum(1 - np.abs(x - self.width) / self.width, 0.0) ** POWER
        outside = 1 + h * h / 12 * k**2
        here, after, f_after = np.ones(len(k), complex), np.exp(1j * k * h), outside.astype(complex)
        for j in range(count, -1, -1):
            f = 1 + h * h / 12 * (k**2 + 2j * w[j])
            f_before = 1 + h * h / 12 * (k**2 + 2j * w[j - 1]) if j else outside
            here, after, f_after = ((12 - 10 * f) * here - f_after * after) / f_before, here, f
        phase = np.exp(-1j * k * h)
        forward = (here - after / phase) / (phase - 1 / phase)
        back: np.ndarray = np.abs((after - forward) / forward) ** 2 + np.abs(1 / forward) ** 2
        if not np.isfinite(back).all():
            raise InvalidInput(
                f"absorbing ends of strength {self.strength:g} are too strong to know what comes back from"
                " them; lower strength"
            )
        return back

    def to_json(self) -> dict[str, float]:
        """As plain JSON; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, obj: Any) -> Absorber:
        """Build from untrusted JSON; InvalidInput on anything else."""
        if not isinstance(obj, Mapping) or set(obj) - {"width", "strength"}:
            raise InvalidInput(
                f"absorbing ends have the numbers width and strength, not {str(obj)[:80]}; write"
                " width=15:strength=3.3"
            )
        return cls(**obj)
