"""Learning curves: NMSE against updates and against the size of the training set (spectra paper, Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas
from qwell.figures.levels import draw_levels


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


def learning_curves_figure(
    curves: Sequence[tuple[str, str, int, Sequence[dict[str, Any]]]],
    x: np.ndarray,
    potential: np.ndarray,
    energy: np.ndarray,
    prediction: np.ndarray,
    title: str,
) -> Figure:
    """Draw the progress of several trainings, their last errors against data, and one potential's levels.

    Arguments:
        curves: label; kind, of which one line is drawn against potentials; potentials in the training set;
            rows as in `learning_curve`.
        x, potential: (points,); energy, prediction: (levels,); title: of the levels' panel.
    """
    figure, (progress, final, levels) = canvas(1, 3, width=14.0, height=4.6)
    shares = []
    for label, _, _, history in curves:
        updates = max(row["update"] for row in history)
        shares.append((label, [{**row, "update": row["update"] / updates} for row in history]))
    _draw_progress(progress, shares, "validation_nmse")
    progress.set(xlabel="progress (updates done / all)", ylabel="NMSE")
    for k, kind in enumerate(dict.fromkeys(curve[1] for curve in curves)):
        ours = sorted((c for c in curves if c[1] == kind), key=lambda c: c[2])
        for key, style, fill in (("train_nmse", "--", "none"), ("validation_nmse", "-", None)):
            last = [
                next(r[key] for r in reversed(c[3]) if key in r) if any(key in r for r in c[3]) else np.nan
                for c in ours
            ]
            final.plot(
                [c[2] for c in ours], last, style, marker="o", mfc=fill, color=f"C{k}", lw=1.1,
                label=f"{kind}, {'training' if style == '--' else 'validation'}",
            )  # fmt: skip
    final.set(xscale="log", yscale="log", xlabel="potentials in the training set", ylabel="NMSE at the end")
    final.legend(fontsize=7, frameon=False)
    final.grid(which="both", alpha=0.25)
    draw_levels(levels, x, potential, energy, {"": prediction})
    levels.set_title(title)
    return figure


def runs_figure(panels: Mapping[str, Sequence[tuple[str, Sequence[dict[str, Any]]]]]) -> Figure:
    """Draw the learning curves of several runs, a panel for each measure.

    Arguments:
        panels: measure, e.g. "validation_nmse" → label of a run, and its rows as in `learning_curve`.
    """
    figure, axes = canvas(1, len(panels), width=6.4 * len(panels))
    for panel, (measure, curves) in zip(axes, panels.items(), strict=True):
        _draw_progress(panel, curves, measure)
        panel.set(
            xlabel="updates", ylabel=measure.replace("_", " ").replace("nmse", "NMSE").replace("mae", "MAE")
        )
    return figure


def _draw_progress(axes: Axes, curves: Sequence[tuple[str, Sequence[dict[str, Any]]]], measure: str) -> None:
    """Draw a measure of every run, solid, and what is measured alike in training, dashed."""
    training = measure.replace("validation", "train")
    for k, (label, history) in enumerate(curves):
        for key, style in {training: "--", measure: "-"}.items():
            rows = [row for row in history if key in row]
            axes.plot(
                [r["update"] for r in rows], [r[key] for r in rows], style, color=f"C{k % 10}", lw=1.1,
                label=label if style == "-" else None,
            )  # fmt: skip
    axes.set(yscale="log")
    if any(training in row for _, history in curves for row in history) and training != measure:
        axes.set_title("training (dashed), validation (solid)")
    axes.grid(which="both", alpha=0.25)
    axes.legend(fontsize=7, frameon=False)
