"""What an introspective learner found: the kink, the latent numbers, the updates, the law, the Born form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from qwell.figures.canvas import canvas


def kink_figure(
    losses: Mapping[int, Sequence[float]], form: Mapping[int, float], verdict: int | None
) -> Figure:
    """Draw rebuilding losses against latent dimension, seeds as dots, and those of the closed form.

    Arguments:
        losses: d → one a seed, infinite where it diverged (those are not drawn).
        form: d → loss of the density form.
        verdict: the dimension found, if any.
    """
    figure, (axes,) = canvas()
    for d, values in losses.items():
        axes.plot([d] * len(values), values, ".", color="C0", ms=8)
    axes.plot(list(losses), [min(v) for v in losses.values()], "-", color="C0", label="decoder not linear")
    axes.plot(list(form), list(form.values()), "--s", color="C1", ms=5, label="linear (density form)")
    if verdict is not None:
        axes.axvline(verdict, color="0.5", ls=":", label=f"verdict: {verdict}")
    axes.set(yscale="log", xlabel="latent numbers", ylabel="MSE / var", xticks=sorted({*losses, *form}))
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False)
    return figure


def law_figure(
    potential: np.ndarray,
    trace: np.ndarray,
    exact_trace: np.ndarray,
    determinant: np.ndarray,
    laws: Sequence[np.ndarray],
    exact_law: np.ndarray,
    states: np.ndarray,
    linear: np.ndarray,
) -> Figure:
    """Draw trace and determinant against V, the blind law with its spread, and latents against (ψ, ψ').

    Arguments:
        potential: (m,); trace, exact_trace, determinant: (m,); laws: u(V) of every seed; exact_law: V − E.
        states: (ψ, ψ') of one sequence (t, 2); linear: the linear image of its latent numbers.
    """
    figure, (one, two, three, four) = canvas(1, 4, width=17.0, height=4.0)
    one.plot(potential, trace, lw=2, label="learned")
    one.plot(potential, exact_trace, "--", color="k", lw=0.9, label="2 cos(a√(E − V))")
    one.set(xlabel="V", ylabel="trace of the update")
    two.plot(potential, determinant - 1)
    two.set(xlabel="V", ylabel="determinant − 1")
    two.ticklabel_format(axis="y", scilimits=(-2, 2))
    mean, spread = np.mean(laws, axis=0), np.std(laws, axis=0)
    three.plot(potential, mean, lw=2, label="−(arccos(tr/2)/a)²")
    three.fill_between(potential, mean - spread, mean + spread, alpha=0.3)
    three.plot(potential, exact_law, "--", color="k", lw=0.9, label="V − E")
    three.set(xlabel="V", ylabel="u(V) of ψ'' = uψ")
    for k, name in enumerate(("ψ", "ψ'")):
        four.plot(linear[:, k], color=f"C{k}", lw=2, label=f"{name} from latents")
        four.plot(states[:, k], "--", color="k", lw=0.9)
    four.set(xlabel="cell", title="dashed: the wave function")
    for axes in (one, two, three, four):
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)
    return figure
