"""Similarity of data sets: nearest pairs, D of all pairs, errors against both (spectra paper, Figs. 6, 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from qwell.figures.canvas import ENERGY, canvas

MARKERS = "osD^vP*X"


def closest_pairs(x: np.ndarray, pairs: Sequence[tuple[str, float, np.ndarray, np.ndarray]]) -> Figure:
    """Draw nearest pairs of potentials, one panel each.

    Arguments:
        x: (points,).
        pairs: title, distance d, validation potential, and the training potential moved to its height.
    """
    figure, axes = canvas(1, len(pairs), width=4.0 * len(pairs), height=3.6)
    for panel, (title, distance, ours, theirs) in zip(axes, pairs, strict=True):
        panel.plot(x, ours, color="C0", lw=1.4, label="validation")
        panel.plot(x, theirs, "--", color="C3", lw=1.2, label="training + constant")
        panel.set(xlabel="x", title=f"{title}\nd = {distance:.3g}", xlim=(x[0], x[-1]))
    axes[0].set_ylabel(f"V(x)  {ENERGY}")
    axes[0].legend(frameon=False)
    return figure


def matrix_figure(
    matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str], quantity: str, left: str, bottom: str
) -> Figure:
    """Draw a matrix of positive numbers as colours on a logarithmic scale, with the numbers in the fields."""
    figure, (axes,) = canvas(width=1.6 + 1.1 * len(columns) + 1.4, height=1.6 + 0.55 * len(rows))
    draw_matrix(axes, matrix, rows, columns, quantity)
    axes.set(xlabel=bottom, ylabel=left)
    return figure


def draw_matrix(
    axes: Axes, matrix: np.ndarray, rows: Sequence[str], columns: Sequence[str], quantity: str
) -> None:
    """The matrix of `matrix_figure` on given axes."""
    low, high = matrix.min(), matrix.max()
    image = axes.imshow(matrix, norm=LogNorm(low, max(high, 1.0001 * low)), cmap="viridis", aspect="auto")
    crowded = max(map(len, columns)) > 6
    axes.set_xticks(
        range(len(columns)), columns, rotation=20 if crowded else 0, ha="right" if crowded else "center"
    )
    axes.set_yticks(range(len(rows)), rows)
    middle = np.sqrt(low * high)
    cell = "{:.1e}".format if low < 0.01 else "{:.2f}".format  # one way of writing a matrix
    for (i, j), value in np.ndenumerate(matrix):
        axes.text(j, i, cell(value), ha="center", va="center", color="white" if value < middle else "black")
    axes.figure.colorbar(image, ax=axes, label=quantity)


def loss_against_distance(
    points: Sequence[tuple[str, str, float, float]], cloud: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> Figure:
    """Draw NMSE against D, one mark a pair of sets, and squared errors against d, one a potential.

    Arguments:
        points: validation set, training set, D, NMSE.
        cloud: validation set → (d, mean squared error) of its potentials, by one network.
    """
    figure, (left, right) = canvas(1, 2, width=10.0, height=4.4)
    names = list(dict.fromkeys(p[0] for p in points))
    for k, name in enumerate(names):
        ours = sorted((p for p in points if p[0] == name), key=lambda p: p[2])
        left.plot(
            [p[2] for p in ours], [p[3] for p in ours], "-", marker=MARKERS[k % 8], lw=0.8, label=f"on {name}"
        )
        for _, training, distance, error in ours:
            left.annotate(training, (distance, error), (4, 4), textcoords="offset points", fontsize=8)
    left.set(xscale="log", yscale="log", xlabel=f"mean distance D  {ENERGY}", ylabel="NMSE", title="sets")
    left.legend(frameon=False)
    for k, (name, (nearest, errors)) in enumerate(cloud.items()):
        right.scatter(
            nearest[:3000], errors[:3000], s=3, alpha=0.35, color=f"C{k}", label=f"on {name}", rasterized=True
        )
    right.set(
        xscale="log", yscale="log", xlabel=f"distance d  {ENERGY}", title="potentials",
        ylabel="mean squared error of the levels  [(ħ²/(m·length²))²]",
    )  # fmt: skip
    right.legend(frameon=False, markerscale=4)
    for panel in (left, right):
        panel.grid(which="major", alpha=0.25)
    return figure
