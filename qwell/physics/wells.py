"""The Morse well V = (1 − e^{−x})² and its ground state in closed form, ħ = m = 1.

    ψ₀ = (2√2)^p e^{−px − √2 e^{−x}} / √Γ(2√2 − 1),   p = √2 − ½,   E₀ = 1 − (1 − 1/(2√2))²

(derivatives paper, Eq. 41, which is printed with two slips). Functions take points x of any shape as numpy
arrays with `exp=np.exp`, or as tensors with `exp=torch.exp`, and return the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jaxtyping import Float

MORSE_FORMULA = "exp(-2*x) - 2*exp(-x) + 1"  # V, as `Formula` reads it
MORSE_ENERGY = 1 - (1 - 1 / (2 * math.sqrt(2))) ** 2
_POWER = math.sqrt(2) - 0.5
_LOG_NORM = _POWER * math.log(2 * math.sqrt(2)) - math.lgamma(2 * math.sqrt(2) - 1) / 2


def morse(x: Float[Any, "*shape"], exp: Callable[[Any], Any]) -> Float[Any, "*shape"]:
    """V(x)."""
    return (1 - exp(-x)) ** 2


def morse_wave(x: Float[Any, "*shape"], exp: Callable[[Any], Any]) -> Float[Any, "*shape"]:
    """ψ₀(x), ∫ψ₀² = 1."""
    return exp(_LOG_NORM - _POWER * x - math.sqrt(2) * exp(-x))


def morse_laplacian(x: Float[Any, "*shape"], exp: Callable[[Any], Any]) -> Float[Any, "*shape"]:
    """ψ₀''(x) = ((g − p)² − g) ψ₀ with g = √2 e^{−x}: of ψ₀ as it is written, not by way of V and E₀."""
    g = math.sqrt(2) * exp(-x)
    return ((g - _POWER) ** 2 - g) * morse_wave(x, exp)
