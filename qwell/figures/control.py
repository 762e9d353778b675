"""A control, the motion under it, and how it was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas
from qwell.figures.spacetime import TIME, draw_spacetime


def control_figure(
    times: np.ndarray,
    signal: np.ndarray,
    course: np.ndarray,
    bound: float,
    knob: str,
    x: np.ndarray,
    density: np.ndarray,
    target: np.ndarray,
    history: Sequence[float],
    title: str,
) -> Figure:
    """Draw u(t) within its bounds, |ψ(x, t)|², the density at the end beside the one wanted, and the search.

    Arguments:
        times, signal, course: (t,), ħ/hartree, and in units of the knob.
        bound: of |signal − course|.
        knob: what u is, with its unit.
        x, density: (n,) and (t, n).
        target: |ψ|² wanted at the end, (n,).
        history: infidelities, an iteration after the other.
    """
    figure, (pulse, motion, last, search) = canvas(2, 2, width=10.0, height=7.0)
    pulse.fill_between(times, course - bound, course + bound, color="0.92", label="bounds")
    pulse.plot(times, course, "--", color="0.5", lw=1.2, label="plain course")
    pulse.plot(times, signal, color="C0", lw=1.6, label="control")
    pulse.set(xlabel=TIME, ylabel=knob, title=title, xlim=(times[0], times[-1]))
    pulse.legend(frameon=False, fontsize=8)
    draw_spacetime(motion, x, times, density, "|ψ|²  [1/bohr]")
    seen = np.flatnonzero((density > 1e-3 * density.max()).any(axis=0))
    ends = x[max(seen[0] - 5, 0)], x[min(seen[-1] + 5, len(x) - 1)]
    motion.set_xlim(*ends)
    last.fill_between(x, target, color="0.85", label="wanted")
    last.plot(x, density[-1], color="C3", lw=1.3, label="at the end")
    last.set(xlabel="x  [bohr]", ylabel="|ψ|²  [1/bohr]", xlim=ends)
    last.legend(frameon=False, fontsize=8)
    search.semilogy(range(1, len(history) + 1), history, color="C0", lw=1.4)
    search.set(xlabel="iterations of L-BFGS", ylabel="1 − |⟨target|ψ⟩|²")
    search.grid(which="both", alpha=0.25)
    return figure
