"""An avoided crossing, v(λ) = (1 − λ)ṽ₁ + λṽ₂, never shown to the network (spectra paper, Figs. 11, 12).

Two potentials, each lowered by its ground-state energy. Where the two lowest levels come near, the densities
of ground and first excited state change places.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from qwell.errors import InvalidInput
from qwell.figures.crossing import crossing_figure, exchange_figure
from qwell.models.layers import Network
from qwell.progress import track
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, check_fits
from qwell.studies.probes.asked import OfSpectra
from qwell.studies.problem import exact
from qwell.train.eigen import gradient_densities, predict
from qwell.train.metrics import nmse
from qwell.train.runs import load_model

Of = Callable[[np.ndarray], np.ndarray]  # potentials (k, points) → energies, or densities
States = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # both, as in `Exact`
STEPS = 201
WINDOW = (0.2, 0.8)  # where in λ a crossing is looked for
SHARPEST = 0.05  # a smaller gap, in parts of the path's mean, is too sharp to be seen
APART = 0.5  # least distance of the centres of the two densities, before and after
NONE = "none seen"  # where the gap has no least value inside WINDOW
BESIDE = 0.04  # how far before and after the densities are looked at, as in the paper


def find_crossing(energies: np.ndarray) -> tuple[int, float]:
    """The step of the smallest gap E₁ − E₀ inside WINDOW, and the gap over the mean gap of the path.

    Arguments:
        energies: (steps, levels), along λ = 0 … 1.
    """
    gap = energies[:, 1] - energies[:, 0]
    first, last = (int(edge * (len(gap) - 1)) for edge in WINDOW)
    step = first + int(gap[first : last + 1].argmin())
    inside = first < step < last
    return step, float(gap[step] / gap.mean()) if inside else np.inf


def path_between(a: np.ndarray, b: np.ndarray, mixing: np.ndarray) -> np.ndarray:
    """(1 − λ)a + λb for every λ, (steps, points)."""
    return (1 - mixing)[:, None] * a + mixing[:, None] * b


def crossing(
    path: str | Path,
    data: Dataset,
    split: str = OfSpectra.split,
    candidates: int = OfSpectra.candidates,
) -> Finding:
    """Find an avoided crossing by the network alone, and compare it with the direct solution.

    All pairs of the first potentials are tried. The one taken has the smallest gap for its path, not below
    SHARPEST, among those whose two lowest states change sides, as the network sees it; if it sees none, as
    the direct solution does.

    Arguments:
        path: a run or model folder.
        data, split: where potentials come from.
        candidates: potentials tried with each other.

    Raises InvalidInput if no pair has a crossing.
    """
    model, states = load_model(path, task="spectra"), exact(data).states
    check_fits(model, data)
    x, mixing = data.coordinates["x"], np.linspace(0, 1, STEPS)
    potential = data[split]["potential"][: min(candidates, len(data[split]))].astype(np.float64)
    shifted = potential - states(potential)[0][:, :1]
    found_by, (i, j) = _pair(model, states, shifted, mixing, x)
    beside = round(BESIDE * (STEPS - 1))
    v = path_between(shifted[i], shifted[j], mixing)
    predicted, (energy, density) = predict(model, v), states(v)
    (truly, true_depth), (seen, depth) = find_crossing(energy), find_crossing(predicted)
    step = seen if np.isfinite(depth) else truly  # densities are then asked for where the crossing is
    places = [step - beside, step, step + beside]
    estimate = gradient_densities(model, v[places], levels=2)
    own = density[[truly - beside, truly, truly + beside], :2]
    l2 = np.linalg.norm(estimate - density[places, :2], axis=2) / np.linalg.norm(density[places, :2], axis=2)
    sides = (predicted[step], step, depth), (energy[truly], truly, true_depth)
    rows: list[list[Cell]] = [
        ["λ of the smallest gap", *(float(mixing[at]) if np.isfinite(d) else NONE for _, at, d in sides)],
        ["smallest gap E₁ − E₀", *(float(e[1] - e[0]) if np.isfinite(d) else NONE for e, _, d in sides)],
    ]
    for name, after in (("first excited", 1), ("ground", 0)):
        title = f"overlap, ground state before with {name} state after"
        rows.append([title, *(_overlap(d[0, 0], d[2, after]) for d in (estimate, own))])
    keys = ("lambda_crossing", "gap", "overlap_exchanged", "overlap_same")
    numbers = {
        "model": str(path), "digest": data.digest, "split": split, "pair": [i, j], "found_by": found_by,
        "lambda": mixing[places].tolist(),
        **{
            key: dict(zip(("network", "exact"), (None if c == NONE else c for c in row[1:]), strict=True))
            for key, row in zip(keys, rows, strict=True)
        },
        "nmse_on_path": nmse(predicted, energy), "density_relative_l2": l2.tolist(),
    }  # fmt: skip
    figures = {
        "": crossing_figure(x, mixing, v, predicted, energy, float(mixing[step])),
        "densities": exchange_figure(x, mixing[places], v[places], estimate, density[places, :2]),
    }
    title = f"An avoided crossing between {split} potentials {i} and {j}"
    return Finding("crossing", title, ["", "network", "exact"], rows, numbers, figures)


def _pair(
    model: Network, states: States, shifted: np.ndarray, mixing: np.ndarray, x: np.ndarray
) -> tuple[str, tuple[int, int]]:
    """Who saw a crossing, "network" or else "direct solution", and between which two potentials.

    Raises InvalidInput if neither did.
    """
    views: dict[str, tuple[Of, Of]] = {
        "network": (lambda v: predict(model, v), lambda v: gradient_densities(model, v, levels=2)),
        "direct solution": (lambda v: states(v)[0], lambda v: states(v)[1][:, :2]),
    }
    for name, (energies, densities) in views.items():
        if (pair := _choose(shifted, mixing, x, energies, densities)) is not None:
            return name, pair
    raise InvalidInput(
        f"no avoided crossing among the first {len(shifted)} potentials; raise --candidates or change --data"
    )


def _choose(
    shifted: np.ndarray,
    mixing: np.ndarray,
    x: np.ndarray,
    energies: Of,
    densities: Of,
) -> tuple[int, int] | None:
    """The pair with the smallest gap for its path that is not below SHARPEST and exchanges states, if any.

    Arguments:
        shifted: potentials, (n, points); mixing: λ; x: positions.
        energies, densities: of potentials (k, points): (k, levels), and (k, 2, points).
    """
    pairs = [(i, j) for i in range(len(shifted)) for j in range(i)]
    coarse = [
        find_crossing(energies(path_between(shifted[i], shifted[j], mixing[::4])))[1]
        for i, j in track(pairs, "pairs")
    ]
    beside = round(BESIDE * (len(mixing) - 1))
    for k in np.argsort(coarse)[: np.isfinite(coarse).sum()]:
        v = path_between(shifted[pairs[k][0]], shifted[pairs[k][1]], mixing)
        step, depth = find_crossing(energies(v))
        if SHARPEST < depth < 1:
            slopes = np.maximum(densities(v[[step - beside, step + beside]]), 0)
            centre = (slopes @ x) / slopes.sum(axis=2)
            before, after = centre[:, 0] - centre[:, 1]
            if before * after < 0 and min(abs(before), abs(after)) > APART:
                return pairs[k]
    return None


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Σ ab/√(Σa² Σb²): 1 for densities of one shape, near 0 for densities apart."""
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
