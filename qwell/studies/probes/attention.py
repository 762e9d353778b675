"""Where self-attention looks (spectra paper, Fig. 9)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from qwell.errors import InvalidInput
from qwell.figures.attention import attention_figure
from qwell.store.dataset import Dataset
from qwell.studies.finding import Cell, Finding, check_fits, check_index
from qwell.studies.probes.asked import OfSpectra
from qwell.train.eigen import predict_split
from qwell.train.metrics import nmse
from qwell.train.runs import load_model


def attention(
    path: str | Path,
    data: Dataset,
    split: str = OfSpectra.split,
    index: int = OfSpectra.index,
    layers: int = OfSpectra.layers,
) -> Finding:
    """The maps of the first attention layers for one potential.

    For each layer: by how much row sums differ from 1; the entropy of a row over that of looking everywhere
    alike; how far rows look on average; the potential at the places looked at, in standard deviations from
    its mean (negative: wells); the learned scale.

    Arguments:
        path: a run or model folder of a network with self-attention.
        data: the data set; `split` and `index` choose the potential.
        layers: how many maps.

    Raises InvalidInput if the network has no attention.
    """
    model = load_model(path, task="spectra")
    check_fits(model, data)
    potential = data[split]["potential"][check_index(index, data, split)]
    maps = [m[0].double().numpy() for m in model.attention_maps(torch.from_numpy(potential[None]))][:layers]
    if not maps:
        raise InvalidInput(
            f"{path} holds {model.registry_name} without self-attention; try res_sa or transformer"
        )
    x = data.coordinates["x"]
    places = [np.interp(p.numpy(), np.arange(len(x)), x) for p in model.attention_positions()][: len(maps)]
    scales = [p.item() for name, p in model.named_parameters() if name.endswith("scale")]
    rows: list[list[Cell]] = []
    for number, (weights, place) in enumerate(zip(maps, places, strict=True), start=1):
        v = np.interp(place, x, potential)
        v = (v - v.mean()) / v.std()
        entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(1).mean() / np.log(len(weights))
        far = (weights * np.abs(place[:, None] - place[None, :])).sum(1).mean()
        off = float(np.abs(weights.sum(1) - 1).max())
        scale: Cell = scales[number - 1] if len(scales) >= number else ""
        rows.append(
            [number, len(weights), off, float(entropy), float(far), float(weights.mean(0) @ v), scale]
        )
    keys = ("layer", "positions", "row_sum_deviation", "entropy", "distance", "potential_looked_at", "scale")
    numbers = {
        "model": str(path), "digest": data.digest, "split": split, "index": index,
        "nmse": nmse(*predict_split(model, data, split)),
        "layers": [dict(zip(keys, row, strict=True)) for row in rows],
    }  # fmt: skip
    head = ["layer", "positions", "row sum − 1", "entropy", "mean distance", "V looked at [sd]", "scale γ"]
    figure = attention_figure(x, potential, list(zip(places, maps, strict=True)))
    return Finding(
        "attention",
        f"Where self-attention looks, {split} potential {index}",
        head,
        rows,
        numbers,
        {"": figure},
    )
