"""How every training begins: its data opened once, checked against the recipe, and a run directory made."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

import qwell
from qwell.errors import CheckpointError, InvalidInput
from qwell.models.registry import entry_of, list_models
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.train.config import TrainingConfig
from qwell.train.runs import Run

KINDS = {"spectra": "predicts no energies", "dynamics": "is no emulator"}
STORED = {"spectra": "spectra", "dynamics": "trajectories"}  # what a task learns from


def data_of(config: TrainingConfig, task: str, data: Dataset | None = None) -> Dataset:
    """The data set that a recipe names, in the version that it names.

    Arguments:
        config: the recipe.
        task: "spectra" or "dynamics".
        data: the data set, if it is open already.

    Raises:
        CheckpointError: the data set has another version.
        DatasetKindError, DatasetNotFound …: as they say.
    """
    data = (data or open_dataset(config.data)).require(STORED[task])
    if data.digest != config.digest:
        raise CheckpointError(
            f"{data.path} is version {data.digest[:12]}, this training is of {config.digest[:12]};"
            " restore that data set or start a new run"
        )
    return data


def check_model(config: TrainingConfig, task: str) -> None:
    """Raise InvalidInput, or UnknownModel, unless the model of a recipe is made for a task."""
    if entry_of(config.model).task != task:
        raise InvalidInput(f"{config.model} {KINDS[task]}; choose one of {', '.join(list_models(task))}")


def begin_run(command: str, config: TrainingConfig, data: Dataset, path: str | Path) -> Run:
    """Make a run directory for a resolved recipe, with the versions and the data's own recipe beside it.

    Raises RunExists or WriteError if it cannot be made.
    """
    about = {"qwell": qwell.__version__, "torch": torch.__version__, "python": platform.python_version()}
    return Run.create(path, {"command": command, **config.to_json(), "about": about, "recipe": data.recipe})
