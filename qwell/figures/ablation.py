"""What depth and self-attention are worth (spectra paper, Fig. 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qwell.figures.canvas import canvas


def ablation_figure(
    depth: Mapping[str, Mapping[int, float]], attention: Mapping[str, np.ndarray], against: Sequence[str]
) -> Figure:
    """Draw R_D against the number of blocks, and R_SA for every pair of training and validation set.

    Arguments:
        depth: training set → blocks → mean R_D.
        attention: training set → R_SA on each of the validation sets.
        against: names of these.
    """
    figure, (left, right) = canvas(1, 2, width=9.6, height=4.2)
    for k, (kernel, line) in enumerate(depth.items()):
        blocks = sorted(line)
        left.plot(blocks, [line[b] for b in blocks], "-o", color=f"C{k}", label=f"trained on {kernel}")
    left.set(yscale="log", xlabel="Res-SA blocks", ylabel="$R_D$, mean over validation sets", title="depth")
    places = np.arange(len(against))
    for k, (kernel, ratios) in enumerate(attention.items()):
        right.plot(places, ratios, "o", color=f"C{k}", label=f"trained on {kernel}")
    right.axhline(1, color="0.6", lw=0.8)
    right.set(
        xlabel="validation",
        ylabel="$R_{SA}$",
        title="with self-attention / without",
        xlim=(-0.5, len(against) - 0.5),
    )
    right.set_xticks(places, against)
    for panel, drawn in ((left, depth), (right, attention)):
        panel.grid(which="both", alpha=0.25)
        if drawn:
            panel.legend(frameon=False, fontsize=8)
        else:
            panel.text(0.5, 0.5, "no runs to compare", ha="center", va="center", transform=panel.transAxes)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
