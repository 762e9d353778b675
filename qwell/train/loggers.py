"""Loggers: where measurements of a training go besides `metrics.jsonl`.

tensorboard  events in the run's `tensorboard/`
csv          a table in the run's `metrics.csv`
wandb        Weights & Biases, project "qwell"; local files in the run's `wandb/` with WANDB_MODE=offline
trackio      Trackio, project "qwell", the run's name and an id that the run keeps in `trackio/`: a local data
             base, or a server or Space that its variables name

A training that is continued goes on in each: TensorBoard and the table are brought to the checkpoint; at the
other two, updates between the checkpoint and an interruption are sent again, with the same numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from qwell.errors import MissingExtra, TransferError
from qwell.files import atomic_write, write_error

PROJECT = "qwell"
LIBRARIES = {"tensorboard": "torch.utils.tensorboard", "csv": "csv", "wandb": "wandb", "trackio": "trackio"}


class Logger(Protocol):
    """Takes the measurements of a training."""

    def log(self, row: Mapping[str, float], step: int) -> None:
        """Take what was measured after update `step`."""

    def close(self) -> None:
        """Write what is left."""


def library(name: str) -> Any:
    """The module that a logger of this name needs; MissingExtra if it is not installed."""
    try:
        return import_module(LIBRARIES[name])
    except ImportError as error:
        raise MissingExtra(f"--logger {name} needs a package: pip install 'qwell[{name}]'") from error


def open_logger(
    name: str, folder: Path, config: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> Logger:
    """Open a logger for a run, new or continued.

    Arguments:
        name: of LIBRARIES.
        folder: of the run.
        config: of the run.
        history: rows of the run that stay, each with `update`.

    Raises:
        MissingExtra: its package is not installed.
        TransferError: its service refuses.
        WriteError: the disk refuses.
    """
    opened: dict[str, Callable[..., Logger]] = {"tensorboard": Events, "csv": Table}
    return opened.get(name, Tracked)(library(name), folder, config, history)


class Events:
    """TensorBoard; what it holds from after the history is hidden, and made again."""

    def __init__(self, module: Any, folder: Path, config: object, history: Sequence[Mapping[str, Any]]):
        done = history[-1]["update"] if history else 0
        self._writer = module.SummaryWriter(folder / "tensorboard", purge_step=done + 1)

    def log(self, row: Mapping[str, float], step: int) -> None:
        for name, value in row.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Table:
    """`metrics.csv`, a column for each name that has occurred; empty where there was no such number."""

    def __init__(self, module: object, folder: Path, config: object, history: Sequence[Mapping[str, Any]]):
        self._path, self._rows = folder / "metrics.csv", list(history)
        self._names = list(dict.fromkeys(name for row in history for name in row)) or ["update"]
        atomic_write(self._path, self._text(self._rows, head=True))

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._rows.append({"update": step, **row})
        if new := [name for name in row if name not in self._names]:
            self._names += new
            atomic_write(self._path, self._text(self._rows, head=True))
            return
        try:
            with self._path.open("ab") as file:
                file.write(self._text(self._rows[-1:]))
        except OSError as error:
            raise write_error(error, self._path) from error

    def close(self) -> None:
        pass

    def _text(self, rows: Sequence[Mapping[str, Any]], head: bool = False) -> bytes:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._names, lineterminator="\n")
        if head:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()


class Tracked:
    """A run at Weights & Biases or Trackio, whose functions have the same names and arguments."""

    def __init__(
        self, module: Any, folder: Path, config: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
    ):
        about: dict[str, Any] = {"project": PROJECT, "name": folder.resolve().name, "config": dict(config)}
        about["resume"] = "allow" if history else "never"
        same = folder / module.__name__ / "qwell-id"  # by which the service knows the run again
        if not (history and same.exists()):
            atomic_write(same, uuid4().hex[:8].encode())
        if module.__name__ == "wandb":
            about |= {"dir": str(folder), "id": same.read_text()}
        else:  # Trackio knows runs by their names alone
            about["name"] += f"-{same.read_text()}"
        try:
            self._run = module.init(**about)
        except Exception as error:  # each library has its own
            raise TransferError(
                f"{module.__name__} does not begin a run: {error}; sign in, or work without a server"
                " (wandb: WANDB_MODE=offline)"
            ) from error

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._run.log(dict(row), step=step)

    def close(self) -> None:
        self._run.finish()
