"""Runs: what is trained, how far and how good, while it is; and the figures that a run has drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import InvalidInput, unknown
from qwell.explore.asked import Asked, text
from qwell.explore.draw import Reply
from qwell.explore.opened import Opened
from qwell.train.listing import MEASURES

MOST_MEASURED = 500  # measurements of a run that are sent
MOST_FIGURE = 2**24  # bytes
REPORT = "report.md"


def listed(opened: Opened, asked: Asked) -> Reply:
    """All runs in a line each, newest first, with their learning curves."""
    rows = []
    for row in opened.trainings().values():
        kept = {f.name: getattr(row, f.name) for f in fields(row) if f.name != "history"}  # it is long
        rows.append({**kept, "curves": _curves(row.history)})
    return {"runs": rows}, {}


def _curves(history: Sequence[dict[str, float]]) -> dict[str, list[list[float]]]:
    """What was measured → pairs of updates and value, thinned evenly; that of `MEASURES` first."""
    curves = {}
    names = dict.fromkeys(name for row in history for name in row if name not in ("update", "seconds"))
    for name in sorted(names, key=lambda name: MEASURES.index(name) if name in MEASURES else len(MEASURES)):
        pairs = [[row["update"], row[name]] for row in history if name in row]
        if len(pairs) > MOST_MEASURED:
            at = np.unique(np.linspace(0, len(pairs) - 1, MOST_MEASURED).astype(int))
            pairs = [pairs[i] for i in at]
        if pairs:
            curves[name] = pairs
    return curves


def one(opened: Opened, asked: Asked) -> Reply:
    """A run: what was asked for, its last measurements, report, and names of its figures."""
    run = opened.run(text(asked, "run"))
    report = run.path / REPORT
    written = (
        report.read_text(errors="replace")[:100_000] if report.is_file() and not report.is_symlink() else ""
    )
    said: dict[str, Any] = {"config": run.config, "report": written, "figures": sorted(_figures(run.path))}
    return {**said, "last": run.metrics()[-5:]}, {}


def _figures(path: Path) -> dict[str, Path]:
    """Name → PNG in the run's `figures/`; links are left out, which may lead elsewhere."""
    folder = path / "figures"
    if folder.is_symlink() or not folder.is_dir():
        return {}
    return {p.name: p for p in folder.glob("*.png") if p.is_file() and not p.is_symlink()}


def figure(opened: Opened, asked: Asked) -> bytes:
    """The content of a figure of a run, a PNG; InvalidInput for one that is not listed."""
    known, name = _figures(opened.run(text(asked, "run")).path), text(asked, "figure")
    if name not in known:
        raise InvalidInput(unknown("figure", name[:100], known))
    with known[name].open("rb") as file:
        return file.read(MOST_FIGURE)
