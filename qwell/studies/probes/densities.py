"""Densities that were never taught: ∂f_i/∂v_m against ψ_i²(m) (spectra paper, Eq. 22; Fig. 10)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.signal import find_peaks

from qwell.figures.densities import densities_figure
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, check_fits, check_index
from qwell.studies.probes.asked import OfSpectra
from qwell.studies.problem import exact
from qwell.train.eigen import gradient_densities, predict
from qwell.train.metrics import nmse
from qwell.train.runs import load_model

PROMINENCE = 0.05  # of a peak, in parts of the highest


def peaks_of(density: np.ndarray) -> np.ndarray:
    """Indices of the peaks of one density, (points,), that rise by PROMINENCE of the highest."""
    return find_peaks(density, prominence=PROMINENCE * density.max())[0]


def nodes_of(density: np.ndarray) -> int:
    """How often a density nearly vanishes between two of its peaks (below a fifth of the lower one)."""
    peaks = peaks_of(density)
    between = [density[a : b + 1].min() < 0.2 * min(density[a], density[b]) for a, b in pairwise(peaks)]
    return int(np.sum(between))


def compare(estimate: np.ndarray, density: np.ndarray, x: np.ndarray) -> dict[str, float]:
    """How near an estimated density is to the true one, both (n, points).

    relative_l2: ⟨‖∂f/∂v − ψ²‖/‖ψ²‖⟩; same_peaks, same_nodes: share of the potentials with equal counts;
    peak_shift: ⟨|x_peak − x_true|⟩ where counts are equal; negative: ⟨Σ of what is below zero⟩; sum: ⟨Σ_m⟩.
    """
    l2 = np.linalg.norm(estimate - density, axis=1) / np.linalg.norm(density, axis=1)
    pairs = [(peaks_of(a), peaks_of(b)) for a, b in zip(estimate, density, strict=True)]
    shifts = [np.abs(x[a] - x[b]).mean() for a, b in pairs if len(a) == len(b) and len(a)]
    return {
        "relative_l2": float(l2.mean()),
        "same_peaks": float(np.mean([len(a) == len(b) for a, b in pairs])),
        "peak_shift": float(np.mean(shifts)) if shifts else float("nan"),
        "same_nodes": float(
            np.mean([nodes_of(a) == nodes_of(b) for a, b in zip(estimate, density, strict=True)])
        ),
        "negative": float(-np.minimum(estimate, 0).sum(axis=1).mean()),
        "sum": float(estimate.sum(axis=1).mean()),
    }


def densities(
    path: str | Path,
    data: Dataset,
    split: str = OfSpectra.split,
    index: int = OfSpectra.index,
    samples: int = OfSpectra.samples,
) -> Finding:
    """Densities from gradients against squared wave functions, for every level over many potentials.

    Arguments:
        path: a run or model folder.
        data, split: where potentials come from.
        index: of the potential drawn.
        samples: potentials that the table averages over, from the first.
    """
    model = load_model(path, task="spectra")
    check_fits(model, data)
    check_index(index, data, split)
    x = data.coordinates["x"]
    potential = data[split]["potential"][: min(samples, len(data[split]))]
    direct = exact(data)
    truth, estimate = direct.states(potential)[1], gradient_densities(model, potential)
    table = [compare(estimate[:, i], truth[:, i], x) for i in range(truth.shape[1])]
    rows: list[list[Cell]] = [[i, *entry.values()] for i, entry in enumerate(table)]
    one = data[split]["potential"][index : index + 1]
    figure = densities_figure(
        x, direct.total(one)[0], gradient_densities(model, one)[0], direct.states(one)[1][0],
        f"{model.registry_name}, {split} potential {index}",
    )  # fmt: skip
    head = ["level", "relative L2", "same peaks", "peak shift", "same nodes", "negative part", "sum"]
    numbers = {
        "model": str(path),
        "digest": data.digest,
        "split": split,
        "index": index,
        "samples": len(potential),
        "nmse": nmse(predict(model, potential), data[split]["energy"][: len(potential)]),
        "levels": table,
    }
    return Finding(
        "densities", "Densities from gradients, ∂f/∂v against ψ²", head, rows, numbers, {"": figure}
    )
