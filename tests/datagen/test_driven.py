"""Propagation in potentials that change with time: closed forms, Floquet's theory, orders, and agreement."""

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from qwell.datagen.presets import preset
from qwell.datagen.recipes.driven_families import DrivenFamily
from qwell.errors import InvalidInput
from qwell.physics.absorbers import Absorber
from qwell.physics.barriers import Potential
from qwell.physics.drives import Drive, Term
from qwell.physics.observables import eigenstates, populations
from qwell.physics.packets import packet
from qwell.physics.propagators import driven
from qwell.physics.propagators.driven import evolve
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import CONTROLLED, Propagation
from qwell.physics.ring import Ring

RING = Ring(40.0, 256)
WELL = Potential("gaussian", {"height": -3.0, "width": 8.0}).on(RING)
both = pytest.mark.parametrize("method", CONTROLLED)
often = pytest.mark.parametrize(
    "method", ["split-operator-4", pytest.param("magnus", marks=pytest.mark.slow)]
)


def drive(kind: str, **numbers: object) -> Drive:
    return Drive((Term(kind, numbers),))


def distance(a: np.ndarray, b: np.ndarray, ring: Ring = RING) -> np.ndarray:
    """L2 norms of differences of wave functions (…, N)."""
    return np.sqrt((np.abs(a - b) ** 2).sum(axis=-1) * ring.dx)


@often
def test_the_driven_oscillator_is_a_displaced_gaussian(method: str) -> None:
    """ψ = φ₀(u − q) e^{ip(u − q) + iγ}, q'' = −ω₀² q + E, p = q', γ' = p²/2 − ω₀²q²/2 + E q − ω₀/2: to 1e-9
    over 50 time units."""
    w0, w, amplitude, start = 0.5, 0.3, 0.2, 1.5
    ring = Ring(30.0, 64)
    u = ring.x - ring.box / 2
    c = amplitude / (w0**2 - w**2)

    def q(t: float) -> float:
        return start * math.cos(w0 * t) + c * (math.cos(w * t) - math.cos(w0 * t))

    def p(t: float) -> float:
        return -start * w0 * math.sin(w0 * t) + c * (w0 * math.sin(w0 * t) - w * math.sin(w * t))

    def rate(t: float) -> float:
        return (p(t) ** 2 - (w0 * q(t)) ** 2 - w0) / 2 + amplitude * math.cos(w * t) * q(t)

    def exact(t: float) -> np.ndarray:
        phase = quad(rate, 0, t, epsabs=1e-12, epsrel=1e-12, limit=500)[0]
        gauss = (w0 / math.pi) ** 0.25 * np.exp(-w0 * (u - q(t)) ** 2 / 2)
        return gauss * np.exp(1j * (p(t) * (u - q(t)) + phase))

    v = Potential("harmonic", {"frequency": w0}).on(ring)[None]
    how = Propagation(method, dt=0.5, frames=100, tolerance=5e-10)
    frames = evolve(exact(0)[None], v, ring, how, [drive("dipole", amplitude=amplitude, frequency=w)])[0][0]
    for frame in (1, 40, 80, 100):
        assert np.abs(frames[frame] - exact(frame * 0.5)).max() < 1e-9


def floquet(energies: np.ndarray, force: np.ndarray, frequency: float, times: np.ndarray) -> np.ndarray:
    """Populations of levels that begin in the lowest, (T, levels), under H = E + F cos ωt, by Shirley's
    infinite matrix (Phys. Rev. 138, B979 (1965)): H_F = E_a δ + n ω δ + ½ F δ_{n,n'±1}, −6 ≤ n ≤ 6."""
    levels, n = len(energies), np.arange(-6, 7)
    whole = np.kron(np.diag(n * frequency), np.eye(levels)) + np.kron(np.eye(len(n)), np.diag(energies))
    whole += np.kron(np.eye(len(n), k=1) + np.eye(len(n), k=-1), force / 2)
    quasi, modes = np.linalg.eigh(whole)
    modes = modes.reshape(len(n), levels, -1)  # harmonic, level, mode
    amplitude = np.array(
        [np.tensordot(np.exp(1j * n * frequency * t), modes, 1) @ (np.exp(-1j * quasi * t) * modes[6, 0])
         for t in times]
    )  # fmt: skip
    return np.abs(amplitude) ** 2


def test_a_double_well_follows_floquets_theory_and_in_the_weak_limit_that_of_two_levels() -> None:
    ring = Ring(12.0, 48)
    u = ring.x - ring.box / 2
    v = 0.05 * (u**2 - 3.0) ** 2
    energies, states = eigenstates(v, ring, "spectral", 10)
    dipole = states @ (u[:, None] * states.T) * ring.dx
    gap = energies[1] - energies[0]
    assert energies[2] - energies[1] > 1.2 * gap
    off = []
    for amplitude in (0.02, 0.01):
        how = Propagation("split-operator-4", dt=1.0, frames=150, tolerance=1e-7)
        frames = evolve(states[:1].astype(complex), v[None], ring, how,
                        [drive("dipole", amplitude=amplitude, frequency=gap)])[0][0]  # fmt: skip
        found, times = populations(frames, states, ring), np.arange(151.0)
        all_levels = floquet(energies, -amplitude * dipole, gap, times)
        np.testing.assert_allclose(found, all_levels, atol=1e-6)
        two = floquet(energies[:2], -amplitude * dipole[:2, :2], gap, times)
        off.append(np.abs(found[:, :2] - two)[:100].max())
        assert found[:, 1].max() > 0.5  # much of a Rabi cycle
    assert off[0] < 0.05 and off[1] < off[0] / 2


@pytest.mark.parametrize("hamiltonian", ["spectral", "lattice"])
@both
def test_errors_fall_with_the_fourth_power_of_the_step(method: str, hamiltonian: str) -> None:
    v = np.array([Potential("harmonic", {"frequency": 0.5}).on(RING), WELL])
    drives = [drive("dipole", amplitude=0.3, frequency=0.7), drive("shake", amplitude=0.5, frequency=1.5)]
    psi = np.array([packet(RING, "gaussian", 20.0, 1.0, 0.0), packet(RING, "gaussian", 19.0, 1.2, 0.3)])

    def last(part: int) -> np.ndarray:
        how = Propagation(method, hamiltonian, dt=0.2, frames=20, substep=0.2 / part)
        return evolve(psi, v, RING, how, drives)[0][:, -1]

    exact = last(16)
    errors = np.array([distance(last(part), exact) for part in (1, 2, 4)])
    np.testing.assert_allclose(np.log2(errors[:-1] / errors[1:]), 4, atol=0.25)


def test_the_split_operator_of_second_order_takes_drives_as_well() -> None:
    v, psi = WELL[None], packet(RING, "gaussian", 19.0, 1.2, 0.3)[None]
    drives = [drive("dipole", amplitude=0.5, frequency=1.0)]
    exact = evolve(psi, v, RING, Propagation("magnus", frames=30), drives)[0][:, -1]
    steps = (0.05, 0.025, 0.0125)
    hows = [Propagation("split-operator", frames=30, substep=step) for step in steps]
    errors = np.array([distance(evolve(psi, v, RING, how, drives)[0][:, -1], exact) for how in hows])
    np.testing.assert_allclose(errors[:-1] / errors[1:], 4, rtol=0.05)


@pytest.mark.parametrize("hamiltonian", ["lattice", pytest.param("spectral", marks=pytest.mark.slow)])
def test_two_integrators_agree_on_random_pulses(hamiltonian: str) -> None:
    """To 1e-9, of envelopes that are taught and unseen."""
    rng = np.random.default_rng(5)
    families = (*preset("pulses").families, *preset("pulses").tests)  # type: ignore[attr-defined]
    cases = [f.draw(rng) for f in families for _ in range(2) if isinstance(f, DrivenFamily)]
    v = np.array([potential.on(RING) for _, potential, _, _ in cases])
    psi = np.array([eigenstates(one, RING, hamiltonian, 1)[1][0] for one in v]).astype(complex)
    made = [
        evolve(psi, v, RING, Propagation(m, hamiltonian, dt=0.25, frames=40, tolerance=1e-10),
               [case[3] for case in cases])[0]
        for m in CONTROLLED
    ]  # fmt: skip
    assert distance(*made).max() < 1e-9
    moved = distance(made[0][:, -1], psi)
    assert moved.min() > 1e-3


@often
def test_the_estimated_error_bounds_the_true_one_and_keeps_the_tolerance(method: str) -> None:
    v, psi = WELL[None], packet(RING, "gaussian", 19.0, 1.2, 0.3)[None]
    drives = [drive("dipole", amplitude=1.0, frequency=1.3, envelope="gaussian", duration=8.0)]
    fine = Propagation("split-operator-4", dt=0.5, frames=12, tolerance=1e-10)
    exact = evolve(psi, v, RING, fine, drives)[0][:, -1]
    errors = []
    for tolerance in (1e-3, 1e-5, 1e-7):
        how = Propagation(method, dt=0.5, frames=12, tolerance=tolerance)
        frames, said = evolve(psi, v, RING, how, drives)
        errors.append(float(distance(frames[:, -1], exact)[0]))
        assert errors[-1] < 2 * said[0] + 1e-10 and said[0] < 1.01 * tolerance
    assert errors[0] > errors[1] > errors[2]


@both
def test_single_precision_and_static_potentials(method: str) -> None:
    """A static potential is the special case in which all methods agree; float32 errs by its rounding."""
    psi = np.array([packet(RING, "gaussian", 10.0, 1.5, 2.0), packet(RING, "gaussian", 12.0, 2.0, 1.0)])
    v = np.stack([WELL, 0.5 * WELL])
    exact = propagate(psi, v, RING, Propagation("eigen", frames=40))
    made = propagate(psi, v, RING, Propagation(method, frames=40))
    assert np.abs(made - exact).max() < 1e-8
    single = propagate(psi, v, RING, Propagation(method, frames=40, precision="float32"))
    assert single.dtype == np.float32 and 1e-8 < np.abs(single - exact).max() < 2e-5


def test_a_moving_trap_carries_its_packet_as_a_classical_particle() -> None:
    """Kohn's theorem: ⟨x⟩ in a harmonic trap obeys q'' = −ω²(q − c(t))."""
    path = Term("move", {"from": 17.0, "to": 23.0, "duration": 6.0, "shape": "harmonic", "frequency": 1.0})
    psi = packet(RING, "gaussian", 17.0, math.sqrt(0.5), 0.0)[None]
    how = Propagation("split-operator-4", frames=100, tolerance=1e-8)
    frames = evolve(psi, np.zeros((1, 256)), RING, how, [Drive((path,))])[0][0]
    mean = (np.abs(frames) ** 2) @ RING.x * RING.dx

    def classical(t: float, y: np.ndarray) -> list[float]:
        centre = path.signal(np.array([t]))
        assert centre is not None
        return [y[1], -(y[0] - centre[0])]

    found = solve_ivp(classical, (0, 10), [17.0, 0.0], "DOP853", np.arange(101) * 0.1, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(mean, found.y[0], atol=1e-6)
    assert mean.max() > 22


def test_methods_for_static_potentials_and_impossible_tolerances_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    psi, v = packet(RING, "gaussian", 10.0, 1.5, 2.0)[None], WELL[None]
    one = [drive("dipole", amplitude=1, frequency=1)]
    with pytest.raises(InvalidInput, match="potentials that do not change"):
        evolve(psi, v, RING, Propagation("chebyshev", frames=2), one)
    monkeypatch.setattr(driven, "MOST_STEPS", 64)
    fast = [drive("dipole", amplitude=1e8, frequency=1.0)]
    with pytest.raises(InvalidInput, match="64 steps"):
        evolve(psi, v, RING, Propagation("split-operator-4", dt=100.0, frames=1, tolerance=1e-12), fast)


def test_numbers_beyond_all_use_are_refused() -> None:
    with pytest.raises(InvalidInput, match="between two points"):
        Absorber(1e-3, 1.0).on(RING)
    with pytest.raises(InvalidInput, match="product must be finite"):
        Propagation("split-operator-4", dt=1e308, frames=2)


def test_drives_that_no_step_can_follow_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any step is made: phases that turn by more than π in each of the most steps where ψ is."""
    psi, how = packet(RING, "gaussian", 20.0, 2.0, 1.0)[None], Propagation("split-operator-4", frames=3)
    monkeypatch.setattr(driven, "_estimate", lambda *_: pytest.fail("a step was made"))
    there = np.abs(psi[0]) ** 2 > driven.SEEN * (np.abs(psi) ** 2).max()
    most = np.pi * driven.MOST_STEPS / (how.dt * np.ptp(RING.x[there]))
    with pytest.raises(InvalidInput, match="radians a frame, more than split-operator-4 can follow"):
        evolve(psi, np.zeros((1, 256)), RING, how, [drive("dipole", amplitude=1.01 * most, frequency=1.0)])
    wall = np.where(there, 0.0, 1e9)  # no phase of ψ turns there
    for v, amplitude in ((np.zeros(256), 0.99 * most), (wall, 1.0)):
        with pytest.raises(pytest.fail.Exception, match="a step was made"):
            evolve(psi, v[None], RING, how, [drive("dipole", amplitude=amplitude, frequency=1.0)])


def test_many_steps_a_frame_leave_out_no_more_of_each_exponential() -> None:
    """1,000 turns of the field a time unit: the sums are cut so that all of a frame's stay in its share."""
    ring = Ring(20.0, 64)
    psi = packet(ring, "gaussian", 10.0, 1.0, 0.0)[None]
    field = [drive("dipole", amplitude=1000.0, frequency=1000.0)]
    ends = [
        evolve(psi, np.zeros((1, 64)), ring, Propagation("magnus", dt=0.5, frames=2, tolerance=t), field)[0]
        for t in (1e-6, 1e-9)
    ]
    assert np.sqrt((np.abs(ends[0] - ends[1])[0, -1] ** 2).sum() * ring.dx) < 1e-6


def test_a_loose_tolerance_costs_no_norm() -> None:
    how = Propagation("magnus", frames=50, tolerance=1e-2)
    field = [drive("dipole", amplitude=0.5, frequency=1.0)]
    waves = evolve(packet(RING, "gaussian", 20.0, 2.0, 1.0)[None], np.zeros((1, 256)), RING, how, field)[0]
    norms = np.sqrt((np.abs(waves) ** 2).sum(axis=-1) * RING.dx)
    assert np.abs(norms / norms[0, 0] - 1).max() < how.norm_tolerance / 5


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_an_offset_of_the_potential_costs_no_digits_in_single_precision(offset: float) -> None:
    """It turns the phase alone, by e^{−i offset t}."""
    psi, wave = packet(RING, "gaussian", 20.0, 2.0, 1.0)[None], []
    well = -2 * np.exp(-((RING.x - 20) ** 2) / 8)
    for precision, above in (("float64", 0.0), ("float32", offset)):
        how = Propagation("magnus", frames=20, precision=precision, tolerance=1e-6)
        wave.append(evolve(psi, well[None] + above, RING, how)[0][0, -1] * np.exp(2j * above))
    assert np.sqrt((np.abs(wave[0] - wave[1]) ** 2).sum() * RING.dx) < 2e-5
