"""Learning rates."""

from __future__ import annotations

import math

from qwell.train.config import TrainingConfig, known


def geometric(update: int, updates: int, first: float, last: float) -> float:
    """first · (last/first)^(update/(updates − 1)): from `first` at update 0 to `last` at the last one.

    Source: spectra paper, appendix A (1e-3 to 1e-5).
    """
    return first * (last / first) ** (update / max(updates - 1, 1))


def linear(update: int, updates: int, first: float, last: float) -> float:
    """first + (last − first)·(update + 1)/updates: down to `last` at the last update.

    Source: dynamics paper, Table IV (1e-3 to 1e-6, after a warm-up of 1 %).
    """
    return first + (last - first) * (update + 1) / max(updates, 1)


def cosine(update: int, updates: int, first: float, last: float) -> float:
    """last + (first − last)·(1 + cos(π(update + 1)/updates))/2: flat at both ends.

    Source: Loshchilov and Hutter, arXiv:1608.03983, without restarts.
    """
    return last + (first - last) * (1 + math.cos(math.pi * (update + 1) / max(updates, 1))) / 2


_BY_NAME = {"geometric": geometric, "cosine": cosine, "linear": linear}


def rate(config: TrainingConfig, update: int) -> float:
    """The learning rate before update 0, 1, … of a resolved recipe.

    It rises from 0 to `first_rate` in a share `warm_up` of the updates; then the schedule begins.
    """
    updates, first, last = known(config.updates), known(config.first_rate), known(config.last_rate)
    warm = max(int(known(config.warm_up) * updates), 1) if config.warm_up else 0
    if update < warm:
        return first * (update + 1) / warm
    return _BY_NAME[known(config.schedule)](update - warm, updates - warm, first, last)
