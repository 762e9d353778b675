"""A plain canvas: figures without global state, so that drawing works anywhere and in threads."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ENERGY = "[ħ²/(m·length²)]"


def canvas(
    rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 4.4
) -> tuple[Figure, list[Axes]]:
    """A figure of rows × columns panels (each width × height inches in all divided evenly), and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())
