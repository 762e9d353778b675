"""Energies in a medium, predicted from the applied potential (spectra paper, Figs. 13 and 14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas
from qwell.figures.levels import draw_levels
from qwell.figures.similarity import draw_matrix


def matter_figure(
    x: np.ndarray,
    applied: np.ndarray,
    total: np.ndarray,
    energy: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    matrix: np.ndarray,
    names: Sequence[str],
    against: Sequence[str],
    formula: str,
    title: str,
) -> Figure:
    """Draw applied and total potential, the effect, exact and predicted levels; and NMSE of networks on sets.

    Arguments:
        x, applied, total: (points,).
        energy: (levels,); predictions: network → (levels,).
        matrix: (networks, data sets), with their names.
        formula: V_total of V, x and sigma.
    """
    figure, (left, right) = canvas(1, 2, width=11.0, height=1.8 + max(0.55 * len(names), 3.2))
    draw_levels(left, x, total, energy, predictions)
    left.lines[0].set_label("total potential")
    left.plot(x, applied, color="C2", lw=1.1, label="applied potential $V_e$")
    left.plot(x, total - applied, ":", color="0.5", lw=1.2, label="matter effect")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize=8)
    left.set_title(title)
    draw_matrix(right, matrix, names, against, "NMSE")
    right.set(xlabel="validation", ylabel="network, trained on", title=f"$V_{{total}}$ = {formula}")
    return figure
