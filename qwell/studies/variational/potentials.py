"""Potentials of the variational problem, H = −½ d²/dx² + V(x), ħ = m = 1 (derivatives paper, §4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from qwell.errors import InvalidInput, near, unknown
from qwell.physics.elements import eigenstates
from qwell.physics.formula import Formula
from qwell.physics.wells import MORSE_ENERGY, MORSE_FORMULA, morse_wave

Function = Callable[[np.ndarray], np.ndarray]
OSCILLATORS = ("oscillator-2d", "oscillator-3d", "coupled-2d", "coupled-3d")  # of Monte Carlo
SMALL, LARGE = (10,) * 6, (20, 20, 10, 10, 10, 10)


@dataclass(frozen=True)
class Well:
    """A potential, and where and with what to look for its ground state.

    Arguments:
        name: for people and files.
        formula: V(x).
        region: (a, b), where φ vanishes; wide enough that this costs less than 1e-11 of energy.
        layers: hidden widths; the paper's, but for Morse, where it had 6 × 20.
        kinks: where V' jumps, so that φ''' does.
        paper_region: Ω of the paper.
        energy: exact E₀ in closed form, if there is one.
        wave: exact normalised ψ₀ in closed form, if there is one.
    """

    name: str
    formula: str
    region: tuple[float, float]
    layers: tuple[int, ...] = SMALL
    kinks: tuple[float, ...] = ()
    paper_region: tuple[float, float] | None = None
    energy: float | None = None
    wave: Function | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """V(x), float64; InvalidInput if it is not finite somewhere."""
        parsed = _parse(self.formula)
        value = np.broadcast_to(parsed(x=np.asarray(x, float), pi=np.pi), np.shape(x))
        if not np.isfinite(value).all():
            where = np.asarray(x)[~np.isfinite(value)].flat[0]
            raise parsed.refused(f"it is not finite at x = {where:g}; choose another --region, too")
        return np.array(value, float)

    @property
    def symmetric(self) -> bool:
        """Whether V(c + d) = V(c − d) about the middle c of the region, to rounding, kinks too."""
        a, b = self.region
        d = np.linspace(0, (b - a) / 2, 1001)[:-1]
        right, left = (self((a + b) / 2 + s * d) for s in (1, -1))
        scale = 1e-12 * max(float(np.abs(right).max()), 1.0)
        turned = sorted(a + b - kink for kink in self.kinks)
        return bool(np.abs(right - left).max() <= scale) and np.allclose(turned, sorted(self.kinks))


def _gauss(centre: float) -> Function:
    return lambda x: math.pi**-0.25 * np.exp(-((x - centre) ** 2) / 2)


WELLS = {
    well.name: well
    for well in (
        Well("harmonic", "x**2/2", (-6, 6), paper_region=(-4, 4), energy=0.5, wave=_gauss(0)),
        Well("linear", "x**2/2 - x/2", (-5.5, 6.5), paper_region=(-4, 4), energy=0.375, wave=_gauss(0.5)),
        Well("quartic", "x**2/2 + 0.01*x**4", (-6, 6), paper_region=(-4, 4)),
        Well("quartic-strong", "x**2/2 + x**4", (-3.8, 3.8), LARGE, paper_region=(-3, 3)),
        Well("exponential", "exp(abs(x))", (-4, 4), LARGE, (0.0,), (-3, 3)),
        Well(
            "morse", MORSE_FORMULA, (-3, 22), LARGE, paper_region=(-2, 9),
            energy=MORSE_ENERGY, wave=lambda x: morse_wave(x, np.exp),
        ),
    )
}  # fmt: skip


def well_of(text: str, region: tuple[float, float] | None = None, kinks: tuple[float, ...] = ()) -> Well:
    """A named well, or one of a formula in x, which needs a region.

    Raises InvalidInput for a formula that cannot be read or looks like a misspelt name, a missing or empty
    region, or kinks outside it.
    """
    if text in WELLS:
        well = WELLS[text]
        if region is None and not kinks:
            return well
        found = replace(well, region=region or well.region, kinks=kinks or well.kinks)
    elif near(text, names := (*WELLS, *OSCILLATORS)):
        raise InvalidInput(unknown("potential", text, names))
    else:
        formula = _parse(text).text
        if region is None:
            raise InvalidInput(
                f"a formula needs a region in which the wave function lives, e.g. --region=-6,6; or name one"
                f" of {', '.join(WELLS)}"
            )
        found = Well("formula", formula, region, kinks=kinks)
    a, b = found.region
    if not (math.isfinite(a) and math.isfinite(b) and a < b):
        raise InvalidInput(f"the region is {a:g},{b:g}; write two numbers, the smaller first: --region=-6,6")
    if not all(a < k < b for k in found.kinks):
        raise InvalidInput(f"kinks {found.kinks} must lie inside the region {a:g},{b:g}")
    return found


def exact_states(well: Well, levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies (levels,), points x (n,) and states (levels, n) of a well by an independent solver.

    Spectral elements (`physics.elements`) in a region an eighth wider on either side; within the region
    itself where the potential is not finite beyond. Where V is the same on both sides, the states are made
    even and odd in turn: of two that are degenerate within rounding any mixture is a solution.
    """
    a, b = well.region
    wider = (a - (b - a) / 8, b + (b - a) / 8)
    try:
        energies, x, psi = eigenstates(well, wider, levels, well.kinks)
    except InvalidInput:
        energies, x, psi = eigenstates(well, well.region, levels, well.kinks)
    if well.symmetric and np.allclose(x + x[::-1], a + b):
        psi = psi + (-1.0) ** np.arange(levels)[:, None] * psi[:, ::-1]
        psi /= np.sqrt(np.trapezoid(psi**2, x, axis=1))[:, None]
    return energies, x, psi


def _parse(text: str) -> Formula:
    return Formula(text, ("x", "pi"), "potential", "x**2/2 + 0.1*x**4")
