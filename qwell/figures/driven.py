"""Driven simulations: where the wave packet is, what drives it, what is left of it, and what it radiates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas
from qwell.figures.spacetime import LENGTH, TIME, draw_spacetime

HIGHEST = 12.0  # Hartree/ħ, of the spectra drawn


def driven_page(
    axes_of: Mapping[str, np.ndarray],
    fields: Mapping[str, np.ndarray],
    density: np.ndarray | None,
    labels: Sequence[str],
    title: str,
    drive: str = "drive",
) -> Figure:
    """Draw simulations, one a row: |ψ|² in space and time, position and drive, probabilities, spectrum.

    Arguments:
        axes_of: `x`, `time`, and if there are spectra `frequency`.
        fields: of the data set, (simulations, …); what is missing is not drawn.
        density: |ψ|², (simulations, frames, points); None if it was not kept.
        labels: one a simulation.
        drive: what the axis of the drive says.
    """
    driven = partial(_drive, label=drive)
    panels: list[Callable[..., None]] = [driven, _shares, _spectrum] if "position" in fields else [driven]
    if density is not None and not {"position", "drive"} & set(fields):
        panels = []
    columns = len(panels) + (density is not None)
    figure, axes = canvas(len(labels), columns, width=4.8 * columns, height=3.4 * len(labels) + 0.4)
    for i, label in enumerate(labels):
        row = axes[columns * i : columns * (i + 1)]
        if density is not None:
            draw_spacetime(row[0], axes_of["x"], axes_of["time"], density[i], "|ψ|²  [1/bohr]")
        one = {name: values[i] for name, values in fields.items()}
        for panel, where in zip(panels, row[columns - len(panels) :], strict=True):
            panel(where, axes_of, one)
            where.grid(alpha=0.25)
        row[0].set_title(label)
    figure.suptitle(title)
    return figure


def _drive(axes: Axes, axes_of: Mapping[str, np.ndarray], one: Mapping[str, np.ndarray], label: str) -> None:
    """⟨x⟩ at the left, the drive at the right."""
    if "position" in one:
        axes.plot(axes_of["time"], one["position"], color="C0")
    axes.set(xlabel=TIME, ylabel=f"mean {LENGTH}")
    if "drive" in one:
        right = axes.twinx()
        right.plot(axes_of["time"], one["drive"], color="C1", lw=0.9)
        right.set_ylabel(label, color="C1")


def _shares(axes: Axes, axes_of: Mapping[str, np.ndarray], one: Mapping[str, np.ndarray]) -> None:
    """The norm, what has left at either side, and populations."""
    axes.plot(axes_of["time"], one["norm"], color="k", label="norm")
    for side, style in (("left", "--"), ("right", ":")):
        axes.plot(axes_of["time"], one[f"transmitted_{side}"], "C3", ls=style, lw=1, label=f"out {side}")
    for level in range(one["population"].shape[1] if "population" in one else 0):
        axes.plot(axes_of["time"], one["population"][:, level], lw=1, label=f"level {level}")
    axes.set(xlabel=TIME, ylabel="probability", ylim=(-0.05, 1.05))
    axes.legend(frameon=False, fontsize="small")


def _spectrum(axes: Axes, axes_of: Mapping[str, np.ndarray], one: Mapping[str, np.ndarray]) -> None:
    """The dipole's spectrum; frequencies in units of the drive's where it has one."""
    unit, name = 1.0, "ω  [hartree/ħ]"
    if one.get("drive_frequency", 0.0):
        unit, name = abs(float(one["drive_frequency"])), "ω/ω of the drive"
    omega = axes_of["frequency"]
    shown = (omega > 0) & (omega <= HIGHEST)
    axes.semilogy(omega[shown] / unit, np.maximum(one["spectrum"][shown], 1e-300), color="C2", lw=1)
    axes.set(xlabel=name, ylabel="spectrum of the dipole")
