"""Runs by what they hold: one writes at a time, where new ones go, and the model that came of one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch

from qwell.errors import InvalidInput, RunNotFound, near
from qwell.models import registry
from qwell.models.layers import Network
from qwell.models.registry import CONFIG, WEIGHTS, pretrained, read_config
from qwell.train.directory import Run
from qwell.train.sharing import fetch

STUDIES = ("potential", "variational", "introspect", "control")  # commands whose runs answer one question
P = ParamSpec("P")
T = TypeVar("T")


def alone(work: Callable[P, T]) -> Callable[P, T]:
    """Keep other processes out of the run that a function is given while it works.

    Of a team, its leader does, which alone writes. The function raises DatasetLocked if a process is in.
    """

    @functools.wraps(work)
    def locked(*arguments: P.args, **options: P.kwargs) -> T:
        given = inspect.signature(work).bind(*arguments, **options).arguments
        team = given.get("team")
        with given["run"].locked() if team is None or team.leads else nullcontext():
            return work(*arguments, **options)

    return locked


def run_path(out: Path | None, name: str) -> Path:
    """Where a run goes: as asked for, or the first free of runs/name, runs/name-2 …"""
    return out or free_run_path(Path("runs"), name)


def free_run_path(root: Path, name: str) -> Path:
    """The first of root/name, root/name-2, root/name-3 … where nothing is yet."""
    path, number = root / name, 1
    while path.exists():
        number += 1
        path = root / f"{name}-{number}"
    return path


def model_folder(path: str | Path) -> Path:
    """The model folder that a run directory or model folder holds, or that of a pretrained name or address.

    Raises RunNotFound with the remedy if there is none; at an address also TransferError, VersionMismatch.
    """
    if "://" in str(path):
        return fetch(str(path))
    path = Path(path)
    if str(path) in (known := pretrained()) and not path.exists():
        return known[str(path)]
    if (path / "model" / CONFIG).is_file():
        return path / "model"
    if (path / "checkpoints").is_dir():
        command = Run(path).config.get("command", "eigen")
        raise RunNotFound(
            f"the run {path} is not finished; continue it with `qtrain {command} --resume {path}`"
        )
    if (path / CONFIG).is_file() and (path / WEIGHTS).is_file():
        return path
    if (path / CONFIG).is_file() and (command := Run(path).command) in STUDIES:
        drawn = ", and `qtrain probe potentials` draws such runs in two or three dimensions"
        raise RunNotFound(
            f"{path} is a run of `qtrain {command}` and holds no network that can be asked here;"
            f" {path / 'report.md'} says what it found" + (drawn if command == "potential" else "")
        )
    meant = near(path, known)
    hint = f"did you mean {meant!r}? If not, " if meant else ""
    raise RunNotFound(
        f"there is no trained model at {path}; {hint}give a run (runs/…), a folder with config.json, or one"
        f" of {', '.join(known)}"
    )


def trained_on(path: str | Path) -> dict[str, Any]:
    """What a model was trained on: `data`, `digest`, `recipe`, `updates`, as far as it says."""
    metadata = read_config(model_folder(path)).get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def load_model(path: str | Path, device: str | torch.device = "cpu", task: str | None = None) -> Network:
    """Load a trained model in one line.

    Arguments:
        path: a run directory, a model folder, the name of a pretrained model, or the address of a model:
            "s3://team/models/x", "ssh://…", "hf://user/repo"; "…@3f2a91c0" insists on a version.
        device: where to.
        task: what it must be for, "spectra" (potentials to energies) or "dynamics"; anything by default.

    Raises:
        RunNotFound: nothing there, or the run is not finished.
        TransferError: an address that cannot be reached.
        CheckpointError: damaged files.
        InvalidInput: a model of another task.
    """
    model = registry.load_model(model_folder(path), device)
    if task not in (None, model.task):
        wanted = {"spectra": "a network that predicts energies", "dynamics": "an emulator"}
        raise InvalidInput(f"{path} holds {model.registry_name}, made for {model.task}; give {wanted[task]}")
    return model
