"""Symmetric compositions of kinetic and potential steps, of second, fourth and sixth order.

    e^{−i(T + V)δ} ≈ e^{−ib₀Vδ} e^{−ia₁Tδ} e^{−ib₁Vδ} … e^{−ia_sTδ} e^{−ib_sVδ} + O(δ^{p+1})

with Σa = Σb = 1, the same read backwards. Where V depends on the time, it is taken at
t + (a₁ + … + a_j)δ: the time is one more coordinate that moves with T. Coefficients by Blanes and Moan,
J. Comp. Appl. Math. 142, 313 (2002): for T quadratic in the momentum ("spectral") those of Runge, Kutta and
Nyström (their SRKN_6^b and SRKN_11^b), for any other ("lattice") those of S6 and S10, with V for their A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from qwell.errors import InvalidInput

ORDERS = (2, 4, 6)
# The first half of b₀ …, and of a₁ …, but for the last of each, which follow from the sums.
_QUADRATIC = {
    2: ((), ()),
    4: (
        (0.0829844064174052, 0.396309801498368, -0.0390563049223486),
        (0.245298957184271, 0.604872665711080),
    ),
    6: (
        (0.0414649985182624, 0.198128671918067, -0.0400061921041533, 0.0752539843015807, -0.0115113874206879),
        (0.123229775946271, 0.290553797799558, -0.127049212625417, -0.246331761062075, 0.357208872795928),
    ),
}
_GENERAL = {
    2: ((), ()),
    4: (
        (0.0792036964311957, 0.353172906049774, -0.0420650803577195),
        (0.209515106613362, -0.143851773179818),
    ),
    6: (
        (0.0502627644003922, 0.413514300428344, 0.0450798897943977, -0.188054853819569, 0.541960678450780),
        (0.148816447901042, -0.132385865767784, 0.067307604692185, 0.432666402578175),
    ),
}


@dataclass(frozen=True)
class Composition:
    """One step: `kicks` b (s + 1,) by V at the `times` (s + 1,), with `drifts` a (s,) by T between them; all
    in units of the step."""

    kicks: Float[np.ndarray, "kicks"]
    drifts: Float[np.ndarray, "drifts"]

    @property
    def times(self) -> Float[np.ndarray, "kicks"]:
        return np.append(0.0, np.cumsum(self.drifts))

    def repeated(self, steps: int) -> Composition:
        """Several steps in units of one, with the kicks at their joints in one."""
        kicks = np.zeros(steps * len(self.drifts) + 1)
        for step in range(steps):
            kicks[step * len(self.drifts) :][: len(self.kicks)] += self.kicks
        return Composition(kicks, np.tile(self.drifts, steps))


def composition(order: int, hamiltonian: str) -> Composition:
    """The step of an order for a Hamiltonian, "spectral" or "lattice"; InvalidInput for any other order."""
    if order not in ORDERS:
        raise InvalidInput(f"order is {order}; it must be one of {', '.join(map(str, ORDERS))}")
    kicks, drifts = (_QUADRATIC if hamiltonian == "spectral" else _GENERAL)[order]
    middle = len(kicks) > len(drifts)  # whether it is a kick or a drift that stands in the middle
    return Composition(_palindrome(kicks, middle), _palindrome(drifts, not middle))


def _palindrome(first: tuple[float, ...], odd: bool) -> Float[np.ndarray, "entries"]:
    """The whole row with the sum 1, of its first entries: one more in the middle (odd), or two equal ones."""
    rest = 1.0 - 2 * sum(first)
    return np.array([*first, *([rest] if odd else [rest / 2] * 2), *first[::-1]])
