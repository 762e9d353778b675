"""A network trained on one kernel, measured on the others (spectra paper, Figs. 4 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qwell.figures.cross_kernel import cross_kernel_figure
from qwell.progress import track
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, check_fits, check_index, label
from qwell.studies.probes.asked import OfSpectra
from qwell.train.eigen import predict, predict_split
from qwell.train.metrics import nmse
from qwell.train.runs import Run, load_model, trained_on


def error_matrix(
    models: Sequence[str | Path], data: Sequence[Dataset], split: str = OfSpectra.split
) -> np.ndarray:
    """NMSE of every model (rows) on every data set (columns), (models, data)."""
    matrix = np.empty((len(models), len(data)))
    for i, path in enumerate(track(models, "networks")):
        model = load_model(path, task="spectra")
        for j, one in enumerate(data):
            check_fits(model, one)
            matrix[i, j] = nmse(*predict_split(model, one, split))
    return matrix


def model_label(path: str | Path) -> str:
    """How figures and tables name a model: the network and the kernel it was trained on."""
    about = trained_on(path)
    return f"{load_model(path).registry_name}, {label(about.get('recipe', {}), str(about.get('data', '?')))}"


def cross_kernel(
    models: Sequence[str | Path],
    data: Sequence[Dataset],
    split: str = OfSpectra.split,
    index: int = OfSpectra.index,
) -> Finding:
    """NMSE of every model on every data set, and one potential's levels by each model.

    Arguments:
        models: runs or model folders.
        data: sets to measure on.
        split: of them.
        index: of the potential drawn, a row of the first data set.
    """
    matrix = error_matrix(models, data, split)
    check_index(index, data[0], split)
    names = [model_label(path) for path in models]
    against = [label(one.recipe, one.stem) for one in data]
    potential = data[0][split]["potential"][index : index + 1]
    levels = {name: predict(load_model(path), potential)[0] for name, path in zip(names, models, strict=True)}
    figure = cross_kernel_figure(
        matrix,
        names,
        against,
        data[0].coordinates["x"],
        potential[0],
        data[0][split]["energy"][index],
        levels,
        f"{against[0]}, {split} potential {index}",
        _progress(models, names),
    )
    numbers = {
        "models": [str(path) for path in models],
        "trained_on": [trained_on(path).get("digest") for path in models],
        "names": names,
        "data": [
            {"name": a, "digest": d.digest, "rows": len(d[split])} for a, d in zip(against, data, strict=True)
        ],
        "split": split,
        "nmse": matrix.tolist(),
    }
    rows: list[list[Cell]] = [[name, *map(float, row)] for name, row in zip(names, matrix, strict=True)]
    head = ["network, trained on", *(f"NMSE, {a}" for a in against)]
    return Finding(
        "cross-kernel", "Networks on kernels they have not seen", head, rows, numbers, {"": figure}
    )


def _progress(models: Sequence[str | Path], names: Sequence[str]) -> tuple[str, list[dict[str, Any]]] | None:
    """Name and history of the first run that watched other data sets while it was trained, if any did."""
    for path, name in zip(models, names, strict=True):
        history = Run(path).metrics()
        if any(key.startswith("nmse on ") for row in history for key in row):
            return name, history
    return None
