"""An avoided crossing and the exchange of densities (spectra paper, Figs. 11 and 12)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qwell.figures.canvas import ENERGY, canvas


def crossing_figure(
    x: np.ndarray,
    mixing: np.ndarray,
    potential: np.ndarray,
    predicted: np.ndarray,
    energy: np.ndarray,
    at: float,
) -> Figure:
    """Draw potentials along λ, and levels against λ.

    Arguments:
        x: (points,); mixing: λ, (steps,); potential: (steps, points).
        predicted, energy: (steps, levels).
        at: λ of the crossing.
    """
    figure, (left, right) = canvas(1, 2, width=10.0, height=4.4)
    for step in np.linspace(0, len(mixing) - 1, 6).astype(int):
        left.plot(
            x,
            potential[step],
            color="C0" if step == 0 else "C3" if step == len(mixing) - 1 else "0.75",
            lw=1.1,
            label=f"λ = {mixing[step]:g}" if step in (0, len(mixing) - 1) else None,
        )
    left.set(xlabel="x", ylabel=f"v(x)  {ENERGY}", xlim=(x[0], x[-1]), title="v = (1 − λ)ṽ₁ + λṽ₂")
    left.legend(frameon=False)
    levels = min(5, energy.shape[1])
    right.plot(mixing, energy[:, :levels], color="0.6", lw=2.2, label=["exact", *[None] * (levels - 1)])
    right.plot(
        mixing, predicted[:, :levels], "--", color="C3", lw=1.2, label=["network", *[None] * (levels - 1)]
    )
    right.axvline(at, color="0.4", lw=0.8, ls=":")
    right.set(xlabel="λ", ylabel=f"energy  {ENERGY}", xlim=(0, 1), title=f"smallest gap at λ = {at:.3g}")
    right.legend(frameon=False)
    return figure


def exchange_figure(
    x: np.ndarray, mixing: np.ndarray, potential: np.ndarray, estimate: np.ndarray, density: np.ndarray
) -> Figure:
    """Draw the two lowest densities before, at and after the crossing.

    Arguments:
        x: (points,); mixing: (3,); potential: (3, points).
        estimate, density: (3, 2, points), from gradients and from wave functions.
    """
    figure, axes = canvas(1, 3, width=13.0, height=4.0)
    top = 1.15 * max(estimate.max(), density.max())
    for k, panel in enumerate(axes):
        behind = panel.twinx()
        behind.plot(x, potential[k], color="0.8", lw=1.0)
        behind.tick_params(colors="0.6")
        panel.set_zorder(1)
        panel.set_frame_on(False)
        for i, name in enumerate(("ground state", "first excited")):
            panel.plot(x, density[k, i], color=f"C{i}", lw=2.4, alpha=0.4, label=f"{name}, exact")
            panel.plot(x, estimate[k, i], "--", color=f"C{i}", lw=1.2, label=f"{name}, network")
        panel.set(
            xlabel="x",
            xlim=(x[0], x[-1]),
            ylim=(min(0, 1.1 * estimate.min()), top),
            title=f"λ = {mixing[k]:.3g}",
        )
        if k == 2:
            behind.set_ylabel(f"v(x)  {ENERGY}", color="0.6")
    for panel in axes:
        panel.xaxis.set_major_locator(MaxNLocator(5))
    axes[0].set_ylabel("probability at a mesh point")
    axes[0].legend(frameon=False, fontsize=8)
    return figure
