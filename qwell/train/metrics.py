"""How far predictions are from the truth.

Energies are (sample, level) in ħ²/(m·length²); wave functions (case, frame, point), complex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def nmse(prediction: np.ndarray, energy: np.ndarray) -> float:
    """Σ_k Σ_i (E_i − f_i)² / Σ_k Σ_i E_i² (spectra paper, Eq. 14)."""
    return float(((prediction - energy) ** 2).sum() / (energy**2).sum())


def mean_absolute_error(prediction: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """⟨|E_i − f_i|⟩ for each level, (level,), energy units."""
    return np.abs(prediction - energy).mean(axis=0)


def relative_error(prediction: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """⟨|E_i − f_i|⟩ / ⟨|E_i|⟩ for each level, (level,).

    A ratio of means: the mean of ratios has no limit where energies cross zero.
    """
    return mean_absolute_error(prediction, energy) / np.abs(energy).mean(axis=0)


def summary(prediction: np.ndarray, energy: np.ndarray) -> dict[str, float | list[float]]:
    """All metrics as plain JSON."""
    return {
        "nmse": nmse(prediction, energy),
        "mae": float(mean_absolute_error(prediction, energy).mean()),
        "relative_error": float(np.abs(prediction - energy).mean() / np.abs(energy).mean()),
        "mae_per_level": mean_absolute_error(prediction, energy).tolist(),
        "relative_error_per_level": relative_error(prediction, energy).tolist(),
    }


@dataclass(frozen=True)
class WavesCompared:
    """Frame by frame, each (case, frame).

    mae: mean modulus of ψ̂ − ψ over points (dynamics paper, Eq. 12).
    mae_parts: mean size of its real and imaginary parts, the figure that the authors released.
    correlation: modulus of ⟨ψ̂, ψ⟩/(‖ψ̂‖ ‖ψ‖), as released (Eq. 13 leaves the modulus out).
    norm: ‖ψ̂‖/‖ψ‖ − 1.
    """

    mae: np.ndarray
    mae_parts: np.ndarray
    correlation: np.ndarray
    norm: np.ndarray


def waves_compared(prediction: np.ndarray, truth: np.ndarray) -> WavesCompared:
    """Compare wave functions, (case, frame, point) complex.

    A prediction of zero has correlation 0; one that has grown beyond all numbers too, and infinite errors.
    """
    wild = ~np.isfinite(prediction).all(axis=-1) | (np.abs(prediction).max(axis=-1) > 1e15)
    tame = np.where(wild[..., None], 0, prediction)
    difference = tame - truth
    size = [np.sqrt((np.abs(wave).astype(float) ** 2).sum(axis=-1)) for wave in (tame, truth)]
    overlap = np.abs((tame.conj() * truth).sum(axis=-1, dtype=complex))
    found = WavesCompared(
        mae=np.abs(difference).mean(axis=-1, dtype=float),
        mae_parts=(np.abs(difference.real) + np.abs(difference.imag)).mean(axis=-1, dtype=float) / 2,
        correlation=overlap / np.maximum(size[0] * size[1], 1e-300),
        norm=size[0] / size[1] - 1,
    )
    for values in (found.mae, found.mae_parts, found.norm):
        values[wild] = np.inf
    return found
