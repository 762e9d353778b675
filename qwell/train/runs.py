"""Run directories: what was asked for, what happened, and the model that came of it.

runs/<name>/config.json        what was asked for, and with which versions
runs/<name>/metrics.jsonl      one line a measurement
runs/<name>/checkpoints/       to continue from
runs/<name>/model/             the trained model: config.json and model.safetensors
runs/<name>/figures/, report.md
runs/<name>/tensorboard/       events, if asked for
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch

from qwell.errors import CheckpointError, InvalidInput, MissingExtra, RunExists, RunNotFound, WriteError, near
from qwell.files import DirectoryLock, atomic_write, make_directory, read_sealed, seal, write_error
from qwell.models import registry
from qwell.models.layers import Network
from qwell.models.registry import CONFIG, WEIGHTS, pretrained, read_config
from qwell.train.sharing import fetch

P = ParamSpec("P")
T = TypeVar("T")


class Run:
    """A run directory."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints, self.model, self.figures = (
            self.path / n for n in ("checkpoints", "model", "figures")
        )
        self._events: Any = None

    @classmethod
    def create(cls, path: str | Path, config: dict[str, Any]) -> Run:
        """Begin a new run; RunExists if one is there, WriteError if the disk refuses."""
        run = cls(path)
        make_directory(run.path)
        with run.locked():  # of two that begin it at once, one does
            if (run.path / CONFIG).exists():
                raise RunExists(
                    f"{run.path} holds a run already; continue it with --resume {run.path},"
                    " or choose another --out"
                )
            if any(run.path.iterdir()):
                raise RunExists(f"{run.path} exists and is not empty; choose another --out")
            run.write(CONFIG, seal(config).decode())
        return run

    def locked(self) -> DirectoryLock:
        """Keep other processes out of the run while a `with` block runs; DatasetLocked if one is in it."""
        return DirectoryLock(self.path, remedy="wait until it has finished, or begin a run of its own")

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open an existing run; RunNotFound if there is none."""
        run = cls(path)
        if not (run.path / CONFIG).is_file():
            raise RunNotFound(f"there is no run at {run.path}; train one with `qtrain eigen --data …`")
        return run

    @property
    def config(self) -> dict[str, Any]:
        """What was asked for; CheckpointError if the file is damaged."""
        try:
            return read_sealed(self.path / CONFIG)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path / CONFIG} is damaged: {error}") from error

    def write(self, name: str, text: str) -> Path:
        """Write a text file of the run, whole or not at all; WriteError if the disk refuses."""
        path = self.path / name
        atomic_write(path, text.encode())
        return path

    def open_events(self, update: int) -> None:
        """Send measurements to TensorBoard too; what it holds from after `update` is made again.

        Raises MissingExtra if TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtra("--tensorboard needs TensorBoard: pip install 'qwell[tensorboard]'") from error
        self._events = SummaryWriter(self.path / "tensorboard", purge_step=update + 1)

    def log(self, row: dict[str, Any]) -> None:
        """Append a line to `metrics.jsonl`, and to TensorBoard's events if open.

        Raises WriteError if the disk refuses.
        """
        path = self.path / "metrics.jsonl"
        try:
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            reason = write_error(error, path)
            raise WriteError(f"{reason}; then continue with --resume {self.path}") from error
        if self._events is not None:
            for name, value in row.items():
                if name not in ("update", "seconds"):
                    self._events.add_scalar(name, value, row["update"])
            self._events.flush()

    def metrics(self) -> list[dict[str, Any]]:
        """All whole lines of `metrics.jsonl`; what is no measurement after an update is left out."""
        path = self.path / "metrics.jsonl"
        rows = []
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):  # cut off in writing, or damaged
                continue
            if isinstance(row, dict) and type(row.get("update")) is int:
                rows.append(row)
        return rows

    def rewind(self, update: int) -> None:
        """Forget measurements after an update; they will be made again."""
        kept = [row for row in self.metrics() if row["update"] <= update]
        self.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))


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
        raise InvalidInput(f"{path} is a {model.registry_name}, made for {model.task}; give {wanted[task]}")
    return model
