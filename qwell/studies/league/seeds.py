"""Trainings that differ in nothing but the seed, and which kind of them is better beyond chance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.stats import ttest_ind

from qwell.train.runs import Run

FEWEST = 3  # seeds of each kind that are compared
ASIDE = {  # of a run's configuration, what its training is the same without
    "about", "checkpoint_every", "compile", "data", "evaluate_every", "log_every", "logger", "recipe", "seed",
    "sha256", "stream", "tensorboard", "threads", "watch",
}  # fmt: skip


def training_of(model: str | Path) -> tuple[str, str]:
    """The kind of a run's training and its seed: trainings of one kind differ in nothing else.

    Both are "" of what is no run on this machine, since only runs keep how they were trained.
    """
    if "://" in str(model) or not (Path(model) / "model").is_dir():
        return "", ""
    config = Run(Path(model)).config
    settled = {name: value for name, value in config.items() if name not in ASIDE and value is not None}
    digest = hashlib.sha256(json.dumps(settled, sort_keys=True).encode()).hexdigest()
    return f"{config['model']} {digest[:8]}", str(config.get("seed", ""))


class Trained(Protocol):
    """What is compared of an entry."""

    @property
    def key(self) -> Hashable: ...
    @property
    def kind(self) -> str: ...
    @property
    def seed(self) -> str: ...
    @property
    def error(self) -> float: ...


@dataclass(frozen=True)
class Comparison:
    """Two kinds of trainings on one test set.

    Arguments:
        key: of the test set.
        kinds, seeds: of the first and the second, and how many of each.
        ratio: of the geometric means of their errors over seeds, first over second.
        low, high: its 95 % confidence interval.
        p: of the logarithms of the errors having one mean, by Welch's t-test, times the number of comparisons
            that were made together (Bonferroni), at most 1.
    """

    key: Hashable
    kinds: tuple[str, str]
    seeds: tuple[int, int]
    ratio: float
    low: float
    high: float
    p: float


def compared(entries: Iterable[Trained]) -> list[Comparison]:
    """Every pair of kinds with at least 3 seeds each, on every test set that is among the entries."""
    groups: dict[Hashable, dict[str, dict[str, float]]] = {}
    for entry in entries:
        if entry.kind and entry.error > 0 and np.isfinite(entry.error):
            groups.setdefault(entry.key, {}).setdefault(entry.kind, {})[entry.seed] = entry.error
    pairs = [
        (key, one, other)
        for key, kinds in groups.items()
        for one, other in combinations([kind for kind, seeds in kinds.items() if len(seeds) >= FEWEST], 2)
    ]
    return [
        _compared(key, (a, b), list(groups[key][a].values()), list(groups[key][b].values()), len(pairs))
        for key, a, b in pairs
    ]


def _compared(
    key: Hashable, kinds: tuple[str, str], first: Sequence[float], second: Sequence[float], made: int
) -> Comparison:
    test = ttest_ind(np.log(first), np.log(second), equal_var=False)
    interval = test.confidence_interval(0.95)
    ratio = np.exp(np.log(first).mean() - np.log(second).mean())
    low, high = float(np.exp(interval.low)), float(np.exp(interval.high))
    p = min(1.0, float(test.pvalue) * made)
    return Comparison(key, kinds, (len(first), len(second)), float(ratio), low, high, p)
