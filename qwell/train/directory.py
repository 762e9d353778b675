"""Run directories: what was asked for, what happened, and the model that came of it. Needs no torch.

runs/<name>/config.json        what was asked for, and with which versions
runs/<name>/metrics.jsonl      one line a measurement
runs/<name>/checkpoints/       to continue from
runs/<name>/model/             the trained model: config.json and model.safetensors
runs/<name>/figures/, report.md
runs/<name>/tensorboard/, metrics.csv, wandb/, trackio/: of loggers, if asked for
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qwell.errors import CheckpointError, RunExists, RunNotFound, WriteError
from qwell.files import DirectoryLock, atomic_write, make_directory, read_sealed, seal, write_error
from qwell.train.loggers import Logger, open_logger

CONFIG = "config.json"
PATIENCE = 0.5  # seconds in which those that only look at a run let go of it
# Command that makes runs → an example of it.
EXAMPLES = {
    "eigen": "qtrain eigen --data store/m3.zarr",
    "dynamics": "qtrain dynamics --data store/demo.zarr",
    "potential": "qtrain potential --system hydrogen-1s",
    "variational": "qtrain variational --potential harmonic",
    "introspect": "qtrain introspect --data store/densities.zarr",
}
RESUMED = ("eigen", "dynamics", "introspect")  # those that continue a run


class Run:
    """A run directory."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints, self.model, self.figures = (
            self.path / n for n in ("checkpoints", "model", "figures")
        )
        self._loggers: list[Logger] = []

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

    def locked(self, share: bool = False) -> DirectoryLock:
        """Keep other processes out of the run while a `with` block runs; DatasetLocked if one is in it.

        Those that `share` it keep each other not out; they look for an instant, and who wants the run alone
        waits for them.
        """
        remedy = "wait until it has finished, or begin a run of its own"
        return DirectoryLock(self.path, share, patience=0.0 if share else PATIENCE, remedy=remedy)

    @classmethod
    def open(cls, path: str | Path, command: str | None = None) -> Run:
        """Open an existing run.

        Arguments:
            path: of the run.
            command: of EXAMPLES, which must have made it; any by default.

        Raises:
            RunNotFound: nothing there.
            CheckpointError: a run of another command, or a damaged one.
        """
        run = cls(path)
        example = EXAMPLES[command or "eigen"]
        if not (run.path / CONFIG).is_file():
            raise RunNotFound(f"there is no run at {run.path}; make one, e.g. with `{example}`")
        if command not in (None, run.command):
            raise CheckpointError(
                f"{run.path} is {run.kind}, and one of `qtrain {command}` is needed; make one, e.g. with"
                f" `{example}`"
            )
        return run

    @classmethod
    def resumed(cls, path: str | Path, command: str) -> Run:
        """Open a run that a command is to continue; CheckpointError names the one that can, if it cannot."""
        run = cls.open(path)
        if run.command == command:
            return run
        if run.command is None:
            raise CheckpointError(f"{run.path} is {run.kind}; name the run that `qtrain {command}` began")
        how = f"continue it with `qtrain {run.command} --resume {run.path}`"
        if run.command not in RESUMED:
            how = f"that command continues none: repeat what {run.path / 'log.txt'} begins with"
        raise CheckpointError(f"{run.path} is {run.kind}, not of `qtrain {command}`; {how}")

    @property
    def config(self) -> dict[str, Any]:
        """What was asked for; CheckpointError if the file is damaged."""
        try:
            return read_sealed(self.path / CONFIG)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path / CONFIG} is damaged: {error}") from error

    @property
    def command(self) -> str | None:
        """The command that made it, e.g. "eigen"; None if it does not say."""
        command = self.config.get("command")
        return command if isinstance(command, str) else None

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"a run of `qtrain {self.command}`" if self.command else "no run: it names no command"

    def write(self, name: str, text: str) -> Path:
        """Write a text file of the run, whole or not at all; WriteError if the disk refuses."""
        path = self.path / name
        atomic_write(path, text.encode())
        return path

    @contextmanager
    def logging_to(self, names: Iterable[str]) -> Iterator[None]:
        """Send measurements to loggers too while a `with` block runs; they begin with what is in `metrics()`.

        Raises MissingExtra or TransferError if one cannot be opened.
        """
        try:
            for name in names:
                self._loggers.append(open_logger(name, self.path, self.config, self.metrics()))
            yield
        finally:
            while self._loggers:
                self._loggers.pop().close()

    def log(self, row: dict[str, Any]) -> None:
        """Append a line to `metrics.jsonl`, and give it to the loggers that are open.

        Raises WriteError if the disk refuses.
        """
        path = self.path / "metrics.jsonl"
        try:
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            reason = write_error(error, path)
            raise WriteError(f"{reason}; then continue with --resume {self.path}") from error
        for logger in self._loggers:
            logger.log({name: value for name, value in row.items() if name != "update"}, row["update"])

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
        if not (self.path / "metrics.jsonl").exists():
            return
        kept = [row for row in self.metrics() if row["update"] <= update]
        self.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
