"""Networks on kernels they have not seen (spectra paper, Figs. 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas
from qwell.figures.levels import draw_levels
from qwell.figures.similarity import draw_matrix


def cross_kernel_figure(
    matrix: np.ndarray,
    names: Sequence[str],
    against: Sequence[str],
    x: np.ndarray,
    potential: np.ndarray,
    energy: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    title: str,
    progress: tuple[str, Sequence[dict[str, Any]]] | None = None,
) -> Figure:
    """Draw the NMSE of networks (rows) on data sets (columns), and one potential's levels by each network.

    With the history of a training that watched other data sets, also NMSE against its progress.

    Arguments:
        matrix: (networks, data sets).
        names, against: of networks and data sets.
        x, potential: (points,).
        energy: (levels,); predictions: network → (levels,).
        progress: name and rows with `update`, `validation_nmse` and `nmse on …`.
    """
    panels = 2 if progress is None else 3
    figure, axes = canvas(1, panels, width=5.5 * panels, height=1.8 + max(0.55 * len(names), 2.8))
    left, right = axes[-2:]
    if progress is not None:
        draw_progress(axes[0], *progress)
    draw_matrix(left, matrix, names, against, "NMSE")
    left.set(xlabel="validation", ylabel="network, trained on")
    draw_levels(right, x, potential, energy, predictions)
    right.set_title(title)
    return figure


def draw_progress(axes: Axes, name: str, history: Sequence[dict[str, Any]]) -> None:
    """Draw NMSE on every watched data set against updates."""
    keys = dict.fromkeys(key for row in history for key in row if "nmse" in key and key != "train_nmse")
    for key in keys:
        rows = [row for row in history if key in row]
        label = "own validation" if key == "validation_nmse" else key.removeprefix("nmse ")
        axes.plot([r["update"] for r in rows], [r[key] for r in rows], lw=1.2, label=label)
    axes.set(yscale="log", xlabel="updates", ylabel="NMSE", title=name)
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
