"""Densities from gradients of a network, beside squared wave functions (spectra paper, Fig. 10)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import ENERGY, canvas


def densities_figure(
    x: np.ndarray, potential: np.ndarray, estimate: np.ndarray, density: np.ndarray, title: str
) -> Figure:
    """Draw ∂f_i/∂v (ED) and ψ_i² (ES) of the two lowest levels, of a middle one and of the highest.

    Arguments:
        x, potential: (points,).
        estimate, density: (levels, points).
    """
    last = len(density) - 1
    panels = [sorted({0, min(1, last)}), sorted({(last + 1) // 2}), [last]]
    figure, axes = canvas(1, 3, width=13.0, height=4.6)
    for panel, levels in zip(axes, panels, strict=True):
        behind = panel.twinx()
        behind.plot(x, potential, color="0.8", lw=1.0)
        behind.set_zorder(0)
        panel.set_zorder(1)
        panel.set_frame_on(False)
        for k, i in enumerate(levels):
            panel.plot(x, density[i], color=f"C{k}", lw=2.4, alpha=0.45, label=f"$\\psi_{i}^2$ (ES)")
            panel.plot(
                x, estimate[i], "--", color=f"C{k}", lw=1.2, label=f"$\\partial f_{i}/\\partial v$ (ED)"
            )
        panel.axhline(0, color="0.6", lw=0.6)
        panel.set(
            xlabel="x",
            xlim=(x[0], x[-1]),
            title=f"level{'s' if len(levels) > 1 else ''} {', '.join(map(str, levels))}",
        )
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize=8)
        behind.tick_params(colors="0.6")
        if panel is axes[-1]:
            behind.set_ylabel(f"V(x)  {ENERGY}", color="0.6")
    axes[0].set_ylabel("probability at a mesh point")
    figure.suptitle(title)
    return figure
