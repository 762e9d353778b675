"""Learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable


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


SCHEDULES: dict[str, Callable[[int, int, float, float], float]] = {
    "geometric": geometric, "cosine": cosine, "linear": linear,
}  # fmt: skip


def rate(schedule: str, update: int, updates: int, first: float, last: float, warm_up: float) -> float:
    """The learning rate before an update.

    Arguments:
        schedule: "geometric", "cosine" or "linear".
        update: 0, 1, … updates − 1.
        first, last: rates that the schedule leads from and to.
        warm_up: share of the updates in which the rate rises from 0 to `first`, before the schedule begins.
    """
    warm = max(int(warm_up * updates), 1) if warm_up else 0
    if update < warm:
        return first * (update + 1) / warm
    return SCHEDULES[schedule](update - warm, updates - warm, first, last)
