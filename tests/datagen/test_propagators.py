"""Wave packets in time: exact answers, orders of convergence, conservation, and the plane-wave formula."""

import time

import numpy as np
import pytest
from scipy.special import jv

from qwell.datagen.presets import RECTANGULAR
from qwell.errors import DeviceUnavailable, InvalidInput
from qwell.physics.barriers import SHAPES, Potential
from qwell.physics.packets import ENVELOPES, packet
from qwell.physics.propagators import chebyshev, eigen, terms
from qwell.physics.propagators.eigen import eigen_on
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import CONTROLLED, METHODS, Propagation, energy, kinetic_energy
from qwell.physics.propagators.terms import error_bound
from qwell.physics.ring import Ring

RING = Ring()
SMALL = Ring(40.0, 256)


def rectangle(height: float, width: float, ring: Ring = RING) -> np.ndarray:
    return Potential("rectangle", {"height": height, "width": width}).on(ring)


def waves(frames: np.ndarray) -> np.ndarray:
    return frames.astype(float).view(complex)[..., 0]


@pytest.fixture(scope="module")
def cases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The paper's eleven rectangular test cases, and their exact propagation on the lattice."""
    psi = np.array([packet(RING, "gaussian", x, s, e, wrap=False) for x, s, e, _, _ in RECTANGULAR])
    potential = np.array([rectangle(h, w) for *_, h, w in RECTANGULAR])
    return psi, potential, propagate(psi, potential, RING, Propagation("eigen", "lattice"))


def small() -> tuple[np.ndarray, np.ndarray]:
    psi = np.array([packet(SMALL, "gaussian", 10.0, 1.5, 4.0), packet(SMALL, "gaussian", 12.0, 2.0, 2.0)])
    return psi, np.array([rectangle(3.0, 4.0, SMALL), rectangle(-2.0, 6.0, SMALL)])


@pytest.mark.parametrize(("precision", "error"), [("float64", 1e-10), ("float32", 1e-4)])
def test_chebyshev_is_exact(
    cases: tuple[np.ndarray, np.ndarray, np.ndarray], precision: str, error: float
) -> None:
    psi, potential, exact = cases
    made = propagate(psi, potential, RING, Propagation("chebyshev", "lattice", precision=precision))
    assert made.dtype == precision and made.shape == (11, 501, 1024, 2)
    assert np.abs(waves(made) - waves(exact)).max() < error


def test_space_splitting_errs_as_the_authors_program(
    cases: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    psi, potential, exact = cases
    made = propagate(psi[::3], potential[::3], RING, Propagation("space-splitting", "lattice"))
    error = np.abs(waves(made) - waves(exact[::3])).max(axis=(1, 2))
    assert (error > 3.9e-3).all() and (error < 5e-2).all()


@pytest.mark.parametrize(
    ("method", "hamiltonian", "substep"),
    [
        ("split-operator", "lattice", 0.02),
        ("split-operator", "spectral", 0.02),
        ("space-splitting", "lattice", 1e-3),
    ],
)
def test_splittings_are_of_second_order(method: str, hamiltonian: str, substep: float) -> None:
    psi, potential = small()
    how = {"hamiltonian": hamiltonian, "frames": 30}
    exact = waves(propagate(psi, potential, SMALL, Propagation("eigen", **how)))
    errors = []
    for part in (1, 2, 4):
        made = propagate(psi, potential, SMALL, Propagation(method, substep=substep / part, **how))
        errors.append(np.abs(waves(made) - exact).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("hamiltonian", ["lattice", "spectral"])
def test_the_bound_of_chebyshev_holds_and_is_what_was_asked_for(hamiltonian: str) -> None:
    psi, potential = small()
    exact = waves(propagate(psi, potential, SMALL, Propagation("eigen", hamiltonian, frames=40)))
    errors = []
    for tolerance in (1e-2, 1e-5, 1e-9):
        how = Propagation("chebyshev", hamiltonian, frames=40, tolerance=tolerance)
        bounds = [error_bound(v, SMALL, how)[1] for v in potential]
        assert max(bounds) <= tolerance
        difference = waves(propagate(psi, potential, SMALL, how)) - exact
        norms = np.sqrt((np.abs(difference) ** 2).sum(axis=2) * SMALL.dx)
        assert (norms.max(axis=1) < np.array(bounds) + 1e-11).all()
        errors.append(norms.max())
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("hamiltonian", ["lattice", "spectral"])
@pytest.mark.parametrize("tolerance", [1e-6, 1e-4, 1e-2])
def test_states_are_left_out_as_far_as_the_tolerance_allows(hamiltonian: str, tolerance: float) -> None:
    """The error is below it at every frame, and one state less would be too few."""
    psi, potential = small()
    exact = waves(propagate(psi, potential, SMALL, Propagation("eigen", hamiltonian, frames=40)))
    how = Propagation("truncated-eigen", hamiltonian, frames=40, tolerance=tolerance)
    made = waves(propagate(psi, potential, SMALL, how))
    error = np.sqrt((np.abs(made - exact) ** 2).sum(axis=2) * SMALL.dx)
    assert error.max() < tolerance + 1e-12 and error[:, 1:].max() > tolerance / 10
    np.testing.assert_array_equal(made[:, 0], psi)
    weights = np.array([1e-6, 0.5, 3e-6, 0.4])
    np.testing.assert_array_equal(eigen._needed(weights, 2e-6), [1, 2, 3])
    np.testing.assert_array_equal(eigen._needed(weights, 5e-6), [1, 3])


@pytest.mark.parametrize("hamiltonian", ["lattice", "spectral"])
@pytest.mark.parametrize("room", [2**10, 2**16, 2**18])
def test_sums_in_pieces_are_the_sums(hamiltonian: str, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all terms at once would take too much memory; the last piece may be short."""
    psi, potential = small()
    how = Propagation("chebyshev", hamiltonian, dt=1.0, frames=9)
    whole = propagate(psi, potential, SMALL, how)
    monkeypatch.setattr(chebyshev, "MOST_BYTES", room)
    np.testing.assert_allclose(propagate(psi, potential, SMALL, how), whole, atol=1e-13)
    assert room == 2**18 or not np.array_equal(propagate(psi, potential, SMALL, how), whole), "not in pieces"


@pytest.mark.parametrize("hamiltonian", ["lattice", "spectral"])
def test_frames_of_wide_spectra_are_made_few_at_a_time(
    hamiltonian: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    psi, potential = small()
    how = Propagation("chebyshev", hamiltonian, frames=5)
    whole = propagate(psi, potential, SMALL, how)
    radius = terms.bounds(potential[0], SMALL, hamiltonian)[1]
    monkeypatch.setattr(terms, "MOST_TERMS", radius * how.dt * 2)
    assert terms.block(radius, how) == 2
    np.testing.assert_allclose(propagate(psi, potential, SMALL, how), whole, atol=1e-12)


@pytest.mark.parametrize("points", [64, 1024, 131_072])
@pytest.mark.parametrize("tolerance", [10.0, 1e-3, 1e-11])
def test_terms_are_counted_from_the_end_of_the_sum(points: int, tolerance: float) -> None:
    """As many as the whole sum says, and for any number of points at once."""
    how = Propagation(tolerance=tolerance, dt=0.1 if points < 10_000 else 1e-4)
    ring, clock = Ring(100.0, points), time.perf_counter()
    count, bound = error_bound(np.zeros(points), ring, how)
    assert time.perf_counter() - clock < 1
    z = terms.bounds(np.zeros(points), ring, "spectral")[1] * how.dt * 8
    tail = 2 * np.cumsum(np.abs(jv(np.arange(int(z) + 400), z))[::-1])[::-1] * -(-how.frames // 8)
    least = max(int(np.argmax(tail <= tolerance)), 1)
    assert count == least + least % 2 and bound == pytest.approx(tail[count], rel=1e-6, abs=1e-15)


def test_a_spectrum_too_wide_is_refused_with_the_method_that_can() -> None:
    ring = Ring(100.0, 1024)
    with pytest.raises(InvalidInput, match="--propagator eigen"):
        error_bound(np.where(np.arange(1024) < 99, 1e9, 0.0), ring, Propagation())
    assert error_bound(np.where(np.arange(1024) < 99, 1e6, 0.0), ring, Propagation())[1] <= 1e-11
    assert (
        error_bound(np.zeros(1024), ring, Propagation(dt=1e-308))[1] <= 1e-11
    )  # and any time step is narrow


@pytest.mark.parametrize("frames", [1, 3, 8, 9, 13])
@pytest.mark.parametrize("hamiltonian", ["lattice", "spectral"])
def test_any_number_of_frames(frames: int, hamiltonian: str) -> None:
    """Frames are made in blocks; a last block may be short."""
    psi, potential = small()
    a = propagate(psi, potential, SMALL, Propagation("chebyshev", hamiltonian, frames=frames))
    b = propagate(psi, potential, SMALL, Propagation("eigen", hamiltonian, frames=frames))
    assert a.shape == (2, frames + 1, 256, 2)
    np.testing.assert_allclose(a, b, atol=1e-10)


def test_a_free_gaussian_spreads_as_it_should() -> None:
    """ψ ∝ (1 + iτ)^{-1/2} exp(ik(u − kt/2) − (u − kt)²/(4S0²(1 + iτ))), τ = t/(2S0²)."""
    s0, e0, x0 = 2.0, 5.0, 20.0
    k = np.sqrt(2 * e0)
    made = waves(
        propagate(packet(RING, "gaussian", x0, s0, e0), np.zeros(1024), RING, Propagation(frames=120))
    )
    for frame in (0, 40, 120):
        t = frame * 0.1
        u, tau = RING.x - x0, t / (2 * s0**2)
        exact = np.exp(1j * k * (u - k * t / 2) - (u - k * t) ** 2 / (4 * s0**2 * (1 + 1j * tau)))
        exact *= (2 * np.pi * s0**2) ** -0.25 / np.sqrt(1 + 1j * tau)
        assert np.abs(made[0, frame] - exact).max() < 2e-8


@pytest.mark.parametrize(
    ("e0", "height", "width"),
    [
        (5.0, 3.0, 2.0),
        pytest.param(4.0, 4.5, 0.8, marks=pytest.mark.slow),
        pytest.param(6.0, -3.0, 1.5, marks=pytest.mark.slow),
    ],
)
def test_transmission_is_that_of_plane_waves(e0: float, height: float, width: float) -> None:
    ring = Ring(400.0, 4096)
    v = rectangle(height, width, ring)
    a = (v != 0).sum() * ring.dx
    inside = np.sqrt(complex(2 * (e0 - height)))
    formula = 1 / (1 + height**2 * abs(np.sin(inside * a)) ** 2 / (4 * e0 * abs(e0 - height)))
    start = packet(ring, "gaussian", 100.0, 14.0, e0)
    time = 200 / np.sqrt(2 * e0)
    end = waves(propagate(start, v, ring, Propagation(dt=time / 4, frames=4)))[0, -1]
    beyond = ring.x > 200 + width
    through = (np.abs(end[beyond]) ** 2).sum() * ring.dx
    assert through == pytest.approx(formula, rel=0.01)


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_norm_is_conserved_and_time_runs_backwards(method: str, precision: str) -> None:
    psi, potential = small()
    how = Propagation(method, "lattice", frames=20, precision=precision)
    made = propagate(psi, potential, SMALL, how)
    tolerance = 1e-11 if precision == "float64" else max(3e-5, how.norm_tolerance - 2e-4)
    if precision == "float32" and method in CONTROLLED:  # which take many steps at the edges of barriers
        tolerance = how.norm_tolerance
    norm = (np.abs(waves(made)) ** 2).sum(axis=2) * SMALL.dx
    np.testing.assert_allclose(norm, 1, atol=tolerance)
    back = propagate(waves(made)[:, -1].conj(), potential, SMALL, how)
    np.testing.assert_allclose(waves(back)[:, -1].conj(), psi, atol=3 * tolerance)


@pytest.mark.parametrize("hamiltonian", ["lattice", "spectral"])
def test_energy_is_conserved_by_the_exact_methods(hamiltonian: str) -> None:
    psi, potential = small()
    for method in ("chebyshev", "eigen"):
        made = waves(propagate(psi, potential, SMALL, Propagation(method, hamiltonian, frames=25)))
        values = energy(made, potential[:, None], SMALL, hamiltonian)
        np.testing.assert_allclose(values, values[:, :1].repeat(26, axis=1), rtol=1e-10)


def test_a_packet_does_not_depend_on_its_company() -> None:
    psi, potential = small()
    for method in METHODS:
        for hamiltonian in ("lattice", "spectral"):
            if (method, hamiltonian) == ("space-splitting", "spectral"):
                continue
            how = Propagation(method, hamiltonian, frames=5)
            both = propagate(psi, potential, SMALL, how)
            np.testing.assert_allclose(both[1:], propagate(psi[1], potential[1], SMALL, how), atol=1e-13)


def test_the_lattice_is_second_differences() -> None:
    wave = np.random.default_rng(0).standard_normal(256)
    second = (np.roll(wave, 1) - 2 * wave + np.roll(wave, -1)) / SMALL.dx**2
    kinetic = np.fft.ifft(kinetic_energy(SMALL, "lattice") * np.fft.fft(wave)).real
    np.testing.assert_allclose(kinetic, -second / 2, atol=1e-10)


@pytest.mark.gpu
@pytest.mark.parametrize("precision, error", [("float64", 1e-11), ("float32", 1e-5)])
@pytest.mark.parametrize("hamiltonian", ["lattice", "spectral"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_torch_gives_the_same(device: str, hamiltonian: str, precision: str, error: float) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch has no CUDA GPU here")
    psi, potential = small()
    how = Propagation("eigen", hamiltonian, frames=10, precision=precision)
    found = eigen_on(device, psi, potential, SMALL, how)
    assert found.dtype == how.real
    np.testing.assert_allclose(found, propagate(psi, potential, SMALL, how), atol=error)


def test_a_device_that_is_not_there() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("it is there")
    psi, potential = small()
    with pytest.raises(DeviceUnavailable, match="--device cpu"):
        propagate(psi, potential, SMALL, Propagation("eigen", device="cuda"))


@pytest.mark.parametrize("kind", list(ENVELOPES))
def test_packets_have_the_moments_they_are_named_by(kind: str) -> None:
    ring = Ring(100.0, 4096)
    psi = packet(ring, kind, 50.0, 2.0, 5.0)
    density = np.abs(psi) ** 2 * ring.dx
    assert density.sum() == pytest.approx(1)
    mean = (density * ring.x).sum()
    assert mean == pytest.approx(50.0, abs=0.02)
    assert np.sqrt((density * (ring.x - mean) ** 2).sum()) == pytest.approx(2.0, rel=0.01)
    weight = np.abs(np.fft.fft(psi)) ** 2
    assert (weight * ring.k).sum() / weight.sum() == pytest.approx(np.sqrt(10.0), rel=0.02)


def test_packets_wrap_or_are_cut() -> None:
    whole, cut = (packet(RING, "gaussian", 10.0, 4.0, 5.0, wrap) for wrap in (True, False))
    jump = [abs(abs(psi[-1]) - abs(psi[0])) / np.abs(psi).max() for psi in (whole, cut)]
    assert jump[0] < 0.01 < 0.2 < jump[1] < 0.22  # the paper's: a relative jump of 0.21 at the seam
    shifted = packet(RING, "gaussian", 10.0 + 512 * RING.dx, 4.0, 5.0)
    np.testing.assert_allclose(np.roll(whole, 512), shifted, atol=1e-12)


def test_potentials_of_the_paper() -> None:
    assert (rectangle(5.0, 7.0) != 0).sum() == 71
    pyramid = Potential(
        "steps", {"edges": [(500 + 20 * i) * RING.dx for i in range(3)], "heights": [1.0, 2.0]}
    )
    v = pyramid.on(RING)
    assert (v[500:520] == 1).all() and (v[520:540] == 2).all() and (v != 0).sum() == 40


@pytest.mark.parametrize(
    ("shape", "numbers", "highest"),
    [
        ("rectangle", {"height": -4.0, "width": 5.0}, -4.0),
        ("rectangles", {"edges": [10.0, 20.0, 30.0, 35.0], "heights": [3.0, 6.0]}, 6.0),
        ("half-circle", {"height": 8.0, "radius": 10.0}, 8.0),
        ("ramp", {"height": 6.0, "width": 20.0}, 6.0),
        ("ramp", {"height": 6.0, "width": 20.0, "falling": True}, 6.0),
        ("triangle", {"height": 6.0, "width": 20.0, "centre": 30.0}, 6.0),
        ("trapezoid", {"height": 6.0, "width": 20.0, "top": 5.0}, 6.0),
        ("quadratic", {"height": 6.0, "width": 20.0}, 6.0),
        ("random", {"height": 6.0, "width": 20.0, "length": 2.0, "seed": 3}, 6.0),
    ],
)
def test_shapes_have_their_height_and_end(shape: str, numbers: dict[str, object], highest: float) -> None:
    v = Potential(shape, numbers).on(RING)
    assert v[np.abs(v).argmax()] == pytest.approx(highest, rel=0.12)
    assert 0 < (v != 0).sum() * RING.dx < 22
    assert Potential.from_json(Potential(shape, numbers).to_json()) == Potential(shape, numbers)


def test_random_potentials_do_not_depend_on_the_mesh() -> None:
    numbers = {"height": 6.0, "width": 20.0, "length": 2.0, "seed": 3}
    coarse, fine = (Potential("random", numbers).on(Ring(100.0, n)) for n in (1024, 4096))
    np.testing.assert_allclose(fine[::4], coarse, atol=0.3)
    other = Potential("random", {**numbers, "seed": 4}).on(RING)
    assert np.abs(coarse - other).max() > 1


@pytest.mark.parametrize(
    ("shape", "numbers"),
    [
        ("cliff", {}),
        ("rectangle", {"height": 3.0}),
        ("rectangle", {"height": 3.0, "width": -1.0}),
        ("rectangle", {"height": float("nan"), "width": 1.0}),
        ("rectangle", {"height": "3", "width": 1.0}),
        ("rectangle", {"height": 3.0, "width": 1.0, "colour": 1.0}),
        ("rectangles", {"edges": [1.0], "heights": [1.0]}),
        ("steps", {"edges": [3.0, 1.0], "heights": [1.0]}),
        ("trapezoid", {"height": 1.0, "width": 2.0, "top": 3.0}),
        ("values", {"values": [1.0, 2.0]}),
    ],
)
def test_impossible_potentials(shape: str, numbers: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Potential(shape, numbers).on(RING)


def test_every_shape_was_tried() -> None:
    assert set(SHAPES) == {
        "free", "rectangle", "rectangles", "steps", "half-circle", "ramp", "triangle", "trapezoid",
        "quadratic", "random", "gaussian", "harmonic", "lattice", "values",
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"method": "euler"},
        {"hamiltonian": "continuum"},
        {"precision": "float16"},
        {"dt": 0.0},
        {"frames": 0},
        {"tolerance": float("inf")},
        {"method": "space-splitting"},
        {"method": "chebyshev", "substep": 0.01},
        {"method": "split-operator", "substep": 0.03},
        {"method": "chebyshev", "device": "cuda"},
        {"method": "eigen", "device": "tpu"},
    ],
)
def test_impossible_propagations(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Propagation(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "x0", "s0", "e0"),
    [
        ("lorentzian", 10.0, 2.0, 5.0), ("gaussian", 100.0, 2.0, 5.0), ("gaussian", -1.0, 2.0, 5.0),
        ("gaussian", 10.0, 0.01, 5.0), ("gaussian", 10.0, 2.0, -1.0), ("gaussian", 10.0, 2.0, 600.0),
    ],
)  # fmt: skip
def test_impossible_packets(kind: str, x0: float, s0: float, e0: float) -> None:
    with pytest.raises(InvalidInput):
        packet(RING, kind, x0, s0, e0)


@pytest.mark.parametrize(("box", "points"), [(0.0, 64), (10.0, 63), (10.0, 4), (float("nan"), 64)])
def test_impossible_rings(box: float, points: int) -> None:
    with pytest.raises(InvalidInput):
        Ring(box, points)


@pytest.mark.usefixtures("unchecked")
def test_wave_functions_that_are_none() -> None:
    psi, potential = small()
    for bad in (psi * np.nan, psi[:, :100]):
        with pytest.raises(InvalidInput):
            propagate(bad, potential, SMALL, Propagation())


@pytest.mark.parametrize(("precision", "least"), [("float64", 1e-15), ("float32", 1e-7)])
def test_no_tolerance_is_below_what_numbers_can_tell(precision: str, least: float) -> None:
    for method in ("chebyshev", "truncated-eigen", *CONTROLLED):
        assert Propagation(method, tolerance=least, precision=precision).tolerance == least
        with pytest.raises(InvalidInput, match=f"{precision} can do no better than {least:g}"):
            Propagation(method, tolerance=1e-30, precision=precision)


def test_a_number_of_frames_is_an_integer() -> None:
    for wrong in (True, 2.0, "3"):
        with pytest.raises(InvalidInput, match="must be an integer"):
            Propagation(frames=wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="must be an integer"):
            Propagation.from_json({"frames": wrong})
    assert Propagation(frames=np.int64(3)).frames == 3
