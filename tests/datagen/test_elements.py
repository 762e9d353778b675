"""Spectral elements give the exact spectra of wells that have closed forms."""

import numpy as np
import pytest

from qwell.physics.elements import eigenstates, lobatto


def test_harmonic_levels_and_states() -> None:
    energy, x, wave = eigenstates(lambda x: x**2 / 2, (-9, 9), 4)
    assert energy == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=1e-11)
    assert np.abs(wave[0] - np.pi**-0.25 * np.exp(-(x**2) / 2)).max() < 1e-9


def test_a_box_is_closed() -> None:
    energy, x, wave = eigenstates(lambda x: 0 * x, (0, 1), 3, elements=5)
    assert energy == pytest.approx([(n * np.pi) ** 2 / 2 for n in (1, 2, 3)], rel=1e-11)
    assert np.abs(np.abs(wave[1]) - np.abs(np.sqrt(2) * np.sin(2 * np.pi * x))).max() < 1e-9


def test_a_kink_costs_digits_only_inside_an_element() -> None:
    def potential(x: np.ndarray) -> np.ndarray:
        return np.abs(x - 0.1)

    airy = 1.0187929716474710 / 2 ** (1 / 3)  # E of ½p² + |x|: minus the first zero of Ai'
    on, _, _ = eigenstates(potential, (-12, 12.3), 1, kinks=(0.1,), elements=8)
    off, _, _ = eigenstates(potential, (-12, 12.3), 1, elements=7)
    assert on[0] == pytest.approx(airy, abs=1e-10)
    assert abs(off[0] - airy) > 1e-7


def test_lobatto_differentiates_polynomials_exactly() -> None:
    x, w, d = lobatto(8)
    assert d @ x**7 == pytest.approx(7 * x**6, abs=1e-11)
    assert (w * x**14).sum() == pytest.approx(2 / 15, rel=1e-12)
