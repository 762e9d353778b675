"""What depth and self-attention are worth (spectra paper, Eqs. 19 and 20; Fig. 8).

R_D(n) = NMSE(n Res-SA blocks)/NMSE(1),   R_SA = NMSE(with self-attention)/NMSE(without)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwell.errors import InvalidInput
from qwell.figures.ablation import ablation_figure
from qwell.models.registry import read_config
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, label
from qwell.studies.probes.asked import OfSpectra
from qwell.studies.probes.cross_kernel import error_matrix
from qwell.train.runs import model_folder, trained_on


@dataclass(frozen=True)
class Part:
    """A network among those compared: `kind` is what must be equal for a comparison to mean something."""

    kernel: str
    kind: str
    blocks: int
    attends: bool
    updates: int | None
    nmse: np.ndarray


def ablation(models: Sequence[str | Path], data: Sequence[Dataset], split: str = OfSpectra.split) -> Finding:
    """R_D of every depth and R_SA of every pair with and without self-attention, for each training set.

    Networks are compared that differ in nothing else: taught on the same version of a data set, with as many
    updates and the same other options.

    Arguments:
        models: runs of `res_sa`, of any depths and training sets, with and without attention.
        data: sets to measure on.

    Raises InvalidInput if another network is among them, two are alike, or there is nothing to compare.
    """
    against = [label(one.recipe, one.stem) for one in data]
    parts = [_part(path, e) for path, e in zip(models, error_matrix(models, data, split), strict=True)]
    shapes = {(part.kind, part.blocks, part.attends): part.nmse for part in parts}
    if len(shapes) < len(parts):
        raise InvalidInput("two of the runs are of one depth, data set, and training; leave one of them out")
    kinds = {part.kernel: {other.kind for other in parts if other.kernel == part.kernel} for part in parts}
    rows: list[list[Cell]] = []
    depth: dict[str, dict[int, float]] = {}
    attention: dict[str, np.ndarray] = {}
    numbers: list[dict[str, Any]] = []
    for part in sorted(parts, key=lambda p: (p.kernel, p.kind, p.blocks, p.attends)):
        one, twin = shapes.get((part.kind, 1, True)), shapes.get((part.kind, part.blocks, False))
        r_d = None if one is None or not part.attends else part.nmse / one
        r_sa = None if twin is None or not part.attends else part.nmse / twin
        alone = len(kinds[part.kernel]) == 1
        name = part.kernel if alone else f"{part.kernel}, {part.updates:,} updates"
        if r_d is not None:
            depth.setdefault(name, {})[part.blocks] = float(r_d.mean())
        if r_sa is not None:
            attention[name if part.blocks == 5 else f"{name}, {part.blocks} blocks"] = r_sa
        attends = "yes" if part.attends else "no"
        mean = ["" if r is None else float(r.mean()) for r in (r_d, r_sa)]
        rows.append([part.kernel, part.updates or "?", part.blocks, attends, *map(float, part.nmse), *mean])
        numbers.append(
            {
                "kernel": part.kernel,
                "updates": part.updates,
                "blocks": part.blocks,
                "attention": part.attends,
                "nmse": part.nmse.tolist(),
                "R_D": None if r_d is None else r_d.tolist(),
                "R_SA": None if r_sa is None else r_sa.tolist(),
            }
        )
    if not attention and all(len(line) < 2 for line in depth.values()):
        raise InvalidInput(
            "nothing to compare: give runs of res_sa with one block (--set channels=[16]) and with more, or"
            " with and without attention (--set attention=0), trained on the same data set with as many"
            " updates and the same other options"
        )
    errors = [f"NMSE, {a}" for a in against]
    head = ["training set", "updates", "blocks", "attention", *errors, "mean R_D", "mean R_SA"]
    figure = ablation_figure(depth, attention, against)
    return Finding(
        "ablation", "What depth and self-attention are worth", head, rows, {"data": against, "runs": numbers},
        {"": figure},
    )  # fmt: skip


def _part(path: str | Path, errors: np.ndarray) -> Part:
    """A run of `res_sa` with its errors; InvalidInput if it is of another network."""
    described = read_config(model_folder(path))
    if described["model"] != "res_sa":
        raise InvalidInput(f"{path} is a {described['model']}; ablations are asked of res_sa")
    about, options = trained_on(path), described["config"]
    others = {k: v for k, v in options.items() if k not in ("channels", "attention")}
    kind = json.dumps([about.get("digest"), about.get("updates"), options["channels"][0], others])
    kernel = label(about.get("recipe", {}), str(about.get("data", "?")))
    blocks, attends = len(options["channels"]), bool(options["attention"])
    return Part(kernel, kind, blocks, attends, about.get("updates"), errors)
