"""Covariance kernels k(r), r = |x − x′| (spectra paper, Eqs. 3–7).

    rbf     σ² exp(−r²/2L²)
    m5      σ² (1 + √5 r/L + 5r²/3L²) exp(−√5 r/L)
    m3      σ² (1 + √3 r/L) exp(−√3 r/L)
    exp     σ² exp(−r/L)
    matern  σ² 2^{1−ν}/Γ(ν) (√(2ν) r/L)^ν K_ν(√(2ν) r/L)

`exp`, `m3`, `m5`, `rbf` are `matern` with ν = ½, 3⁄2, 5⁄2, ∞. Each function takes r/L and gives k/σ².
Kernels of plug-ins (`qwell.register_kernel`) take r, σ and L and give k.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, kve

from qwell.errors import InvalidInput
from qwell.physics.grid import Grid
from qwell.plugins import Family


def rbf(u: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """exp(−u²/2)."""
    return np.exp(-0.5 * u**2)


def m5(u: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """(1 + √5 u + 5u²/3) exp(−√5 u)."""
    s = np.sqrt(5.0) * u
    k: np.ndarray = (1.0 + s + s**2 / 3.0) * np.exp(-s)
    return k


def m3(u: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """(1 + √3 u) exp(−√3 u)."""
    s = np.sqrt(3.0) * u
    k: np.ndarray = (1.0 + s) * np.exp(-s)
    return k


def exp(u: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """exp(−u)."""
    k: np.ndarray = np.exp(-u)
    return k


def matern(u: Float[np.ndarray, "*shape"], nu: float) -> Float[np.ndarray, "*shape"]:
    """2^{1−ν}/Γ(ν) s^ν K_ν(s) with s = √(2ν) u, and 1 at u = 0.

    Evaluated as a product of logarithms with the scaled Bessel function e^s K_ν(s), so that neither a
    large ν nor a large s overflows. Relative error about 1e-13 for ν up to 20.
    """
    s = np.sqrt(2.0 * nu) * np.asarray(u, dtype=float)
    bessel = kve(nu, np.where(s > 0, s, 1.0))
    small = (s == 0) | np.isinf(bessel)  # K_ν overflows only where k = 1 − s²/4(ν−1) to 1e-10
    safe, bessel = np.where(small, 1.0, s), np.where(small, 1.0, bessel)
    log_k = (1.0 - nu) * np.log(2.0) - gammaln(nu) + nu * np.log(safe) + np.log(bessel) - safe
    k: np.ndarray = np.where(small, 1.0 - s**2 / (4.0 * max(nu - 1.0, 1.0)), np.exp(log_k))
    return k


KERNELS: Family[Callable[..., np.ndarray]] = Family(
    "kernels", {"rbf": rbf, "m5": m5, "m3": m3, "exp": exp, "matern": matern}
)


def evaluated(
    kernel: str, r: Float[np.ndarray, "*shape"], sigma: float, length: float, nu: float | None = None
) -> Float[np.ndarray, "*shape"]:
    """k(r) of a kernel of `KERNELS`, in the units of σ²; arguments as of `covariance`.

    Raises InvalidInput if a plug-in's kernel gives something else than finite numbers of r's shape.
    """
    function = KERNELS[kernel]
    if kernel in KERNELS.own:
        return sigma**2 * (function(r / length) if nu is None else function(r / length, nu))
    k = np.asarray(function(r, sigma, length), dtype=float)
    if k.shape != r.shape or not np.isfinite(k).all():
        raise InvalidInput(
            f"kernel {kernel!r} gives an array of shape {k.shape} for distances of shape {r.shape}; it must"
            " be that shape, and hold finite numbers"
        )
    return k


def covariance(
    kernel: str, grid: Grid, sigma: float, length: float, nu: float | None = None
) -> Float[np.ndarray, "{grid.mesh}+1 {grid.mesh}+1"]:
    """The covariance matrix K_lm = k(r) with r the distance of x_l and x_m.

    Arguments:
        kernel: a name of `KERNELS`.
        grid: the mesh.
        sigma: σ, the standard deviation of the potential, in energy units ħ²/(m·length²).
        length: L, the correlation length, in units of half the box.
        nu: ν, for `matern` only.

    Returns: (M+1, M+1) float64, symmetric, diagonal σ².

    Raises:
        InvalidInput: ν so large or so small that the Bessel function cannot be evaluated; or what `evaluated`
            refuses.
    """
    k = evaluated(kernel, np.abs(grid.x[:, None] - grid.x[None, :]), sigma, length, nu)
    if not np.isfinite(k).all():
        raise InvalidInput(
            f"matern with nu = {nu} cannot be evaluated on this mesh; use --kernel rbf for large nu"
        )
    return k
