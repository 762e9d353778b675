"""How errors fall with updates and with the size of the training set (spectra paper, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qwell.errors import InvalidInput
from qwell.figures.learning import learning_curves_figure
from qwell.store.reader import open_dataset
from qwell.studies.finding import Cell, Finding, label
from qwell.studies.probes.asked import OfSpectra
from qwell.train.eigen import predict
from qwell.train.runs import Run, load_model


def learning_curves(runs: Sequence[Run], index: int = OfSpectra.index) -> Finding:
    """Training and validation NMSE of every run, and a potential drawn by the best of the first kernel.

    Arguments:
        runs: finished; their data sets must still be there for the levels to be drawn.
        index: of the validation potential.

    Raises InvalidInput for a run without measurements.
    """
    curves, rows, numbers = [], [], []
    for run in runs:
        history = run.metrics()
        measured = [row for row in history if "validation_nmse" in row]
        if not measured:
            raise InvalidInput(
                f"{run.path} has no validation NMSE; give runs of `qtrain eigen`, trained to their end"
            )
        config, last = run.config, measured[-1]
        recipe = config.get("recipe", {})
        name, size = label(recipe, run.path.name), int(recipe.get("n", 0))
        train = float(
            np.mean([row["train_nmse"] for row in history[-10:] if "train_nmse" in row] or [np.nan])
        )
        row: list[Cell] = [run.path.name, config["model"], name, size, config["updates"], train]
        rows.append([*row, last["validation_nmse"], last["validation_nmse"] / train])
        kind = f"{config['model']}, {name}, {config['updates']:,} updates"
        curves.append((f"{config['model']}, {name}, {size:,}", kind, size, history))
        keys = ("run", "model", "kernel", "n", "updates", "train_nmse", "validation_nmse", "ratio")
        numbers.append(dict(zip(keys, rows[-1], strict=True)))
    first = [n["validation_nmse"] if n["kernel"] == numbers[0]["kernel"] else np.inf for n in numbers]
    best = runs[int(np.argmin(first))]
    data = open_dataset(best.config["data"])
    potential = data["validation"]["potential"][index : index + 1]
    figure = learning_curves_figure(
        curves, data.coordinates["x"], potential[0], data["validation"]["energy"][index],
        predict(load_model(best.path), potential)[0], f"{best.path.name}, validation potential {index}",
    )  # fmt: skip
    head = ["run", "model", "kernel", "potentials", "updates", "training NMSE", "validation NMSE", "ratio"]
    return Finding(
        "learning-curves", "Errors against updates and data", head, rows, {"runs": numbers}, {"": figure}
    )
