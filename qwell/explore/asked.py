"""What the page asks, checked once, at the edge: numbers in their range, arrays of a size, known names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from qwell.errors import InvalidInput

MOST_POINTS = 2001  # of a potential that is drawn
LARGEST = 1e9  # of its values: their squares, and products with the mesh, stay far inside float64
Asked = Mapping[str, Any]


def number(asked: Asked, name: str, low: float, high: float, default: float | None = None) -> float:
    """A finite number from `low` to `high`."""
    value = asked.get(name, default)
    if type(value) not in (int, float) or not low <= value <= high or not math.isfinite(value):
        raise InvalidInput(f"{name} is {str(value)[:40]!r}; give a number from {low:g} to {high:g}")
    return float(value)


def integer(asked: Asked, name: str, low: int, high: int, default: int | None = None) -> int:
    """A whole number from `low` to `high`."""
    value = number(asked, name, low, high, default)
    if value != int(value):
        raise InvalidInput(f"{name} is {value:g}; give a whole number")
    return int(value)


def text(asked: Asked, name: str, default: str = "") -> str:
    """A text."""
    value = asked.get(name, default)
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is no text")
    return value


def values(asked: Asked, name: str, low: int = 3, high: int = MOST_POINTS) -> np.ndarray:
    """A list of `low` to `high` finite numbers, none beyond `LARGEST`, as float64."""
    found = asked.get(name)
    if not isinstance(found, list) or not low <= len(found) <= high:
        count = len(found) if isinstance(found, list) else "no list"
        raise InvalidInput(f"{name} has {count} values; give {low:,} to {high:,}")
    if not all(type(v) in (int, float) and abs(v) <= LARGEST for v in found):
        raise InvalidInput(f"{name} holds something that is no number, or beyond {LARGEST:g}")
    return np.array(found, dtype=float)
