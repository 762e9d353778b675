"""One potential with its true and its predicted levels (spectra paper, Fig. 3c)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas


def predicted_levels(
    x: np.ndarray, potential: np.ndarray, energy: np.ndarray, prediction: np.ndarray, title: str
) -> Figure:
    """Draw V(x), true levels as lines and predicted ones as dashes, and the error of each level.

    Arguments:
        x, potential: (points,).
        energy, prediction: (levels,), energy units.
    """
    figure, (left, right) = canvas(1, 2, width=9.0, height=4.4)
    left.plot(x, potential, color="0.35", lw=1.2, label="potential")
    left.hlines(energy, x[0], x[-1], color="C0", lw=1.4, label="exact levels")
    left.hlines(prediction, x[0], x[-1], color="C3", lw=1.4, linestyles=(0, (4, 4)), label="predicted")
    left.set(xlabel="x", ylabel="energy  [ħ²/(m·length²)]", xlim=(x[0], x[-1]), title=title)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False)
    levels = np.arange(len(energy))
    right.axhline(0, color="0.6", lw=0.8)
    right.stem(levels, prediction - energy, basefmt=" ")
    right.set(xlabel="level $i$", ylabel="$f_i - E_i$  [ħ²/(m·length²)]", xticks=levels, title="error")
    return figure
