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
from qwell.train.runs import Run, model_folder, trained_on

# What a run says of its training beside data and updates.
RECIPE = (
    "batch", "schedule", "warm_up", "first_rate", "last_rate", "ema", "density_weight", "mirror", "precision",
    "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A network among those compared, with its errors on every data set.

    Arguments:
        kernel: of its training set.
        kind: what must be equal for a comparison to mean something: data, training, other options.
        channels: of its blocks; attends: whether it has self-attention.
    """

    kernel: str
    kind: tuple[tuple[str, str], ...]
    channels: tuple[int, ...]
    attends: bool
    nmse: np.ndarray

    @property
    def key(self) -> tuple[object, ...]:
        """No two of those compared have the same."""
        return self.kernel, self.kind, self.channels, self.attends


def ablation(models: Sequence[str | Path], data: Sequence[Dataset], split: str = OfSpectra.split) -> Finding:
    """R_D of every depth and R_SA of every pair with and without self-attention, for each training set.

    Networks are compared that differ in nothing else: taught on the same version of a data set by the same
    recipe, with the same other options; for R_D with the one block that they begin with, for R_SA with the
    same channels. Of model folders only data and updates are known.

    Arguments:
        models: runs of `res_sa`, of any depths and training sets, with and without attention.
        data: sets to measure on.

    Raises InvalidInput if another network is among them, two are alike, or there is nothing to compare.
    """
    against = [label(one.recipe, one.stem) for one in data]
    parts = [_part(path, e) for path, e in zip(models, error_matrix(models, data, split), strict=True)]
    errors = {part.key: part.nmse for part in parts}
    if len(errors) < len(parts):
        raise InvalidInput("two of the runs are of one depth, data set, and training; leave one of them out")
    names = _names(parts)
    rows: list[list[Cell]] = []
    depth: dict[str, dict[int, float]] = {}
    attention: dict[str, np.ndarray] = {}
    numbers: list[dict[str, Any]] = []
    for part in sorted(parts, key=lambda part: part.key):
        one = errors.get((part.kernel, part.kind, part.channels[:1], True)) if part.attends else None
        twin = errors.get((part.kernel, part.kind, part.channels, False)) if part.attends else None
        r_d, r_sa = (None if other is None else part.nmse / other for other in (one, twin))
        name, blocks = names[part.kernel, part.kind], len(part.channels)
        if r_d is not None:
            depth.setdefault(name, {})[blocks] = float(r_d.mean())
        if r_sa is not None:
            attention[name if blocks == 5 else f"{name}, {blocks} blocks"] = r_sa
        mean = ["" if r is None else float(r.mean()) for r in (r_d, r_sa)]
        rows.append([name, blocks, "yes" if part.attends else "no", *map(float, part.nmse), *mean])
        numbers.append(
            {
                "name": name,
                "kernel": part.kernel,
                "blocks": blocks,
                "attention": part.attends,
                "nmse": part.nmse.tolist(),
                "R_D": None if r_d is None else r_d.tolist(),
                "R_SA": None if r_sa is None else r_sa.tolist(),
            }
        )
    if not attention and all(len(line) < 2 for line in depth.values()):
        raise InvalidInput(
            "nothing to compare: give runs of res_sa with one block (--set channels=[16]) and with more, or"
            " with and without attention (--set attention=0), trained on the same data set by the same recipe"
        )
    measured = [f"NMSE, {a}" for a in against]
    head = ["training set", "blocks", "attention", *measured, "mean R_D", "mean R_SA"]
    figure = ablation_figure(depth, attention, against)
    return Finding(
        "ablation", "What depth and self-attention are worth", head, rows, {"data": against, "runs": numbers},
        {"": figure},
    )  # fmt: skip


def _part(path: str | Path, errors: np.ndarray) -> Part:
    """A run of `res_sa` with its errors; InvalidInput if it is of another network."""
    described = read_config(model_folder(path))
    if described["model"] != "res_sa":
        raise InvalidInput(f"{path} holds {described['model']}; ablations are asked of res_sa")
    about, options = trained_on(path), described["config"]
    kind = {"digest": about.get("digest"), "updates": about.get("updates")}
    kind |= {name: value for name, value in options.items() if name not in ("channels", "attention")}
    if (Path(path) / "config.json").exists() and model_folder(path) != Path(path):
        recipe = Run.open(path).config
        kind |= {name: recipe.get(name) for name in RECIPE}
    kernel = label(about.get("recipe", {}), str(about.get("data", "?")))
    settings = tuple(sorted((name, json.dumps(value)) for name, value in kind.items()))
    return Part(kernel, settings, tuple(options["channels"]), bool(options["attention"]), errors)


def _names(parts: Sequence[Part]) -> dict[tuple[object, ...], str]:
    """Kernel and kind → the kernel, and what its kinds differ in."""
    names: dict[tuple[object, ...], str] = {}
    for part in parts:
        kinds = [dict(other.kind) for other in parts if other.kernel == part.kernel]
        differ = [f"{k} {v[:12]}" for k, v in part.kind if any(kind.get(k) != v for kind in kinds)]
        names[part.kernel, part.kind] = ", ".join([part.kernel, *differ])
    return names
