"""Networks on kernels they have not seen (spectra paper, Figs. 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
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
) -> Figure:
    """Draw the NMSE of networks (rows) on data sets (columns), and one potential's levels by each network.

    Arguments:
        matrix: (networks, data sets).
        names, against: of networks and data sets.
        x, potential: (points,).
        energy: (levels,); predictions: network → (levels,).
    """
    figure, (left, right) = canvas(1, 2, width=11.0, height=1.8 + max(0.55 * len(names), 2.8))
    draw_matrix(left, matrix, names, against, "NMSE")
    left.set(xlabel="validation", ylabel="network, trained on")
    draw_levels(right, x, potential, energy, predictions)
    right.set_title(title)
    return figure
