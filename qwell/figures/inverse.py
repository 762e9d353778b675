"""Potentials found from wave functions, along a line and on a plane, and the way there (MPNN, Figs. 2, 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas


def potential_figure(
    line: np.ndarray,
    wave: np.ndarray,
    exact: np.ndarray,
    found: Mapping[str, np.ndarray],
    history: Sequence[Mapping[str, float]],
    energy: float,
    plane: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    names: tuple[str, str] = ("x", "y"),
) -> Figure:
    """Draw V and U along a line with |ψ|², loss and energy on the way, and both on a plane through it.

    Arguments:
        line: (n,), the first coordinate; wave, exact: ψ and V there; found: label → U.
        history: rows with update, loss, energy; energy: the exact one.
        plane: axis (m,), V and U (m, m), first index the coordinate of the line.
        names: of the coordinates of the line and of the plane; all others are zero.
    """
    figure, axes = canvas(1, 5 if plane else 3, width=20.0 if plane else 14.0, height=4.2)
    left, middle, right = axes[:3]
    finite = exact[np.isfinite(exact)]
    low, high = np.quantile(finite, [0.02, 0.98])
    margin = 0.25 * max(high - low, 1e-9)
    for k, (label, values) in enumerate(found.items()):
        left.plot(line, values, color=f"C{k}", lw=1.4, label=label)
    left.plot(line, exact, "--", color="k", lw=0.9, label="V")
    left.fill_between(
        line, low - margin, low - margin + (high - low) * wave**2 / np.nanmax(wave**2), color="0.88",
        label="|ψ|²",
    )  # fmt: skip
    left.set(xlabel=names[0], ylabel="potential", ylim=(low - margin, high + margin), title="along a line")
    left.legend(fontsize=8, frameon=False)
    steps = [row["update"] for row in history]
    middle.plot(steps, [row["loss"] for row in history], lw=1.1)
    middle.set(yscale="log", xlabel="updates", ylabel="loss", title="loss on the way")
    right.plot(steps, [row["energy"] for row in history], lw=1.1)
    if np.isfinite(energy):
        right.axhline(energy, color="k", ls="--", lw=0.8, label="exact")
        right.legend(frameon=False)
    right.set(xlabel="updates", ylabel="Ē", title="energy on the way")
    for panel in (left, middle, right):
        panel.grid(alpha=0.25)
    if plane:
        axis, true, ours = plane
        for panel, values, title in ((axes[3], true, "V"), (axes[4], ours, "U")):
            drawn = panel.pcolormesh(
                axis, axis, np.clip(values, low - margin, high + margin).T, shading="nearest", cmap="viridis",
                vmin=low - margin, vmax=high + margin, rasterized=True,
            )  # fmt: skip
            panel.set(
                xlabel=names[0],
                ylabel=names[1],
                aspect="equal",
                title=f"{title}, others 0",
            )
        figure.colorbar(drawn, ax=axes[3:])
    return figure


def maps_figure(
    axis: np.ndarray,
    found: Mapping[str, np.ndarray],
    wave: np.ndarray,
    exact: np.ndarray,
    names: tuple[str, ...] = ("x", "y"),
) -> Figure:
    """Draw potentials on a plane, then ψ and V (Fig. 2): three panels a row, all potentials in V's colours.

    Arguments:
        axis: (m,), both coordinates; found: title → U (m, m); wave, exact: ψ and V (m, m).
        names: of the coordinates of the first and second index.
    """
    panels = [*found.items(), ("ψ", wave), ("V", exact)]
    rows = -(-len(panels) // 3)
    figure, axes = canvas(rows, 3, width=12.0, height=3.8 * rows)
    low, high = np.quantile(exact[np.isfinite(exact)], [0.01, 1.0])
    margin = 0.25 * (high - low)
    for at, panel in enumerate(axes):
        if at >= len(panels):
            panel.set_axis_off()
            continue
        title, values = panels[at]
        limits = {} if title == "ψ" else {"vmin": low - margin, "vmax": high + margin}
        drawn = panel.pcolormesh(
            axis, axis, values.T, shading="nearest", cmap="magma" if title == "ψ" else "viridis",
            rasterized=True, **limits,
        )  # fmt: skip
        panel.set(xlabel=names[0], ylabel=names[1], aspect="equal", title=title)
        figure.colorbar(drawn, ax=panel, shrink=0.85, extend="neither" if title == "ψ" else "both")
    return figure


def penalty_figure(
    penalties: Sequence[float], errors: Sequence[Sequence[float]], losses: Sequence[Sequence[float]]
) -> Figure:
    """Draw errors of the potential and last losses against λ, seeds as dots and their means (Fig. 3).

    Arguments:
        penalties: λ; 0 is drawn at the left end.
        errors, losses: (λ, seeds).
    """
    figure, panels = canvas(1, 2, width=11.0, height=4.2)
    positive = [p for p in penalties if p > 0]
    floor = min(positive, default=1.0) / 10
    x = [p if p > 0 else floor for p in penalties]
    for panel, values, label in ((panels[0], errors, "ε"), (panels[1], losses, "loss")):
        for at, row in zip(x, values, strict=True):
            panel.plot([at] * len(row), row, ".", color="0.6")
        panel.plot(x, [np.mean(row) for row in values], "-o", lw=1.2, ms=4)
        panel.set(
            xscale="log", yscale="log", xlabel="λ (the leftmost: 0)" if 0 in penalties else "λ", ylabel=label
        )
        panel.grid(which="both", alpha=0.25)
    return figure


def noise_figure(noises: Sequence[float], errors: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Draw errors of potentials against noise: means, with bars from the least to the largest of all seeds.

    Arguments:
        noises: relative; 0 is drawn at the left end.
        errors: of what → (noises, seeds).
    """
    figure, (axes,) = canvas()
    floor = min((n for n in noises if n > 0), default=1.0) / 10
    x = [n if n > 0 else floor for n in noises]
    for label, rows in errors.items():
        means = np.array([np.mean(row) for row in rows])
        low, high = np.array([[min(row), max(row)] for row in rows]).T
        axes.errorbar(x, means, yerr=[means - low, high - means], fmt="-o", ms=4, capsize=3, label=label)
    axes.set(xscale="log", yscale="log", ylabel="ε, mean |U − V|")
    axes.set(xlabel="relative noise of |ψ|²" + (" (the leftmost: 0)" if 0 in noises else ""))
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False)
    return figure
