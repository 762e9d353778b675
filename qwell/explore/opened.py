"""What a command opened, and nothing else: data sets, runs and networks by the names that it lists.

The page never sends a path. It sends a name of one of these lists, so that nothing leads elsewhere.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from qwell.errors import (
    DatasetNotFound,
    InvalidInput,
    MissingExtra,
    QwellError,
    QwellWarning,
    extras_needed,
    shown,
    unknown,
)
from qwell.store.catalog import catalog
from qwell.store.dataset import Dataset
from qwell.store.reader import MAKING, open_dataset
from qwell.train.directory import Run
from qwell.train.listing import TRAINED, RunSummary, runs_below

MOST_OPEN = 8  # data sets and networks that are kept open
QUIET = threading.Lock()  # what is said or not belongs to the whole process: one thread at a time changes it


@dataclass
class Kept:
    """Things that take time to open, the last few of them, by name."""

    things: dict[str, Future[Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, name: str, make: Any) -> Any:
        """The thing of a name, made now if it is not kept."""
        with self.lock:
            mine = name not in self.things
            if mine:
                while len(self.things) >= MOST_OPEN:
                    self.things.pop(next(iter(self.things)))
                self.things[name] = Future()
            kept = self.things[name]
        if mine:  # without the lock: others go on meanwhile, and who asks for the same waits
            try:
                kept.set_result(make())
            except BaseException as error:
                self.forget(name)
                kept.set_exception(error)
        return kept.result()

    def forget(self, name: str) -> None:
        """Make it anew when it is asked for again."""
        with self.lock:
            self.things.pop(name, None)


@dataclass
class Opened:
    """What was opened.

    Arguments:
        data: data sets, and directories or addresses that hold some.
        runs: runs, and directories that hold some.
        first: the view that is shown first, "draw", "samples", "packet" or "runs".
    """

    data: Sequence[str] = ()
    runs: Sequence[str] = ()
    first: str = "draw"
    kept: Kept = field(default_factory=Kept)
    trained: Mapping[str, str] = field(default_factory=dict, init=False)  # as `networks` found them last

    def datasets(self) -> dict[str, dict[str, Any]]:
        """Name → what is said of a data set in a list: where it is, kind, rows, or what is wrong with it."""
        found: dict[str, dict[str, Any]] = {}
        for place in self.data:
            found |= {shown(entry["path"]): entry for entry in _listed(place)}
        return found

    def dataset(self, name: str) -> Dataset:
        """An opened data set; InvalidInput for a name that was not listed."""
        return self.kept.get(f"data {name}", lambda: open_dataset(self._path(name)))

    def _path(self, name: str) -> str:
        known = self.datasets()
        if name not in known:
            raise InvalidInput(unknown("data set", name[:200], known))
        return str(known[name]["path"])

    def trainings(self) -> dict[str, RunSummary]:
        """Path of a run → what it says of itself; newest first."""
        if not self.runs:
            return {}
        with QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore", QwellWarning)  # asked every second, and said by `qtrain runs`
            return {row.run: row for row in runs_below([r for r in self.runs if Path(r).is_dir()])}

    def run(self, name: str) -> Run:
        """A run; InvalidInput for a name that was not listed."""
        known = self.trainings()
        if name not in known:
            raise InvalidInput(unknown("run", name[:200], known))
        return Run(name)

    @cached_property
    def _shipped(self) -> dict[str, str]:
        """Names of the networks that come with the package → their task; MissingExtra without torch."""
        with extras_needed():
            from qwell.models.registry import list_models, pretrained, read_config

            tasks = {name: task for task in ("spectra", "dynamics") for name in list_models(task)}
            return {name: tasks[read_config(folder)["model"]] for name, folder in pretrained().items()}

    def networks(self) -> tuple[dict[str, str], str]:
        """Name of a network → its task, those of finished runs too; and why there is none, if so."""
        try:
            shipped = self._shipped
        except MissingExtra as error:
            return {}, str(error)
        self.trained = self._trained()
        return {**self.trained, **shipped}, ""

    def _trained(self) -> dict[str, str]:
        """Finished runs → the task of their network. All runs are read: not for every stroke."""
        tasks = {"eigen": "spectra", "dynamics": "dynamics"}
        return {
            row.run: tasks[row.command]
            for row in self.trainings().values()
            if row.state == "finished" and row.command in tasks
        }

    def network(self, name: str, task: str, load: Callable[[str], Any]) -> Any:
        """A network that was listed for a task, loaded once, and again when its run was trained again.

        Raises InvalidInput for others, MissingExtra without torch, and what `load` raises.
        """
        if {**self.trained, **self._shipped}.get(name) != task:
            known, _ = self.networks()
            names = [one for one, its in known.items() if its == task]
            if name not in names:
                raise InvalidInput(unknown("network", name[:200], names))
        trained = Path(name) / TRAINED[0]
        version = trained.stat().st_mtime_ns if name in self.trained and trained.is_file() else 0
        return self.kept.get(f"network {name} {version}", lambda: load(name))


def _listed(place: str) -> Iterable[dict[str, Any]]:
    """The data sets at a place: itself, or those in it."""
    if "://" not in place and not Path(place).is_dir() and not Path(place).is_file():
        return
    try:
        data = open_dataset(place)
    except QwellError as error:
        try:
            entries = [_entry(place, one.to_json()) for one in catalog(place)]
        except QwellError:
            entries = []
        none = isinstance(error, DatasetNotFound)
        remedy = f", and holds none; make one, e.g. `{MAKING['spectra']}`" if none else ""
        yield from entries or [{"path": place, "problem": f"{error}{remedy}"}]
        return
    rows = {name: len(split) for name, split in data.splits.items()}
    yield {"path": place, "kind": data.kind, "rows": rows, "digest": data.digest}


def _entry(place: str, one: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: one[key] for key in ("kind", "rows", "digest", "problem") if key in one}
    return {"path": f"{place.rstrip('/')}/{one['name']}", **kept}
