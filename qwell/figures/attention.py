"""Attention maps with the potential along both margins (spectra paper, Fig. 9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qwell.figures.canvas import ENERGY


def attention_figure(
    x: np.ndarray, potential: np.ndarray, maps: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Figure:
    """Draw maps side by side: rows are the places that look, columns the places looked at.

    Arguments:
        x, potential: (points,).
        maps: of each layer the x of its positions, (p,), and the map (p, p), rows summing to 1.
    """
    figure = Figure(figsize=(5.4 * len(maps), 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (part, (place, weights)) in enumerate(
        zip(np.ravel(figure.subfigures(1, len(maps), squeeze=False)), maps, strict=True), start=1
    ):
        grid = part.add_gridspec(2, 2, width_ratios=(1, 4), height_ratios=(1, 4))
        centre = part.add_subplot(grid[1, 1])
        half = (place[1] - place[0]) / 2 if len(place) > 1 else 1.0
        extent = (place[0] - half, place[-1] + half, place[-1] + half, place[0] - half)
        image = centre.imshow(weights, extent=extent, aspect="auto", cmap="magma", vmin=0)
        top, left = part.add_subplot(grid[0, 1], sharex=centre), part.add_subplot(grid[1, 0], sharey=centre)
        top.plot(x, potential, color="0.25", lw=1.1)
        left.plot(potential, x, color="0.25", lw=1.1)
        left.invert_xaxis()
        left.xaxis.set_major_locator(MaxNLocator(2))
        centre.set(xlabel="x looked at", xlim=(x[0], x[-1]), ylim=(x[-1], x[0]))
        centre.tick_params(labelleft=False)
        top.tick_params(labelbottom=False)
        left.set(ylabel="x that looks", xlabel="V")
        top.set_title(f"attention layer {number}")
        top.set_ylabel(f"V\n{ENERGY}", fontsize=7)  # as long as the panel is high
        part.colorbar(image, ax=[top, centre], label="attention", shrink=0.7)
    return figure
