"""How near a potential is to a training set, whatever its height (spectra paper, Eqs. 15–18; Figs. 6, 7).

    d(u) = min_k' min_c sqrt(Σ_m (u_m − v_m^(k') − c)²/(M + 1)),   D = ⟨d⟩ over the validation potentials

The best c is the difference of the means. With means taken off, |u − v|² = |u|² + |v|² − 2 u·v, so that the
nearest v has the largest u·v − |v|²/2: one product of [u, 1] with [v, −|v|²/2] a tile, and its maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qwell.errors import InvalidInput
from qwell.figures.similarity import closest_pairs, loss_against_distance, matrix_figure
from qwell.progress import track
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, check_fits, label
from qwell.studies.probes.asked import OfSpectra
from qwell.train.eigen import predict_split
from qwell.train.metrics import nmse
from qwell.train.runs import load_model, trained_on

TILE = 2000  # training potentials a product: 10,000 × 2,000 float64 are 160 MB


@dataclass(frozen=True)
class Nearest:
    """For each validation potential: its distance d to the training set and the row that is nearest."""

    distance: np.ndarray
    row: np.ndarray


def nearest(potential: np.ndarray, data: Dataset, split: str = "train", device: str = "cpu") -> Nearest:
    """The nearest potentials of a data set, up to a constant each.

    Arguments:
        potential: (n, M+1), energy units.
        data: to search, a shard at a time; memory does not grow with it.
        split: of it.
        device: where the products are made, in float64.

    Returns: distances (n,) in energy units, float64 and exact to rounding, and rows (n,).

    Raises InvalidInput if the meshes differ.
    """
    points = data[split].fields["potential"].shape[0]
    if potential.ndim != 2 or potential.shape[1] != points:
        raise InvalidInput(f"potentials have shape {potential.shape}; {data.path} has {points} points")
    u = _centred(potential).to(device)
    extended = torch.cat([u, torch.ones_like(u[:, :1])], dim=1)
    best = torch.full((len(u),), -torch.inf, dtype=torch.float64, device=device)
    rows = torch.zeros(len(u), dtype=torch.int64, device=device)
    neighbour = torch.zeros_like(u)
    scores = torch.empty(len(u), TILE, dtype=torch.float64, device=device)
    start = 0
    for number in track(range(data[split].shards), f"shards of {data.name} searched"):
        shard = data[split].shard(number)
        for i in range(0, len(shard["potential"]), TILE):
            v = _centred(shard["potential"][i : i + TILE]).to(device)
            against = torch.cat([v, -v.square().sum(1, keepdim=True) / 2], dim=1)
            tile = torch.mm(extended, against.T, out=scores if len(v) == TILE else None)
            value, column = tile.max(dim=1)
            better = value > best
            best = torch.where(better, value, best)
            rows = torch.where(better, start + i + column, rows)
            neighbour[better] = v[column[better]]
        start += len(shard["potential"])
    distance = (u - neighbour).square().mean(1).sqrt()
    return Nearest(distance.cpu().numpy(), rows.cpu().numpy())


def _centred(potential: np.ndarray) -> torch.Tensor:
    v = torch.from_numpy(np.asarray(potential, np.float64))
    return v - v.mean(1, keepdim=True)


def similarity(
    training: Sequence[Dataset],
    validation: Sequence[Dataset],
    models: Sequence[str | Path] = (),
    device: str = OfSpectra.device,
) -> Finding:
    """D of every pair of training and validation set; with networks, their errors against D and d.

    Arguments:
        training: data sets whose `train` is searched.
        validation: data sets whose `validation` is looked for.
        models: runs trained on the training sets; matched to them by the data set's version.
        device: for the products.

    Raises InvalidInput if meshes differ or a model was trained on none of the training sets.
    """
    found = {}
    for t in training:
        for v in validation:
            found[t.digest, v.digest] = nearest(v["validation"]["potential"][:], t, device=device)
    names = [label(t.recipe, t.stem) for t in training]
    against = [label(v.recipe, v.stem) for v in validation]
    mean = np.array([[found[t.digest, v.digest].distance.mean() for v in validation] for t in training])
    numbers: dict[str, Any] = {
        "training": [{"name": n, "digest": t.digest} for n, t in zip(names, training, strict=True)],
        "validation": [{"name": n, "digest": v.digest} for n, v in zip(against, validation, strict=True)],
        "D": mean.tolist(),
        "least_d": [[float(found[t.digest, v.digest].distance.min()) for v in validation] for t in training],
    }
    pairs = []
    for i, j in {(0, 0), (len(training) - 1, 0), (len(training) - 1, len(validation) - 1)}:
        near = found[training[i].digest, validation[j].digest]
        k = int(near.distance.argmin())
        ours = validation[j]["validation"]["potential"][k].astype(np.float64)
        theirs = training[i]["train"]["potential"][int(near.row[k])].astype(np.float64)
        shifted = theirs + (ours - theirs).mean()
        pairs.append((f"{against[j]}, nearest in {names[i]}", float(near.distance[k]), ours, shifted))
    x = validation[0].coordinates["x"]
    figures = {
        "": closest_pairs(x, sorted(pairs, key=lambda p: p[1])),
        "D": matrix_figure(
            mean, names, against, "mean distance D  [ħ²/(m·length²)]", "training", "validation"
        ),
    }
    head = ["training set", *(f"D, {a}" for a in against)]
    rows: list[list[Cell]] = [[n, *map(float, line)] for n, line in zip(names, mean, strict=True)]
    if models:
        points, cloud = _errors(models, training, validation, found)
        numbers |= {"errors": points}
        figures["loss"] = loss_against_distance(
            [(p["validation"], p["training"], p["D"], p["nmse"]) for p in points], cloud
        )
        head = [*head, *(f"NMSE, {a}" for a in against)]
        error = {(p["training"], p["validation"]): p["nmse"] for p in points}
        rows = [[*row, *(error.get((str(row[0]), a), "") for a in against)] for row in rows]
    return Finding(
        "similarity", "How near validation potentials are to training sets", head, rows, numbers, figures
    )


def _errors(
    models: Sequence[str | Path],
    training: Sequence[Dataset],
    validation: Sequence[Dataset],
    found: dict[tuple[str, str], Nearest],
) -> tuple[list[dict[str, Any]], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """NMSE of every network on every validation set beside D, and squared errors against d for the last."""
    by_digest = {t.digest: t for t in training}
    points: list[dict[str, Any]] = []
    cloud = {}
    for path in models:
        digest = trained_on(path).get("digest")
        if digest not in by_digest:
            raise InvalidInput(
                f"{path} was trained on version {str(digest)[:12]}; name that data set with --train too"
            )
        model, data = load_model(path, task="spectra"), by_digest[digest]
        for v in validation:
            check_fits(model, v)
            prediction, energy = predict_split(model, v, "validation")
            near, name = found[digest, v.digest], label(v.recipe, v.stem)
            point = {"model": str(path), "training": label(data.recipe, data.stem), "validation": name}
            points.append(point | {"D": float(near.distance.mean()), "nmse": nmse(prediction, energy)})
            cloud[name] = near.distance, ((prediction - energy) ** 2).mean(axis=1)
    return points, cloud
