"""Matter effects: what a medium makes of an applied potential, V_total = f(V, x, σ) (spectra paper, §3.4).

case1   V + σ sin(πx)          (Eq. 24)
case2   V + V²/(2σ) − σ        (Eq. 25)

or any formula in V, x, sigma and pi (`qwell.physics.formula`: nothing of it is ever executed as code, so that
formulas may come out of a manifest).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from qwell.errors import InvalidInput
from qwell.physics.formula import Formula

CASES = {"case1": "V + sigma * sin(pi * x)", "case2": "V + V ** 2 / (2 * sigma) - sigma"}
NAMES = ("V", "x", "sigma", "pi")


@dataclass(frozen=True)
class Matter:
    """A matter effect: call it with (potential, x, sigma) for the total potential.

    Arguments:
        formula: "case1", "case2" or an expression; kept in one spelling.

    Raises InvalidInput for anything but an expression in the names above (see `Formula`).
    """

    formula: str

    def __post_init__(self) -> None:
        text = CASES.get(self.formula, self.formula)
        parsed = Formula(text, NAMES, "matter effect (case1, case2 or a formula)", "V + 0.5*sigma*cos(pi*x)")
        object.__setattr__(self, "formula", parsed.text)
        object.__setattr__(self, "_parsed", parsed)

    @property
    def name(self) -> str:
        """ "case1" or "case2" if it is one of them, else "matter"."""
        return next((case for case, formula in CASES.items() if formula == self.formula), "matter")

    def __call__(
        self, potential: Float[np.ndarray, "n points"], x: Float[np.ndarray, "points"], sigma: float
    ) -> Float[np.ndarray, "n points"]:
        """V_total in float64.

        Arguments:
            potential: V, (n, M+1), energy units.
            x: (M+1,), positions.
            sigma: σ, energy units.

        Raises InvalidInput if the formula gives NaN or infinity somewhere.
        """
        v = potential.astype(np.float64)
        values = {"V": v, "x": x, "sigma": np.float64(sigma), "pi": np.pi}
        parsed: Formula = self._parsed  # type: ignore[attr-defined]
        total = np.broadcast_to(parsed(**values), potential.shape)
        if not np.isfinite(total).all():
            where = np.argwhere(~np.isfinite(total))[0]
            raise parsed.refused(f"it is not finite at V = {v[tuple(where)]:g}, x = {x[where[1]]:g}")
        return np.ascontiguousarray(total)


def matter_of(recipe: Mapping[str, Any]) -> tuple[Matter, float] | None:
    """The matter effect and σ that a data set was made with, or None; also of subsets and merged sets.

    Raises InvalidInput if parts of a merged set have different ones.
    """
    inner = recipe.get("of")
    if isinstance(inner, Mapping):
        return matter_of(inner)
    if isinstance(inner, list):
        found = {matter_of(part.get("recipe", {})) for part in inner}
        if len(found) > 1:
            raise InvalidInput(
                "parts of this data set have different matter effects; look at them separately"
            )
        return found.pop() if found else None
    formula = recipe.get("matter")
    return None if formula is None else (Matter(formula), float(recipe["sigma"]))


def medium_of(
    recipe: Mapping[str, Any], x: Float[np.ndarray, "points"]
) -> Callable[[Float[np.ndarray, "n points"]], Float[np.ndarray, "n points"]]:
    """What the particle of a data set feels: applied potentials (n, M+1) → V_total (n, M+1).

    V_total is the applied potential itself where the recipe names no matter effect.

    Arguments:
        recipe: of the data set, see `matter_of`.
        x: (M+1,), positions.
    """
    found = matter_of(recipe)
    if found is None:
        return lambda potential: potential
    matter, sigma = found
    return lambda potential: matter(potential, x, sigma)


def symmetries_of(recipe: Mapping[str, Any], x: Float[np.ndarray, "points"]) -> dict[str, bool]:
    """Whether a data set's energies obey E(v + c) = E(v) + c, "centred", and E(v(−x)) = E(v(x)), "mirrored".

    Tried on three random potentials: without matter both hold; case 1 breaks the mirror, case 2 the shift.

    Arguments:
        recipe: of the data set, see `matter_of`.
        x: (M+1,), positions, symmetric about their centre.
    """
    v = np.random.default_rng(0).normal(scale=50.0, size=(3, len(x)))
    try:
        total = medium_of(recipe, x)
        shifted, turned = total(v + 10.0) - 10.0, total(v[:, ::-1])[:, ::-1]
        truly = total(v)
    except InvalidInput:
        return {"centred": False, "mirrored": False}
    return {"centred": np.allclose(shifted, truly), "mirrored": np.allclose(turned, truly)}
