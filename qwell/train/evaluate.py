"""How good is a trained network: its errors beside the ladder's, a table, figures, and a report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qwell.errors import InvalidInput
from qwell.figures.canvas import save
from qwell.figures.learning import learning_curve
from qwell.figures.levels import predicted_levels
from qwell.models.layers import Network
from qwell.models.registry import create_model, entry_of, read_config
from qwell.store.dataset import Dataset
from qwell.train import metrics
from qwell.train.eigen import batches_of, fitting_options, predict, predict_split
from qwell.train.runs import Run, load_model, model_folder
from qwell.train.tables import aligned

Solver = Callable[[np.ndarray], np.ndarray]
TRAINED = ("updates", "batch", "first_rate", "last_rate", "seed")  # settings that closed forms have not


@dataclass(frozen=True)
class Row:
    """One line of the table: who, on how many potentials, how far off, how fast."""

    name: str
    potentials: int
    per_second: float
    metrics: dict[str, Any]

    def cells(self) -> list[str]:
        """name, NMSE, relative error, MAE, potentials per second."""
        m = self.metrics
        return [
            self.name,
            f"{m['nmse']:.2e}",
            f"{100 * m['relative_error']:.3g} %",
            f"{m['mae']:.3g}",
            f"{self.per_second:,.0f}",
        ]


@dataclass(frozen=True)
class Evaluation:
    """The rows of a table, with the data they were measured on."""

    data: Dataset
    split: str
    rows: list[Row]
    prediction: np.ndarray

    def markdown(self) -> str:
        """The table as aligned Markdown."""
        head = ["model", "NMSE", "relative error", "MAE", "potentials/s"]
        *others, ours = (row.cells() for row in self.rows)
        return aligned([head, *others, [f"**{ours[0]}**", *ours[1:]]])

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, with every metric of every row."""
        return {
            "data": str(self.data.path),
            "digest": self.data.digest,
            "split": self.split,
            "rows": [
                {
                    "name": r.name,
                    "potentials": r.potentials,
                    "potentials_per_second": r.per_second,
                    **r.metrics,
                }
                for r in self.rows
            ],
        }


def evaluate(
    path: str | Path,
    data: Dataset,
    *,
    split: str = "validation",
    device: str | torch.device = "cpu",
    solvers: Mapping[str, tuple[Solver, int]] | None = None,
) -> Evaluation:
    """Measure a trained model on a split, beside the ladder fitted to the same data set's training split.

    Arguments:
        path: a run directory or model folder.
        data: of spectra, with as many points and levels as the model has.
        split: to measure on.
        device: where the network runs.
        solvers: name → (function from potentials to energies, how many potentials to give it).

    Raises:
        DatasetKindError, InvalidInput: the data does not fit the model.
        RunNotFound, CheckpointError: no such model.
    """
    model = load_model(path, device, task="spectra")
    fit = fitting_options(data.require("spectra"))
    own = {key: getattr(model.config, key) for key in fit}
    if own != fit:
        raise InvalidInput(
            f"the model was made for {own['points']} points and {own['levels']} levels,"
            f" {data.path} has {fit['points']} and {fit['levels']}"
        )
    rows = []
    for name in ("mean", "linear"):
        baseline = create_model(name, **fit)
        baseline.fit(batches_of(data))  # type: ignore[operator]
        rows.append(_measure(f"{name} (fitted here)", baseline, data, split)[0])
    sample = {
        f: data[split][f][: max((n for _, n in (solvers or {}).values()), default=0)]
        for f in ("potential", "energy")
    }
    for name, (solver, count) in (solvers or {}).items():
        potential, energy = sample["potential"][:count], sample["energy"][:count]
        solver(potential[:1])  # warm up: some are compiled at the first call
        clock = time.perf_counter()
        answer = solver(potential)
        speed = len(potential) / (time.perf_counter() - clock)
        rows.append(Row(name, len(potential), speed, metrics.summary(answer, energy)))
    trained_on = read_config(model_folder(path))["metadata"].get("data", "?")
    row, prediction = _measure(f"{model.registry_name} (trained on {trained_on})", model, data, split)
    return Evaluation(data, split, [*rows, row], prediction)


def _measure(name: str, model: Network, data: Dataset, split: str) -> tuple[Row, np.ndarray]:
    predict(model, data[split]["potential"][:1000])  # warm up
    clock = time.perf_counter()
    prediction, energy = predict_split(model, data, split)
    speed = len(energy) / (time.perf_counter() - clock)
    return Row(name, len(energy), speed, metrics.summary(prediction, energy)), prediction


def per_level_table(row: Row) -> str:
    """MAE and relative error of each level as Markdown."""
    m = row.metrics
    pairs = zip(m["mae_per_level"], m["relative_error_per_level"], strict=True)
    return aligned(
        [
            ["level", "MAE", "relative error"],
            *([str(i), f"{a:.3g}", f"{100 * r:.3g} %"] for i, (a, r) in enumerate(pairs)),
        ]
    )


def write_report(run: Run, evaluation: Evaluation) -> Path:
    """Write figures, `evaluation.json` and `report.md` into a run. Returns the report's path.

    The potential drawn is the one whose error is the median of the split's.
    """
    data, split = evaluation.data, evaluation.split
    energy = data[split]["energy"][:]
    error = np.abs(evaluation.prediction - energy).mean(axis=1)
    typical = int(np.argsort(error)[len(error) // 2])
    x = data.coordinates["x"]
    potential = data[split]["potential"][typical]
    run.figures.mkdir(exist_ok=True)
    figure = predicted_levels(
        x, potential, energy[typical], evaluation.prediction[typical], f"{split} potential {typical}"
    )
    save(figure, run.figures / "levels.png")
    history = run.metrics()
    images = ["![levels](figures/levels.png)"]
    if sum("loss" in row for row in history) > 1:
        save(learning_curve(history, run.path.name), run.figures / "learning.png")
        images.append("![learning curve](figures/learning.png)")
    config = run.config
    run.write("evaluation.json", json.dumps(evaluation.to_json(), indent=1) + "\n")
    trained = () if entry_of(config["model"]).closed_form else TRAINED
    settings = "\n".join(f"- {k}: {config[k]}" for k in ("model", *trained))
    text = f"""# {run.path.name}

Trained on `{config["data"]}` (version `{config["digest"][:12]}`), measured on `{split}` of `{data.path}`
(version `{data.digest[:12]}`, {len(energy):,} potentials). Energies in ħ²/(m·length²).

{settings}

{evaluation.markdown()}

NMSE = ΣΣ(E − f)²/ΣΣE²; relative error = ⟨|E − f|⟩/⟨|E|⟩; MAE in energy units.

{per_level_table(evaluation.rows[-1])}

{chr(10).join(images)}
"""
    return run.write("report.md", text)
