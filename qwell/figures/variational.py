"""Variational states: wave functions, how far they are from exact ones, and the way there (Figs. 1–6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas


def states_figure(
    x: np.ndarray, potential: np.ndarray, waves: np.ndarray, exact: np.ndarray, energies: Sequence[float]
) -> Figure:
    """Draw states at their energies in the potential, exact ones dashed; and φ − ψ and |φ − ψ|/|ψ|.

    Arguments:
        x, potential: (n,); waves, exact: (levels, n), normalised, of equal signs.
        energies: (levels,).
    """
    figure, (left, middle, right) = canvas(1, 3, width=14.0, height=4.2)
    top = max(energies) + 2 * max(np.diff([0.0, *energies]).max(), 0.5)
    left.plot(x, potential, color="0.6", lw=1.2, label="V")
    size = 0.5 * max(np.diff([min(potential.min(), 0.0), *energies]).max(), 0.3)
    for k, (wave, true, energy) in enumerate(zip(waves, exact, energies, strict=True)):
        scale = size / np.abs(true).max()
        left.plot(x, energy + scale * wave, color=f"C{k}", lw=1.6, label=f"φ{k}")
        left.plot(x, energy + scale * true, "--", color="k", lw=0.8)
        middle.plot(x, wave - true, color=f"C{k}", lw=1.1, label=f"φ{k} − ψ{k}")
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.abs(wave - true) / np.abs(true)
        right.plot(x, np.where(relative > 0, relative, np.nan), color=f"C{k}", lw=1.1, label=f"level {k}")
    left.set(xlabel="x", ylabel="energy", ylim=(min(potential.min(), 0) - 0.1 * top, top))
    left.set_title("states at their energies (dashed: exact)")
    middle.set(xlabel="x", ylabel="φ − ψ")
    middle.ticklabel_format(axis="y", scilimits=(-2, 2))
    middle.set_title("difference")
    right.set(xlabel="x", ylabel="|φ − ψ| / |ψ|", yscale="log")
    right.set_title("relative difference")
    for axes in (left, middle, right):
        axes.legend(fontsize=8, frameon=False)
        axes.grid(alpha=0.25)
    return figure


def energy_history(histories: Mapping[str, Sequence[float]], exact: float | None) -> Figure:
    """Draw Ē − E₀ against iterations, by method one after another; Ē itself if E₀ is not known."""
    figure, (axes,) = canvas()
    begin = 0
    for k, (name, values) in enumerate(histories.items()):
        steps = begin + np.arange(len(values))
        begin += len(values)
        shown = np.array(values) if exact is None else np.abs(np.array(values) - exact)
        axes.plot(steps, shown, color=f"C{k}", lw=1.1, label=name)
    if exact is not None:
        axes.set(yscale="log", ylabel="|Ē − E₀|")
    else:
        axes.set(ylabel="Ē")
    axes.set(xlabel="evaluations", title="energy on the way")
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False)
    return figure


def sampled_figure(
    history: Sequence[float],
    energy: float | None,
    axis: np.ndarray,
    density: np.ndarray,
    names: tuple[str, str],
) -> Figure:
    """Draw the energy against steps, and the density on a plane.

    Arguments:
        history: Ē at every step; energy: the exact one, if known.
        axis: (n,); density: (n, n), |ψ|² at (first, second) coordinate, the third 0.
        names: of the two coordinates.
    """
    figure, (left, right) = canvas(1, 2, width=10.0, height=4.2)
    left.plot(history, lw=1.1)
    if energy is not None:
        left.axhline(energy, color="k", ls="--", lw=0.8, label="exact")
        left.legend(frameon=False)
    left.set(xlabel="steps", ylabel="Ē", title="energy on the way")
    left.grid(alpha=0.25)
    drawn = right.pcolormesh(axis, axis, density.T, shading="gouraud", cmap="viridis", rasterized=True)
    right.set(xlabel=names[0], ylabel=names[1], aspect="equal", title="|ψ|², not normalised")
    figure.colorbar(drawn, ax=right)
    return figure


def timing_figure(
    panels: Sequence[
        tuple[
            str,
            Mapping[str, Sequence[tuple[int, float]]],
            Mapping[str, tuple[float, ...]],
            Mapping[str, Sequence[tuple[int, float]]],
        ]
    ],
) -> Figure:
    """Draw times of evaluation against sizes, with fits log t = a x + b √x + c (Fig. 7, Eq. 43).

    Arguments:
        panels: label of the axis; name → [(size, seconds)]; name → (a, b, c); order → the paper's own fit at
            the sizes.
    """
    figure, axes = canvas(1, len(panels), width=6.4 * len(panels), height=6.0)
    for panel, (label, curves, fits, paper) in zip(axes, panels, strict=True):
        for k, (name, points) in enumerate(curves.items()):
            sizes, times = zip(*points, strict=True)
            panel.plot(
                sizes, times, "o" if name in fits else "x--", ms=4, lw=0.8, color=f"C{k % 10}", label=name
            )
            if name in fits:
                a, b, c = fits[name]
                x = np.linspace(min(sizes), max(sizes), 200)
                panel.plot(x, np.exp(a * x + b * np.sqrt(x) + c), color=f"C{k % 10}", lw=1)
        for k, (order, points) in enumerate(paper.items()):
            panel.plot(
                *zip(*points, strict=True),
                ":",
                color="k",
                lw=1.4,
                marker="sdv^"[k],
                ms=4,
                label=f"the paper's C, {order}",
            )
        panel.set(xlabel=label, ylabel="seconds an evaluation", yscale="log")
        panel.grid(which="both", alpha=0.25)
        panel.legend(fontsize=7, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return figure
