"""Mean, deviation and range of every field of a data set, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from qwell.progress import track
from qwell.store.dataset import Dataset, Split

MAX_ELEMENTS = 4096  # of a row, up to which each has its own mean and deviation


def field_stats(split: Split, name: str) -> dict[str, Any]:
    """Statistics of one field, accumulated in float64 by Chan's formula over shards.

    Returns: `rows`; `mean`, `std` (over rows and elements, n in the denominator), `min`, `max`; for rows of
    up to 4096 elements also `mean_each` and `std_each`, in the shape of a row. Numbers are None without rows.
    """
    shape = split.fields[name].shape
    count, low, high = 0, np.inf, -np.inf
    mean, square = np.zeros(shape), np.zeros(shape)
    for i in track(range(split.shards), f"shards of {name}"):
        values = split.shard(i, [name])[name].astype(np.float64)
        n, here = len(values), values.mean(axis=0)
        delta = here - mean
        square += ((values - here) ** 2).sum(axis=0) + delta**2 * count * n / (count + n)
        count += n
        mean += delta * n / count
        low, high = min(low, values.min()), max(high, values.max())
    if not count:
        return {"rows": 0, "mean": None, "std": None, "min": None, "max": None}
    overall = mean.mean()
    variance = (square / count).mean() + ((mean - overall) ** 2).mean()
    answer = {
        "rows": count,
        "mean": float(overall),
        "std": float(np.sqrt(variance)),
        "min": float(low),
        "max": float(high),
    }
    if mean.size <= MAX_ELEMENTS:
        answer |= {"mean_each": mean.tolist(), "std_each": np.sqrt(square / count).tolist()}
    return answer


def stats(data: Dataset) -> dict[str, dict[str, dict[str, Any]]]:
    """`field_stats` of everything: split → field → statistics."""
    return {
        name: {field: field_stats(split, field) for field in split.fields}
        for name, split in data.splits.items()
    }
