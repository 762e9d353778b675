"""What networks see of trajectories: windows in space and time, and which are chosen (Figs. S1, S2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from qwell.figures.canvas import canvas
from qwell.figures.spacetime import LENGTH, draw_spacetime

DRAWN = 80  # windows that are outlined
TOUCHING: dict[str, Any] = {"edgecolor": "C1", "lw": 1.3}
FREE: dict[str, Any] = {"edgecolor": "white", "lw": 0.8, "ls": ":"}


def windows_figure(
    x: np.ndarray,
    times: np.ndarray,
    psi: np.ndarray,
    potential: np.ndarray,
    chosen: np.ndarray,
    touches: np.ndarray,
    shape: tuple[int, int],
    v_scale: float,
    title: str,
) -> Figure:
    """Draw some windows of one simulation in |ψ|, how often each left edge is chosen, and one window.

    Arguments:
        x: (points,); times: (frames,).
        psi: (frames, points) complex; potential: (frames, points), hartree.
        chosen: first frame and left edge of the windows, (windows, 2).
        touches: whether the window at each first frame and left edge holds a point with V ≠ 0,
            (frames, points).
        shape: frames that are seen, and points, of a window.
        v_scale: the potential is divided by it.
    """
    figure, (space, counts, waves) = canvas(1, 3, width=15.0, height=4.4)
    history, width = shape
    draw_spacetime(space, x, times, np.abs(psi), "|ψ|  [bohr$^{-1/2}$]")
    dx, dt = x[1] - x[0], times[1] - times[0]
    for frame, left in chosen[:DRAWN]:
        style = TOUCHING if touches[frame, left] else FREE
        corner = (x[left] - dx / 2, times[frame] - dt / 2)
        space.add_patch(Rectangle(corner, width * dx, (history + 1) * dt, fill=False, **style))
    shown = min(DRAWN, len(chosen))
    space.set_title(f"{shown} of {len(chosen):,} windows; orange: touch the potential")
    middle = (x[chosen[:, 1]] - x[0] + width * dx / 2) % (len(x) * dx) + x[0]
    counts.hist(middle, bins=50, range=(x[0], x[0] + len(x) * dx), color="C0")
    share = touches[chosen[:, 0], chosen[:, 1]].mean()
    counts.set(xlabel="middle of the window, " + LENGTH, ylabel="windows chosen")
    counts.set_title(f"{100 * share:.0f} % touch the potential; {100 * touches.mean():.0f} % of all do")
    _one(waves, psi, potential / v_scale, _telling(chosen, touches, psi), shape)
    figure.suptitle(title)
    return figure


def _telling(chosen: np.ndarray, touches: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """Of the windows that touch the potential, or of all if none does, one with much of the wave in it."""
    touching = touches[chosen[:, 0], chosen[:, 1]]
    some = chosen[touching] if touching.any() else chosen
    best: np.ndarray = some[np.abs(psi[some[:, 0], some[:, 1]]).argmax()]
    return best


def _one(axes: Axes, psi: np.ndarray, v: np.ndarray, window: np.ndarray, shape: tuple[int, int]) -> None:
    """The channels of a window: frames that are seen from pale to dark, and the one to predict, dashed."""
    (history, width), (first, left) = shape, window
    points = (left + np.arange(width)) % psi.shape[1]
    for t in range(history + 1):
        seen = t < history
        style: dict[str, Any] = {"alpha": (t + 1) / history, "ls": "-"} if seen else {"ls": "--", "lw": 1.8}
        label = None if seen and t < history - 1 else ("last seen" if seen else "to predict")
        for part, colour, name in ((psi.real, "C0", "Re ψ"), (psi.imag, "C3", "Im ψ")):
            told = f"{name}, {label}" if label else None
            axes.plot(np.arange(width), part[first + t, points], color=colour, label=told, **style)
    right = axes.twinx()
    right.step(np.arange(width), v[first + history, points], where="mid", color="0.5", label="V/v_scale")
    right.set(ylabel="V/v_scale", ylim=(-1.05, 1.05))
    axes.set(xlabel="point of the window", ylabel="ψ  [bohr$^{-1/2}$]")
    axes.set_title(f"one window: frames {first} … {first + history}, from point {left}")
    axes.legend(frameon=False, fontsize="small")
