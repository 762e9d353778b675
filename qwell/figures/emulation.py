"""Emulators beside the truth (dynamics paper, Figs. 2–5, S5–S8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas
from qwell.figures.spacetime import LENGTH, TIME, draw_potential, draw_spacetime

BLOWN = 10.0  # |ψ| of a rollout that has left all bounds; left white


def rollout_figure(
    x: np.ndarray,
    times: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
    potential: np.ndarray,
    mae: np.ndarray,
    correlation: np.ndarray,
    row: int,
    title: str,
) -> Figure:
    """Draw one case: Re ψ true, predicted and their difference in space and time, two snapshots; and the
    errors of all cases against time.

    Arguments:
        x: (points,); times: (frames,).
        truth, predicted: (frames, points) complex; potential: (points,), hartree.
        mae, correlation: of all cases, (cases, frames); row: this one.
    """
    figure, axes = canvas(2, 3, width=15.0, height=8.0)
    for panel, values, name in zip(
        axes, (truth, predicted, predicted - truth), ("true", "predicted", "error"), strict=False
    ):
        draw_spacetime(panel, x, times, values.real, "Re ψ  [bohr$^{-1/2}$]", signed=True)
        panel.set_title(name)
        for value in np.flatnonzero(np.diff((potential != 0).astype(int))):
            panel.axvline(x[value], color="0.3", lw=0.6)
    marks = [len(times) * 3 // 8, len(times) * 7 // 8]
    for panel, frame in zip(axes[3:5], marks, strict=True):
        draw_potential(panel, x, potential)
        panel.plot(x, truth[frame].real, color="0.3", lw=1.4, label="true")
        panel.plot(x, predicted[frame].real, color="C3", lw=0.9, ls="--", label="predicted")
        panel.set(xlabel=LENGTH, ylabel="Re ψ  [bohr$^{-1/2}$]", title=f"t = {times[frame]:.1f}")
        panel.legend(frameon=False)
    last = axes[5]
    for k, (error, overlap) in enumerate(zip(mae, correlation, strict=True)):
        mine = k == row
        width, alpha = (1.8, 1.0) if mine else (0.5, 0.35)
        last.plot(times, error, color="C0", lw=width, alpha=alpha, label="MAE" if mine else None)
        last.plot(times, 1 - overlap, color="C1", lw=width, alpha=alpha, label="1 − C" if mine else None)
    last.set(yscale="log", xlabel=TIME, title="this case (thick) and the others")
    last.grid(which="both", alpha=0.25)
    last.legend(frameon=False)
    figure.suptitle(title)
    return figure


def maps_figure(
    x: np.ndarray,
    times: np.ndarray,
    truth: np.ndarray,
    predicted: Mapping[str, np.ndarray],
    title: str,
) -> Figure:
    """Draw one case as several emulators predict it: Re ψ in space and time, and what is off (Figs. 3a, S6).

    Arguments:
        x: (points,); times: (frames,).
        truth: (frames, points) complex; predicted: emulator → the same.
    """
    figure, axes = canvas(2, 1 + len(predicted), width=4.6 * (1 + len(predicted)), height=7.0)
    wide = 1 + len(predicted)
    draw_spacetime(axes[0], x, times, truth.real, "Re ψ  [bohr$^{-1/2}$]", signed=True)
    axes[0].set_title("true")
    axes[wide].set_axis_off()
    for k, (name, values) in enumerate(predicted.items(), start=1):
        values = np.where(np.isfinite(values) & (np.abs(values) < BLOWN), values, np.nan)
        draw_spacetime(axes[k], x, times, values.real, "Re ψ  [bohr$^{-1/2}$]", signed=True)
        axes[k].set_title(name)
        draw_spacetime(axes[wide + k], x, times, (values - truth).real, "error  [bohr$^{-1/2}$]", signed=True)
    figure.suptitle(title)
    return figure


def gallery_figure(
    x: np.ndarray, cases: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]], title: str
) -> Figure:
    """Draw the last frame of every case: |ψ| true and predicted, and where the potential is (Figs. S3, S4).

    Arguments:
        x: (points,).
        cases: title, truth (points,) complex, prediction, potential (points,).
    """
    columns = min(5, len(cases))
    rows = -(-len(cases) // columns)
    figure, axes = canvas(rows, columns, width=3.2 * columns, height=2.1 * rows + 0.4)
    for panel, (name, truth, predicted, potential) in zip(axes, cases, strict=False):
        scale = 1.1 * np.abs(truth).max()
        if (potential != 0).any():
            height = potential / np.abs(potential).max()
            panel.fill_between(x, 0.9 * scale * height, color="0.6", alpha=0.35, step="mid", lw=0)
        panel.plot(x, np.abs(truth), color="0.3", lw=1.4)
        panel.plot(x, np.abs(predicted), color="C3", lw=0.9, ls="--")
        panel.set_ylim(min(0.0, 0.95 * scale * potential.min() / (np.abs(potential).max() or 1)), scale)
        panel.set_title(name, fontsize=8)
        panel.tick_params(labelsize=7)
    for panel in axes[len(cases) :]:
        panel.set_axis_off()
    for panel in axes[columns * (rows - 1) : len(cases)]:
        panel.set_xlabel(LENGTH, fontsize=8)
    figure.suptitle(title)
    return figure


def gradients_figure(mean: np.ndarray, deviation: np.ndarray, title: str) -> Figure:
    """Draw the gradients of the middle of the prediction with respect to all inputs (Fig. S8).

    Arguments:
        mean, deviation: (2 targets, history, width, channels).
    """
    history, width, channels = mean.shape[1:]
    figure, axes = canvas(2, channels, width=5.2 * channels, height=6.6)
    k = np.arange(width) - (width - 1) / 2
    names = ("Re ψ", "Im ψ", "V/v_scale")
    for t, target in enumerate(("Re", "Im")):
        for c in range(channels):
            panel = axes[t * channels + c]
            for h in range(history):
                panel.errorbar(
                    k,
                    mean[t, h, :, c],
                    deviation[t, h, :, c],
                    lw=1.1,
                    elinewidth=0.6,
                    label=f"frame {h - history}",
                )
            panel.axhline(0, color="0.7", lw=0.6)
            panel.set(xlabel="distance from the middle  [points]", title=f"∂ {target} ψ / ∂ {names[c]}")
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(title)
    return figure


def sweep_figure(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    trained: Mapping[str, Sequence[float]],
    names: Mapping[str, str],
) -> Figure:
    """Draw C against one number at a time, with a band over networks (Fig. 4).

    Arguments:
        curves: number → (values (m,), C (networks, m)).
        trained: number → values that networks were trained on.
        names: number → axis label.
    """
    figure, axes = canvas(1, len(curves), width=4.2 * len(curves), height=3.8)
    for panel, (key, (values, correlation)) in zip(axes, curves.items(), strict=True):
        panel.fill_between(values, correlation.min(0), correlation.max(0), alpha=0.3, lw=0)
        panel.plot(values, correlation.mean(0), "o-", ms=3)
        for value in trained.get(key, ()):
            if values.min() <= value <= values.max():
                panel.axvline(value, color="C3", lw=0.6, alpha=0.6)
        panel.set(xlabel=names[key], ylabel="mean C", ylim=(min(0.9, float(correlation.min())) - 0.02, 1.005))
        panel.grid(alpha=0.25)
    return figure


def packets_figure(times: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw MAE and C against time, averaged over cases, one line a packet (Fig. S5).

    Arguments:
        times: after the last frame that was seen, (frames,).
        curves: packet → (MAE (frames,), C (frames,)).
    """
    figure, (left, right) = canvas(1, 2, width=10.0, height=3.8)
    for name, (mae, correlation) in curves.items():
        left.plot(times, mae, label=name)
        right.plot(times, correlation, label=name)
    left.set(ylabel="MAE  [bohr$^{-1/2}$]", yscale="log")
    right.set(ylabel="C")
    for panel in (left, right):
        panel.set_xlabel("time after the last frame seen  [ħ/hartree]")
        panel.grid(alpha=0.25)
        panel.legend(frameon=False)
    return figure


def options_figure(points: Mapping[str, Sequence[tuple[float, float, float]]]) -> Figure:
    """Draw MAE and C against options of networks (Fig. S7): option → (value, MAE, C), means over seeds."""
    figure, axes = canvas(1, len(points), width=4.4 * len(points), height=3.8)
    for panel, (option, measured) in zip(axes, points.items(), strict=True):
        value, mae, correlation = np.array(sorted(measured)).T
        panel.plot(value, mae, "o-", color="C0", label="MAE")
        right = panel.twinx()
        right.plot(value, correlation, "s--", color="C1", label="C")
        panel.set(xlabel=option, ylabel="MAE  [bohr$^{-1/2}$]", yscale="log")
        right.set_ylabel("C", color="C1")
        panel.yaxis.label.set_color("C0")
    return figure
