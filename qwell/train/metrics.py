"""How far predictions are from the truth. Arrays are (sample, level), energies in ħ²/(m·length²)."""

from __future__ import annotations

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
