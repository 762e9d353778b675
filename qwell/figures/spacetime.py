"""Trajectories in space and time, with the potential, norm and energy; and as films."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import animation
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qwell.errors import InvalidInput
from qwell.figures.canvas import canvas, lay_out
from qwell.files import whole_file
from qwell.progress import track

LENGTH, TIME = "x  [bohr]", "t  [ħ/hartree]"


def draw_spacetime(
    axes: Axes, x: np.ndarray, times: np.ndarray, values: np.ndarray, label: str, signed: bool = False
) -> None:
    """An image of `values` (times, points), time upwards; symmetric colours around 0 if signed."""
    high = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    image = axes.imshow(
        values,
        origin="lower",
        aspect="auto",
        extent=(x[0], x[-1], times[0], times[-1]),
        cmap="RdBu_r" if signed else "magma",
        vmin=-high if signed else 0,
        vmax=high,
        interpolation="nearest",
    )
    axes.set(xlabel=LENGTH, ylabel=TIME)
    axes.figure.colorbar(image, ax=axes, label=label)


def draw_moving(axes: Axes, x: np.ndarray, potential: np.ndarray) -> Line2D:
    """V(x, t) at the first frame on an axis of its own at the right; returns the line, to be moved."""
    right = axes.twinx()
    (line,) = right.plot(x, potential[0], color="0.5", lw=1)
    right.set_ylabel("V(x, t)  [hartree]", color="0.4")
    highest = float(np.abs(potential).max()) or 1.0
    right.set_ylim(-1.1 * highest, 1.1 * highest)
    return line


def draw_potential(axes: Axes, x: np.ndarray, potential: np.ndarray, colour: str = "0.6") -> None:
    """V(x) on an axis of its own at the right, if there is any."""
    if not (potential != 0).any():
        return
    right = axes.twinx()
    right.fill_between(x, potential, color=colour, alpha=0.4, step="mid", lw=0)
    right.set_ylabel("V  [hartree]", color="0.4")
    right.set_ylim(-1.6 * np.abs(potential).max(), 1.6 * np.abs(potential).max())


def trajectories_page(
    x: np.ndarray,
    times: np.ndarray,
    psi: np.ndarray,
    potential: np.ndarray,
    energy: np.ndarray,
    labels: Sequence[str],
    title: str,
) -> Figure:
    """Draw simulations, one a row: |ψ|² and Re ψ in space and time with the edges of the potential, and norm
    and energy against time.

    Arguments:
        x: (points,); times: (frames,).
        psi: (simulations, frames, points) complex; potential: (simulations, points), hartree; energy:
            (simulations, frames), hartree.
        labels: one a simulation.
    """
    figure, axes = canvas(len(psi), 3, width=15.0, height=3.6 * len(psi) + 0.4)
    dx = x[1] - x[0]
    for i, label in enumerate(labels):
        left, middle, right = axes[3 * i : 3 * i + 3]
        draw_spacetime(left, x, times, np.abs(psi[i]) ** 2, "|ψ|²  [1/bohr]")
        draw_spacetime(middle, x, times, psi[i].real, "Re ψ  [bohr$^{-1/2}$]", signed=True)
        for axes_of, colour in ((left, "white"), (middle, "black")):
            if (potential[i] != 0).any():  # its least value lies at the bottom: wells go down, barriers up
                low, high = min(potential[i].min(), 0), max(potential[i].max(), 0)
                height = 0.2 * (times[-1] - times[0]) * (potential[i] - low) / (high - low)
                axes_of.plot(x, times[0] + height, color=colour, lw=0.9)
            axes_of.set_title(f"{label}")
        norm = (np.abs(psi[i]) ** 2).sum(axis=1) * dx
        right.plot(times, norm - 1, color="C0", label="norm − 1")
        right.plot(times, energy[i] / energy[i][0] - 1, color="C3", lw=1, label="energy/energy(0) − 1")
        right.set(xlabel=TIME, title=f"energy {energy[i][0]:.4g} hartree")
        right.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        right.grid(alpha=0.25)
        right.legend(frameon=False)
    figure.suptitle(title)
    return figure


def film(
    x: np.ndarray,
    times: np.ndarray,
    psi: np.ndarray,
    potential: np.ndarray,
    title: str,
    path: Path,
    fps: int = 25,
) -> None:
    """Write a film of one simulation: |ψ|, Re ψ, and the potential.

    Arguments:
        x: (points,); times: (frames,); psi: (frames, points) complex; potential: (points,), hartree, or
            (frames, points) if it changes with time.
        path: ends in .gif, or in .mp4, which needs ffmpeg.
        fps: pictures a second.

    Raises:
        InvalidInput: another suffix, or no ffmpeg.
        WriteError: the disk refuses.
    """
    writers: dict[str, Any] = {".gif": animation.PillowWriter, ".mp4": animation.FFMpegWriter}
    if path.suffix not in writers:
        raise InvalidInput(f"cannot film {path}; choose a name ending in .gif or .mp4")
    if path.suffix == ".mp4" and not animation.FFMpegWriter.isAvailable():
        raise InvalidInput("an MP4 needs the program ffmpeg; install it, or choose a name ending in .gif")
    figure, (axes,) = canvas(width=7.2, height=4.0)
    highest = np.abs(psi).max()
    axes.set(xlim=(x[0], x[-1]), ylim=(-1.05 * highest, 1.05 * highest), xlabel=LENGTH)
    axes.set_ylabel("Re ψ, |ψ|  [bohr$^{-1/2}$]")
    line = draw_moving(axes, x, potential) if potential.ndim == 2 else None
    if line is None:
        draw_potential(axes, x, potential)
    (real,) = axes.plot(x, psi[0].real, color="C0", lw=0.8, label="Re ψ")
    (size,) = axes.plot(x, np.abs(psi[0]), color="C3", lw=1.3, label="|ψ|")
    axes.legend(frameon=False, loc="upper right")
    clock = axes.set_title(title)
    lay_out(figure)
    writer = writers[path.suffix](fps=fps)
    with whole_file(path) as temporary, writer.saving(figure, str(temporary), dpi=100):
        for i, (t, wave) in enumerate(track(list(zip(times, psi, strict=True)), "pictures")):
            if line is not None:
                line.set_ydata(potential[i])
            real.set_ydata(wave.real)
            size.set_ydata(np.abs(wave))
            clock.set_text(f"{title},  t = {t:.1f} ħ/hartree")
            writer.grab_frame()
