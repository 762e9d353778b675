"""Learning curves: NMSE against updates (spectra paper, Fig. 3a)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from qwell.figures.canvas import canvas


def learning_curve(history: Sequence[dict[str, Any]], title: str) -> Figure:
    """Draw training (dashed) and validation (solid) NMSE.

    Arguments:
        history: rows with `update` and `train_nmse`, some with `validation_nmse`.
    """
    figure, (axes,) = canvas()
    for key, style, label in [
        ("train_nmse", "--", "training (running)"),
        ("validation_nmse", "-o", "validation"),
    ]:
        rows = [row for row in history if key in row]
        axes.plot([r["update"] for r in rows], [r[key] for r in rows], style, ms=3, lw=1.2, label=label)
    axes.set(yscale="log", xlabel="updates", ylabel="NMSE", title=title)
    axes.grid(which="both", alpha=0.25)
    axes.legend()
    return figure
