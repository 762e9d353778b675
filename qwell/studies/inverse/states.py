"""The states that potentials are looked for: of a named system, of a data set, or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qwell.errors import InvalidInput
from qwell.studies.inverse.config import DERIVATIVES, StateConfig
from qwell.studies.inverse.grids import GridSystem, derivative_for, read_state
from qwell.studies.inverse.systems import System, system_of
from qwell.studies.problem import state_of


def state_asked_for(asked: StateConfig, pins: Sequence[Sequence[float]] = ()) -> System:
    """The state that was asked for.

    Arguments:
        asked: which.
        pins: r₀, where `asked.values` are V, for files without V.

    Raises InvalidInput for an unknown system, rows that are not there, or a file that cannot be read.
    """
    if asked.system is not None:
        return system_of(asked.system)
    if asked.data is not None:
        x, wave, v, energy = state_of(asked.data, asked.split, asked.row, asked.level)
        wave = with_noise(wave, asked.noise, asked.noise_seed)
        name = f"{Path(asked.data).stem}-{asked.row}-{asked.level}"
        return GridSystem.of(name, x, wave, v, energy, asked.derivative or DERIVATIVES[0])
    path = Path(asked.file or "")
    x, wave, known = read_state(path)
    wave = with_noise(wave, asked.noise, asked.noise_seed)
    if known is not None and asked.values is not None:
        raise InvalidInput(f"{path} holds V, and that is taken; leave out --v0, or the third column")
    if known is None:
        if not pins or asked.values is None:
            raise InvalidInput(f"{path} does not hold V; say where it is known: --r0 0.1 --v0 -3.2")
        if len(pins) != len(asked.values):
            raise InvalidInput(
                f"--r0 has {len(pins)} points and --v0 {len(asked.values)} values; give as many"
            )
        known = np.full_like(x, np.nan)
        for at, value in zip(pins, asked.values, strict=True):
            known[int(np.abs(x - at[0]).argmin())] = value
    return GridSystem.of(path.stem, x, wave, known, float("nan"), asked.derivative or derivative_for(wave))


def with_noise(wave: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """ψ of which every |ψ|² is multiplied by 1 + noise·g, g normal, and at least zero; signs are kept."""
    if not noise:
        return wave
    factor = 1 + noise * np.random.default_rng(seed).standard_normal(np.shape(wave))
    return np.asarray(wave * np.sqrt(np.maximum(factor, 0)))
