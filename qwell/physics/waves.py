"""Wave functions as complex numbers and as pairs of real ones, (Re ψ, Im ψ) last, as they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Complex, Float
from numpy.typing import DTypeLike

PARTS = 2  # Re ψ, Im ψ


def as_complex(
    parts: Float[np.ndarray, "*shape 2"], dtype: DTypeLike = np.complex128
) -> Complex[np.ndarray, "*shape"]:
    """Re + i Im of real arrays (…, 2): (…) of `dtype`; a view of contiguous ones of its precision.

    Arguments:
        parts: (…, 2) float32 or float64.
        dtype: complex64 or complex128.
    """
    wanted = np.dtype(dtype)
    real = np.ascontiguousarray(parts, dtype=np.empty(0, wanted).real.dtype)
    return real.view(wanted)[..., 0]


def as_parts(psi: Complex[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape 2"]:
    """(Re ψ, Im ψ) of complex arrays (…): (…, 2) in the same precision, a view of contiguous ones."""
    whole: Any = np.ascontiguousarray(psi)
    parts: np.ndarray = whole.view(whole.real.dtype).reshape(*np.shape(psi), PARTS)
    return parts
