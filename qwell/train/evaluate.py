"""How good is a trained network: its errors beside the ladder's, a table, figures, and a report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qwell.errors import InvalidInput
from qwell.figures.canvas import Figure, save
from qwell.figures.learning import learning_curve
from qwell.figures.levels import predicted_levels
from qwell.models.layers import Network
from qwell.models.registry import create_model, entry_of
from qwell.store.dataset import Dataset
from qwell.train import metrics
from qwell.train.calibration import COVERAGE, calibration_in, law_of, trusted
from qwell.train.eigen import batches_of, fitting_options, predict, predict_split
from qwell.train.runs import Run, load_model, trained_on
from qwell.train.tables import aligned

SHARES = ("covered", "marked")  # of networks that were calibrated, by other potentials than these
Solver = Callable[[np.ndarray], np.ndarray]
TRAINED = (
    "updates",
    "batch",
    "optimizer",
    "mirror",
    "first_rate",
    "last_rate",
    "seed",
)  # settings that closed forms have not


@dataclass(frozen=True)
class Row:
    """One line of the table: who, on how many potentials, how far off, how fast."""

    name: str
    potentials: int
    per_second: float
    metrics: dict[str, Any]

    def cells(self) -> list[str]:
        """name, NMSE, relative error, MAE, potentials per second, share in intervals, share marked."""
        m = self.metrics
        shares = [f"{100 * m[key]:.3g} %" if m.get(key) is not None else "–" for key in SHARES]
        shares[1] += f", all by {m['set_marked']}" if m.get("set_marked") else ""
        return [
            self.name,
            f"{m['nmse']:.2e}",
            f"{100 * m['relative_error']:.3g} %",
            f"{m['mae']:.3g}",
            f"{self.per_second:,.0f}",
            *shares,
        ]


@dataclass(frozen=True)
class Evaluation:
    """The rows of a table, with the data they were measured on; the last are the networks that were asked.

    Arguments:
        predictions: name of a network → its energies of the whole split, (rows, levels).
    """

    data: Dataset
    split: str
    rows: list[Row]
    predictions: dict[str, np.ndarray]

    @property
    def asked(self) -> dict[str, Row]:
        """The rows of the networks, by name."""
        return dict(zip(self.predictions, self.rows[-len(self.predictions) :], strict=True))

    def markdown(self) -> str:
        """The table as aligned Markdown."""
        inside = f"in {100 * COVERAGE:g} % intervals"
        head = ["model", "NMSE", "relative error", "MAE", "potentials/s", inside, "marked"]
        cells = [row.cells() for row in self.rows]
        for ours in cells[-len(self.predictions) :]:
            ours[0] = f"**{ours[0]}**"
        return aligned([head, *cells])

    def figure(self) -> Figure:
        """Levels of a typical potential: the one whose error by the first network is the split's median."""
        energy = self.data[self.split]["energy"][:]
        error = np.abs(next(iter(self.predictions.values())) - energy).mean(axis=1)
        typical = int(np.argsort(error)[len(error) // 2])
        x, potential = self.data.coordinates["x"], self.data[self.split]["potential"][typical]
        found = {name: prediction[typical] for name, prediction in self.predictions.items()}
        return predicted_levels(x, potential, energy[typical], found, f"{self.split} potential {typical}")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, with every metric of every row."""
        return {
            "data": self.data.name,
            "digest": self.data.digest,
            "recipe": self.data.recipe,
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
    paths: str | Path | Sequence[str | Path],
    data: Dataset,
    *,
    split: str = "validation",
    device: str | torch.device = "cpu",
    solvers: Mapping[str, tuple[Solver, int]] | None = None,
) -> Evaluation:
    """Measure trained models on a split, beside the ladder fitted to the same data set's training split.

    Arguments:
        paths: a run, a model folder or the name of a pretrained model, or several.
        data: of spectra, with as many points and levels as the models have.
        split: to measure on.
        device: where the networks run.
        solvers: name → (function from potentials to energies, how many potentials to give it).

    Raises:
        DatasetKindError, InvalidInput: the data does not fit a model, or a model is named twice.
        RunNotFound, CheckpointError: no such model.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    fit = fitting_options(data.require("spectra"))
    models = _loaded(paths, data, fit, device)
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
    predictions = {}
    for name, (path, model) in models.items():
        about = trained_on(path)
        title = f"{name} ({model.registry_name}, trained on {about.get('data', '?')})"
        row, predictions[name] = _measure(title, model, data, split)
        calibration = calibration_in(about, **fit)
        if calibration and (split, data.digest) != ("validation", about["calibration"].get("digest")):
            part, laws = data[split], (law_of(about), data.recipe)
            pair = predictions[name], part["energy"][:]
            row.metrics.update(trusted(calibration, part["potential"][:], *pair, laws))
        rows.append(row)
    return Evaluation(data, split, rows, predictions)


def _loaded(
    paths: Sequence[str | Path], data: Dataset, fit: Mapping[str, int], device: str | torch.device
) -> dict[str, tuple[str | Path, Network]]:
    """Name → path and model; InvalidInput if one does not fit the data, or two have one name."""
    models: dict[str, tuple[str | Path, Network]] = {}
    for path in paths:
        model = load_model(path, device, task="spectra")
        own = {key: getattr(model.config, key) for key in fit}
        if own != fit:
            raise InvalidInput(
                f"{path} was made for {own['points']} points and {own['levels']} levels,"
                f" {data.path} has {fit['points']} and {fit['levels']}"
            )
        if (name := Path(path).name) in models:
            raise InvalidInput(f"two models have the name {name}; give each once, in folders of two names")
        models[name] = path, model
    return models


def _measure(name: str, model: Network, data: Dataset, split: str) -> tuple[Row, np.ndarray]:
    predict(model, data[split]["potential"][:1000])  # warm up
    clock = time.perf_counter()
    prediction, energy = predict_split(model, data, split)
    speed = len(energy) / (time.perf_counter() - clock)
    return Row(name, len(energy), speed, metrics.summary(prediction, energy)), prediction


def per_level_table(asked: Mapping[str, Row]) -> str:
    """MAE and relative error of each level as Markdown, a pair of columns a network."""
    rows = [row.metrics for row in asked.values()]
    pairs = [(row["mae_per_level"], row["relative_error_per_level"]) for row in rows]
    named = [f" of {name}" if len(asked) > 1 else "" for name in asked]
    head = ["level", *(f"{what}{name}" for name in named for what in ("MAE", "relative error"))]
    lines = [
        [str(i), *(cell for mae, r in pairs for cell in (f"{mae[i]:.3g}", f"{100 * r[i]:.3g} %"))]
        for i in range(len(pairs[0][0]))
    ]
    return aligned([head, *lines])


def write_report(run: Run, evaluation: Evaluation) -> Path:
    """Write figures, `evaluation.json` and `report.md` into a run. Returns the report's path."""
    data, split = evaluation.data, evaluation.split
    run.figures.mkdir(exist_ok=True)
    save(evaluation.figure(), run.figures / "levels.png")
    history = run.metrics()
    images = ["![levels](figures/levels.png)"]
    if sum("loss" in row for row in history) > 1:
        save(learning_curve(history, run.path.name), run.figures / "learning.png")
        images.append("![learning curve](figures/learning.png)")
    config = run.config
    run.write("evaluation.json", json.dumps(evaluation.to_json(), indent=1) + "\n")
    trained = () if entry_of(config["model"]).closed_form else TRAINED
    settings = "\n".join(f"- {k}: {config[k]}" for k in ("model", *trained) if k in config)
    text = f"""# {run.path.name}

Trained on `{Path(config["data"]).name}` (version `{config["digest"][:12]}`), measured on `{split}` of
`{data.name}` (version `{data.digest[:12]}`, {evaluation.rows[-1].potentials:,} potentials). Energies in
ħ²/(m·length²).

{settings}

{evaluation.markdown()}

NMSE = ΣΣ(E − f)²/ΣΣE²; relative error = ⟨|E − f|⟩/⟨|E|⟩; MAE in energy units.

{per_level_table(evaluation.asked)}

{chr(10).join(images)}
"""
    return run.write("report.md", text)
