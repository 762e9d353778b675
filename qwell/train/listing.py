"""The runs below a directory and how far each is, by what they say themselves. Needs no torch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwell.errors import CheckpointError, DatasetLocked, InvalidInput, RunNotFound, unknown, warn
from qwell.train.directory import CONFIG, Run

SORTS = ("newest", "measure")
MEASURES = ("validation_nmse", "validation_mae", "loss")  # of which the first that a run has counts


@dataclass(frozen=True)
class RunSummary:
    """A run in a line; None is what it does not say.

    Arguments:
        run: path of the run.
        command, model, data, seed: what was asked for; `data` names the data set, or the potential.
        updates, of: updates done, of all.
        measure, last, best: a name of MEASURES, its last value, and its smallest.
        seconds: of training.
        state: "finished", "running" or "interrupted".
        changed: when the run was last measured, in seconds since 1970.
        history: its numbers, as in `metrics.jsonl`.
    """

    run: str
    command: str
    model: str | None
    data: str | None
    seed: int | None
    updates: int
    of: int | None
    measure: str | None
    last: float | None
    best: float | None
    seconds: float | None
    state: str
    changed: float
    history: Sequence[dict[str, float]]


def runs_below(roots: Sequence[str | Path], sort: str = SORTS[0]) -> list[RunSummary]:
    """The runs below some directories, or that are these; what is damaged or no run is said in a warning.

    Arguments:
        sort: "newest" first, or by "measure": runs of one measure together, the smallest last value first.

    Raises:
        RunNotFound: one of the directories is not there.
        InvalidInput: no such order.
    """
    if sort not in SORTS:
        raise InvalidInput(unknown("order", sort, SORTS))
    found: dict[Path, RunSummary] = {}
    for root in map(Path, roots):
        if not root.is_dir():
            raise RunNotFound(
                f"there is no directory {root}; name one that holds runs, e.g. `qtrain runs runs`"
            )
        for path in _folders_with_config(root):
            try:
                found.setdefault(path.resolve(), summary_of(Run(path)))
            except (CheckpointError, RunNotFound, OSError) as error:
                warn(f"passed over: {error}")
    rows = sorted(found.values(), key=lambda row: -row.changed)
    if sort == "measure":
        last = {None: len(MEASURES)} | {name: i for i, name in enumerate(MEASURES)}
        rows.sort(key=lambda row: (last[row.measure], row.last))
    return rows


def _folders_with_config(root: Path) -> Iterator[Path]:
    """Folders with a `config.json`, links followed once each, none inside another; and no hidden ones."""
    seen: set[str] = set()
    for folder, below, files in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in seen or CONFIG in files:
            below.clear()
        below[:] = sorted(name for name in below if not name.startswith("."))
        if CONFIG in files:
            yield Path(folder)
        elif not below and Path(folder).parent == root:
            warn(f"passed over: {folder} is no run: there is no {CONFIG} in it")
        seen.add(os.path.realpath(folder))


def summary_of(run: Run) -> RunSummary:
    """What a run says of itself.

    Raises:
        CheckpointError: its configuration is damaged.
        RunNotFound: it is no run, but something else with a `config.json`.
    """
    config = run.config
    command = config.get("command")
    if not isinstance(command, str):
        raise RunNotFound(f"{run.path} is no run: its {CONFIG} names no command")
    for name in ("state", "sampled", command):
        config = {**config, **(config[name] if isinstance(config.get(name), dict) else {})}
    history = [_numbers(row) for row in run.metrics()]
    measure = next((name for name in MEASURES if any(name in row for row in history)), None)
    values = [row[measure] for row in history if measure in row] if measure else []
    data = next(
        (_text(config[k]) for k in ("data", "file", "system", "potential") if _text(config.get(k))), None
    )
    measured = run.path / "metrics.jsonl"
    return RunSummary(
        run=str(run.path),
        command=command,
        model=next((_text(config[k]) for k in ("model", "translator", "method") if k in config), None),
        data=data and Path(data).name,
        seed=_integer(config.get("seed")),
        updates=int(max((row["update"] for row in history), default=0)),
        of=_integer(config.get("updates")),
        measure=measure,
        last=values[-1] if values else None,
        best=min(values, default=None),
        seconds=next((row["seconds"] for row in reversed(history) if "seconds" in row), None),
        state=_state(run),
        changed=(measured if measured.exists() else run.path / CONFIG).stat().st_mtime,
        history=history,
    )


def _state(run: Run) -> str:
    """Whether a run has what it was begun for, or a process is in it; its lock is tried for a moment."""
    try:
        run.locked(share=True).release()
    except DatasetLocked:
        return "running"
    return "finished" if (run.model / CONFIG).is_file() or any(run.path.glob("*.md")) else "interrupted"


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {k: v for k, v in row.items() if type(v) in (int, float) and math.isfinite(v)}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None
