"""How loops are compiled: no lock, kept on disk, IEEE but for fused products and signs of zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}


def compiled(**more: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that compiles a function when it is first called, and keeps the result for later processes.

    Where numba may write neither beside the package nor in the home directory, every process compiles anew.

    Arguments:
        more: options of `numba.njit` besides `OPTIONS`, or instead of them.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(**{**OPTIONS, **more})(function)
        except RuntimeError:  # there is no directory for its cache
            return numba.njit(**{**OPTIONS, **more, "cache": False})(function)

    return decorate
