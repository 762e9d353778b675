"""Conventions that many modules share: parts of wave functions, the Morse well, the family of propagators."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from qwell.errors import InvalidInput
from qwell.physics.formula import Formula
from qwell.physics.propagators.settings import Propagation, setting_of
from qwell.physics.ring import Ring
from qwell.physics.waves import as_complex, as_parts
from qwell.physics.wells import MORSE_ENERGY, MORSE_FORMULA, morse, morse_laplacian, morse_wave


def test_settings_come_from_json_as_they_were() -> None:
    ring, how = Ring(20.0, 64), Propagation("eigen", "lattice", frames=7)
    assert setting_of({"ring": asdict(ring), "propagation": asdict(how)}) == (ring, how)
    good = {"ring": asdict(ring), "propagation": asdict(how)}
    for broken in ({"ring": None}, {"ring": {"box": "wide"}}, {"propagation": {"speed": 1}}, {"ring": [1]}):
        with pytest.raises(InvalidInput):
            setting_of(good | broken)
    with pytest.raises(InvalidInput):
        setting_of({})


@pytest.mark.parametrize(("real", "complex_"), [(np.float32, np.complex64), (np.float64, np.complex128)])
def test_parts_there_and_back(real: type, complex_: type) -> None:
    parts = np.random.default_rng(0).standard_normal((3, 4, 2)).astype(real)
    psi = as_complex(parts, complex_)
    assert psi.dtype == complex_ and (psi == parts[..., 0] + 1j * parts[..., 1]).all()
    assert np.shares_memory(psi, parts) and np.shares_memory(as_parts(psi), parts)
    assert (as_parts(psi) == parts).all() and as_parts(psi).dtype == real
    strided = parts[:, ::2]
    assert (as_complex(strided) == strided[..., 0].astype(float) + 1j * strided[..., 1]).all()
    assert as_complex(parts[:, :0]).shape == (3, 0)


def test_the_morse_state_is_an_eigenstate_of_its_well() -> None:
    """−ψ''/2 + Vψ = E₀ψ and ∫ψ² = 1; the formula is the function; tensors give what arrays give."""
    x = np.linspace(-4, 40, 40_001)
    psi, v = morse_wave(x, np.exp), morse(x, np.exp)
    np.testing.assert_allclose(-morse_laplacian(x, np.exp) / 2 + v * psi, MORSE_ENERGY * psi, atol=1e-12)
    numeric = np.gradient(np.gradient(psi, x), x)
    np.testing.assert_allclose(numeric[2:-2], morse_laplacian(x, np.exp)[2:-2], atol=1e-5)
    assert np.trapezoid(psi**2, x) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(Formula(MORSE_FORMULA, ("x",), "potential", "x")(x=x), v, atol=1e-9, rtol=1e-9)
    for function in (morse, morse_wave, morse_laplacian):
        tensor = function(torch.from_numpy(x), torch.exp)
        np.testing.assert_allclose(tensor.numpy(), function(x, np.exp), rtol=1e-12, atol=1e-14)
