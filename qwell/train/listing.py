"""The runs below a directory and how far each is, by what they say themselves. Needs no torch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwell.errors import CheckpointError, DatasetLocked, InvalidInput, RunNotFound, unknown, warn
from qwell.train.directory import CONFIG, EXAMPLES, Run

SORTS = ("newest", "measure")
# Command → files of which it writes one when all is done.
TRAINED = (f"model/{CONFIG}",)
PRODUCTS = {
    "eigen": TRAINED,
    "dynamics": TRAINED,
    "potential": ("report.json", "sweep.json", "noise.json"),
    "variational": ("report.json",),
    "control": ("report.json",),
    "introspect": ("report.json", "translator.json"),
}
MEASURES = (
    "validation_nmse",
    "validation_mae",
    "infidelity",
    "loss",
)  # of which the first that a run has counts


@dataclass(frozen=True)
class RunSummary:
    """A run in a line; None is what it does not say.

    Arguments:
        run: path of the run.
        command, model, data, seed: what was asked for; `data` names the data set, or the potential.
        updates, of: updates done, of all; of several beginnings or stages together.
        measure, last, best: a name of MEASURES, its last value, and its smallest.
        seconds: of training.
        state: "finished", "running", "interrupted", or "diverged": its last numbers are not finite.
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
                f"there is no directory {root}; name one that holds runs (a training makes a run, e.g."
                f" `{EXAMPLES['eigen']}`)"
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
    rows = run.metrics()
    for name in ("state", "sampled", command):
        config = {**config, **(config[name] if isinstance(config.get(name), dict) else {})}
    history = [_numbers(row) for row in rows]
    ends = _ends(history)
    seconds = [row["seconds"] for row in ends if "seconds" in row]
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
        updates=int(sum(row["update"] for row in ends)),
        of=_integer(config.get("updates")),
        measure=measure,
        last=values[-1] if values else None,
        best=min(values, default=None),
        seconds=sum(seconds) if seconds else None,
        state=_state(run, command, rows[-1:]),
        changed=(measured if measured.exists() else run.path / CONFIG).stat().st_mtime,
        history=history,
    )


def _state(run: Run, command: str, last: Sequence[dict[str, Any]]) -> str:
    """Whether a process is in a run, it has what it was begun for, or its last row says why it has not.

    Its lock is tried for a moment; who begins to work in it meanwhile waits for that.
    """
    try:
        run.locked(share=True).release()
    except DatasetLocked:
        return "running"
    if any((run.path / product).is_file() for product in PRODUCTS.get(command, TRAINED)):
        return "finished"
    numbers = [v for row in last for v in row.values() if isinstance(v, float)]
    diverged = command != "introspect" and not all(map(math.isfinite, numbers))  # there inf is an answer
    return "diverged" if diverged else "interrupted"


def _ends(history: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """The last row of every beginning or stage, after which updates are counted anew."""
    last = {"update": -math.inf}
    return [
        row
        for row, after in zip(history, [*history[1:], last], strict=False)
        if after["update"] <= row["update"]
    ]


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {k: v for k, v in row.items() if type(v) in (int, float) and math.isfinite(v)}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None
