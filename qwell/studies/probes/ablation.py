"""What depth and self-attention are worth (spectra paper, Eqs. 19 and 20; Fig. 8).

R_D(n) = NMSE(n Res-SA blocks)/NMSE(1),   R_SA = NMSE(with self-attention)/NMSE(without)
"""

from __future__ import annotations

from collections.abc import Sequence
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


def ablation(models: Sequence[str | Path], data: Sequence[Dataset], split: str = OfSpectra.split) -> Finding:
    """R_D of every depth and R_SA of every pair with and without self-attention, for each training set.

    Arguments:
        models: runs of `res_sa`, of any depths and training sets, with and without attention.
        data: sets to measure on.

    Raises InvalidInput if another network is among them, or there is nothing to compare.
    """
    matrix = error_matrix(models, data, split)
    against = [label(one.recipe, one.stem) for one in data]
    shapes: dict[tuple[str, int, bool], np.ndarray] = {}
    for path, errors in zip(models, matrix, strict=True):
        described = read_config(model_folder(path))
        if described["model"] != "res_sa":
            raise InvalidInput(f"{path} is a {described['model']}; ablations are asked of res_sa")
        about, options = trained_on(path), described["config"]
        kernel = label(about.get("recipe", {}), str(about.get("data", "?")))
        shapes[kernel, len(options["channels"]), bool(options["attention"])] = errors
    rows: list[list[Cell]] = []
    depth: dict[str, dict[int, float]] = {}
    attention: dict[str, np.ndarray] = {}
    numbers: list[dict[str, Any]] = []
    for (kernel, blocks, attends), errors in sorted(shapes.items()):
        one, twin = shapes.get((kernel, 1, True)), shapes.get((kernel, blocks, False))
        r_d = None if one is None or not attends else errors / one
        r_sa = None if twin is None or not attends else errors / twin
        if r_d is not None:
            depth.setdefault(kernel, {})[blocks] = float(r_d.mean())
        if r_sa is not None:
            attention[kernel if blocks == 5 else f"{kernel}, {blocks} blocks"] = r_sa
        mean = ["" if r is None else float(r.mean()) for r in (r_d, r_sa)]
        rows.append([kernel, blocks, "yes" if attends else "no", *map(float, errors), *mean])
        numbers.append(
            {
                "kernel": kernel,
                "blocks": blocks,
                "attention": attends,
                "nmse": errors.tolist(),
                "R_D": None if r_d is None else r_d.tolist(),
                "R_SA": None if r_sa is None else r_sa.tolist(),
            }
        )
    if not attention and all(len(line) < 2 for line in depth.values()):
        raise InvalidInput(
            "nothing to compare: give runs of res_sa with one block (--set channels=[16]) and with more, or"
            " with and without attention (--set attention=0), trained on the same data set"
        )
    head = ["training set", "blocks", "attention", *(f"NMSE, {a}" for a in against), "mean R_D", "mean R_SA"]
    figure = ablation_figure(depth, attention, against)
    return Finding(
        "ablation", "What depth and self-attention are worth", head, rows, {"data": against, "runs": numbers},
        {"": figure},
    )  # fmt: skip
