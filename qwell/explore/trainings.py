"""Runs: what is trained, how far and how good, while it is; and the figures that a run has drawn."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import InvalidInput, unknown
from qwell.explore.asked import Asked, text
from qwell.explore.draw import Reply
from qwell.explore.opened import Opened
from qwell.train.listing import MEASURES

MOST_MEASURED = 2000  # measurements of a run that are sent
MOST_FIGURE = 2**24  # bytes
REPORT = "report.md"


def listed(opened: Opened, asked: Asked) -> Reply:
    """All runs in a line each, newest first, with their learning curves (measures of `MEASURES` alone)."""
    rows = []
    for row in opened.trainings().values():
        kept = {k: v for k, v in asdict(row).items() if k != "history"}
        measured = [one for one in row.history if any(name in one for name in MEASURES)]
        rows.append({**kept, "curves": _curves(measured)})
    return {"runs": rows}, {}


def _curves(history: list[dict[str, float]]) -> dict[str, list[list[float]]]:
    """Measure → pairs of updates and value, thinned evenly where there are too many."""
    curves = {}
    for name in MEASURES:
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
    written = report.read_text(errors="replace")[:100_000] if report.is_file() else ""
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
