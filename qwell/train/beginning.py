"""How every training begins: its data opened once, checked against the recipe, and a run directory made."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import qwell
from qwell import plugins
from qwell.errors import CheckpointError, InvalidInput, warn
from qwell.models.registry import entry_of, list_models
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.train.config import TrainingConfig
from qwell.train.loggers import library
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
    if entry_of(config.model, task).task != task:
        raise InvalidInput(f"{config.model} {KINDS[task]}; choose one of {', '.join(list_models(task))}")


def begin_run(command: str, config: TrainingConfig, data: Dataset, path: str | Path) -> Run:
    """Make a run directory for a resolved recipe, with the versions and the data's own recipe beside it.

    Raises RunExists or WriteError if it cannot be made, MissingExtra if a logger's package is not here.
    """
    for name in config.loggers:
        library(name)
    settings = {"command": command, **config.to_json()}
    about = {**rounding(settings), "python": platform.python_version()}
    others = plugins.recorded([("models", config.model)])
    return Run.create(path, {**settings, **others, "about": about, "recipe": data.recipe})


def settings_of(run: Run) -> dict[str, Any]:
    """What a run was begun with; MissingPlugin if its model is a plug-in's that is not here."""
    settings = run.config
    plugins.check(settings.get("plugins"))
    return settings


def rounding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the last bits of a training depend on besides its settings and the machine."""
    threads = settings.get("threads") or torch.get_num_threads()
    return {"qwell": qwell.__version__, "torch": torch.__version__, "threads": threads}


def warn_of_changes(run: Run) -> None:
    """Say what is other than when a run was begun, so that it cannot go on bit for bit."""
    begun = run.config.get("about", {})
    changed = [
        f"{name} {begun[name]}, now {value}"
        for name, value in rounding(run.config).items()
        if begun.get(name, value) != value
    ]
    if changed:
        warn(
            f"{run.path} was begun with {'; '.join(changed)}: the last bits of its weights may be others now"
        )
