"""Windows of trajectories as a data set of their own, for programs that cannot gather them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import InvalidInput
from qwell.store.backends import storage_of
from qwell.store.dataset import Dataset
from qwell.store.derive import Progress, write_rows
from qwell.store.manifest import Manifest
from qwell.store.schema import PART_AXIS, Coordinate, Field, Plan, SplitLayout
from qwell.store.windows import RE_IM, Curriculum, Order, Windows, gather

SHARD_ROWS = 50_000


def materialize(
    data: Dataset,
    split: str,
    path: Path,
    n: int | None = None,
    *,
    curriculum: Curriculum | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda rows: None,
) -> Manifest:
    """Write windows of a split, in random order: `input` (history, width, 3) and `target` (width, 2).

    Arguments:
        data: trajectories.
        split: of them.
        path: where.
        n: how many, drawn at random; all by default.
        curriculum: which windows there are; the data set's by default.
        resume, force, progress: see `write_rows`.

    Raises InvalidInput if there are fewer than `n`.
    """
    windows = Windows.of(data, split, curriculum)
    total, c = len(windows), windows.curriculum
    count = total if n is None else n
    if not 1 <= count <= total:
        raise InvalidInput(f"n is {count}; {data.path} has {total:,} windows of {split}: choose 1 to {total}")
    order = Order(total, (c.seed, 0))

    def rows(split: str, start: int, stop: int) -> dict[str, np.ndarray]:
        found = gather(windows.psi, windows.potential, *windows.at(order(np.arange(start, stop))), c)
        return {"input": found[:, :-1], "target": found[:, -1, :, :RE_IM]}

    plan = _plan(data, split, c, count, storage_of(path))
    about = {"windows_of": data.digest}
    options: dict[str, Any] = {"resume": resume, "force": force, "progress": progress}
    return write_rows(path, plan, rows, about, sources=[data], **options)


def _plan(data: Dataset, split: str, c: Curriculum, count: int, storage: str) -> Plan:
    fields = (
        Field("input", ("frame", "point", "channel"), (c.history, c.width, RE_IM + 1), "float32", "mixed",
              "frames seen: Re psi, Im psi (bohr^-1/2), V/v_scale"),
        Field("target", ("point", "part"), (c.width, RE_IM), "float32", "bohr^-1/2",
              "wave function of the next frame, Re and Im"),
    )  # fmt: skip
    axes = (
        ("frame", c.history, "time steps", "frame"),
        ("point", c.width, "mesh points", "point of the window"),
        ("channel", RE_IM + 1, "1", "0: Re, 1: Im, 2: potential"),
    )
    largest = max(f.row_bytes for f in fields)
    recipe = {
        "recipe": "windows",
        "source": data.digest,
        "split": split,
        "n": count,
        "curriculum": c.to_json(),
    }
    return Plan(
        kind="windows",
        row_order="iid",
        recipe=recipe,
        fields=fields,
        coordinates=(
            *(Coordinate(name, tuple(map(float, range(n))), units, long) for name, n, units, long in axes),
            PART_AXIS,
        ),
        splits={"train": SplitLayout.of(count, SHARD_ROWS, largest, storage)},
        storage=storage,
    )
