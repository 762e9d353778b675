"""One potential with its true and its predicted levels (spectra paper, Fig. 3c)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qwell.figures.canvas import ENERGY, canvas


def draw_levels(
    axes: Axes,
    x: np.ndarray,
    potential: np.ndarray,
    energy: np.ndarray,
    predictions: Mapping[str, np.ndarray],
) -> None:
    """Draw V(x), true levels as lines across the box, predicted ones as dashes in a column a network.

    Arguments:
        x, potential: (points,).
        energy: (levels,), energy units; predictions: name → (levels,).
    """
    axes.plot(x, potential, color="0.35", lw=1.2, label="potential")
    axes.hlines(energy, x[0], x[-1], color="C0", lw=1.2, label="exact levels")
    edges = np.linspace(x[0], x[-1], len(predictions) + 1)
    for k, (name, levels) in enumerate(predictions.items()):
        axes.hlines(
            levels, edges[k], edges[k + 1], color=f"C{k % 8 + 1 if len(predictions) > 1 else 3}", lw=1.6,
            linestyles=(0, (3, 3)), label=f"predicted by {name}" if len(predictions) > 1 else "predicted",
        )  # fmt: skip
    axes.set(xlabel="x", ylabel=f"energy  {ENERGY}", xlim=(x[0], x[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize=8)


def predicted_levels(
    x: np.ndarray,
    potential: np.ndarray,
    energy: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    title: str,
) -> Figure:
    """Draw V(x), true levels as lines and predicted ones as dashes, and the error of each level.

    Of several networks the sizes of the errors are drawn, on a logarithmic axis.

    Arguments:
        x, potential: (points,).
        energy: (levels,), energy units; predictions: name → (levels,).
    """
    figure, (left, right) = canvas(1, 2, width=9.0, height=4.4)
    draw_levels(left, x, potential, energy, predictions)
    left.set_title(title)
    levels = np.arange(len(energy))
    right.set(xlabel="level $i$", xticks=levels, title="error")
    if len(predictions) == 1:
        right.axhline(0, color="0.6", lw=0.8)
        right.stem(levels, next(iter(predictions.values())) - energy, basefmt=" ")
        right.set_ylabel(f"$f_i - E_i$  {ENERGY}")
        return figure
    for k, (name, found) in enumerate(predictions.items()):
        right.semilogy(levels, np.abs(found - energy), "o-", color=f"C{k % 8 + 1}", lw=0.8, label=name)
    right.set_ylabel(f"$|f_i - E_i|$  {ENERGY}")
    right.legend(frameon=False, fontsize=8)
    return figure
