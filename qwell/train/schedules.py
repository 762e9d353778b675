"""Learning rates."""

from __future__ import annotations


def geometric(update: int, updates: int, first: float, last: float) -> float:
    """first · (last/first)^(update/(updates − 1)): from `first` at update 0 to `last` at the last one.

    Source: spectra paper, appendix A (1e-3 to 1e-5).
    """
    return first * (last / first) ** (update / max(updates - 1, 1))


def warm_up_and_fall(update: int, updates: int, first: float, last: float, share: float) -> float:
    """Linearly from 0 to `first` over a share of the updates, then linearly to `last` at the last one.

    Source: dynamics paper, Table IV (1 %; 1e-3 to 1e-6).
    """
    warm = max(int(share * updates), 1)
    if update < warm:
        return first * (update + 1) / warm
    return first + (last - first) * (update - warm + 1) / max(updates - warm, 1)
