"""A page of samples: potentials with their levels, or with the densities they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import ENERGY, canvas


def sample_page(
    x: np.ndarray,
    potential: np.ndarray,
    energy: np.ndarray,
    density: np.ndarray | None,
    labels: list[str],
    title: str,
) -> Figure:
    """Draw up to six potentials, each with its levels, and with densities on the levels if there are any.

    Arguments:
        x: (points,).
        potential: (n, points); energy: (n, levels), energy units.
        density: (n, levels, points), Σ_x = 1, or None.
        labels: one a panel.
    """
    count = len(potential)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure, axes = canvas(rows, columns, width=3.6 * columns + 0.6, height=3.1 * rows + 0.5)
    for i, panel in enumerate(axes):
        if i >= count:
            panel.set_axis_off()
            continue
        panel.plot(x, potential[i], color="0.35", lw=1.2)
        panel.hlines(energy[i], x[0], x[-1], color="C0", lw=0.9)
        if density is not None:
            height = 0.8 * np.diff(energy[i]).mean() / density[i].max() if len(energy[i]) > 1 else 1.0
            for level, curve in zip(energy[i], density[i], strict=True):
                panel.fill_between(x, level, level + height * curve, color="C1", alpha=0.45, lw=0)
        panel.set(title=labels[i], xlim=(x[0], x[-1]), xlabel="x")
        if i % columns == 0:
            panel.set_ylabel(f"energy  {ENERGY}")
    figure.suptitle(title)
    return figure


def densities_page(x: Sequence[float], potential: np.ndarray, density: np.ndarray, title: str) -> Figure:
    """Draw some potentials as steps, and their densities.

    Arguments:
        x: ends of the cells, (cells,); potential, density: (n, cells).
    """
    figure, panels = canvas(len(potential), 1, width=8.0, height=2.2 * len(potential) + 0.6)
    for panel, v, rho in zip(panels, potential, density, strict=True):
        panel.step(x, v, where="pre", color="0.4", lw=1.1, label="V")
        panel.plot(x, rho, color="C1", lw=1.4, label="ρ")
        panel.legend(frameon=False, loc="upper right", fontsize=8)
        panel.grid(alpha=0.25)
    panels[-1].set_xlabel("x")
    figure.suptitle(title)
    return figure
