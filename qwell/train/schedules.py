"""Learning rates."""

from __future__ import annotations


def geometric(update: int, updates: int, first: float, last: float) -> float:
    """first · (last/first)^(update/(updates − 1)): from `first` at update 0 to `last` at the last one.

    Source: spectra paper, appendix A (1e-3 to 1e-5).
    """
    return first * (last / first) ** (update / max(updates - 1, 1))
