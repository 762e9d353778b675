"""A plain canvas: figures without global state, so that drawing works anywhere and in threads."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qwell.errors import InvalidInput
from qwell.files import whole_file

ENERGY = "[ħ²/(m·length²)]"
DPI = 150
FORMATS = ("png", "svg")  # for the screen, and for print


def canvas(
    rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 4.4
) -> tuple[Figure, list[Axes]]:
    """A figure of rows × columns panels (each width × height inches in all divided evenly), and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def lay_out(figure: Figure) -> None:
    """Place the panels of a figure for good; otherwise each picture of it finds the places anew."""
    figure.set_dpi(DPI)
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)


def check_format(path: Path) -> None:
    """Raise InvalidInput unless the suffix of a name says a format in which figures can be drawn."""
    formats = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in formats:
        known = ", ".join(f".{name}" for name in sorted(formats))
        raise InvalidInput(f"cannot draw {path}: choose a name ending in {known}")


def save(figure: Figure, *paths: Path) -> None:
    """Write a figure, laid out once, to each of some files; suffixes decide the formats (`check_format`).

    Raises WriteError if the disk refuses.
    """
    lay_out(figure)
    for path in paths:
        with whole_file(path, durable=False) as temporary:
            figure.savefig(temporary, dpi=DPI)
