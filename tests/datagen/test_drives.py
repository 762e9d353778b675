"""Potentials that change with time, open ends, and what is measured on the way: formulas and limits."""

import json
import math

import numpy as np
import pytest

from qwell.errors import InvalidInput
from qwell.physics.absorbers import Absorber
from qwell.physics.barriers import Potential
from qwell.physics.drives import ENVELOPES, Drive, Term
from qwell.physics.observables import eigenstates, frequencies, observe, populations, spectrum
from qwell.physics.packets import packet
from qwell.physics.propagators.driven import evolve
from qwell.physics.propagators.settings import Propagation, energy, kinetic_energy
from qwell.physics.ring import Ring

RING = Ring(40.0, 128)
TIMES = np.linspace(0, 10, 41)
V = Potential("gaussian", {"height": -3.0, "width": 8.0}).on(RING)
NOTHING = np.zeros(RING.points)


def drive(kind: str, **numbers: object) -> Drive:
    return Drive((Term(kind, numbers),))


def test_a_dipole_is_the_field_times_the_distance() -> None:
    one = drive("dipole", amplitude=2, frequency=1.5, phase=0.3, envelope="sin2", cycles=2, start=1.0)
    duration = 2 * 2 * math.pi / 1.5
    s = (TIMES - 1) / duration
    field = np.where((s >= 0) & (s <= 1), 2 * np.sin(np.pi * s) ** 2 * np.cos(1.5 * TIMES + 0.3), 0)
    np.testing.assert_allclose(one.signals(TIMES)[:, 0], field, atol=1e-14)
    np.testing.assert_allclose(one.on(RING, V, TIMES), V - field[:, None] * (RING.x - 20), atol=1e-12)
    assert one.is_field and not drive("shake", amplitude=1, frequency=1).is_field


def test_no_envelope_means_one_and_a_chirp_without_rate_is_a_dipole() -> None:
    plain = drive("dipole", amplitude=0.7, frequency=0.9)
    np.testing.assert_allclose(plain.signals(TIMES)[:, 0], 0.7 * np.cos(0.9 * TIMES))
    chirp = drive("chirp", amplitude=0.7, frequency=0.9, rate=0.0)
    np.testing.assert_array_equal(chirp.on(RING, V, TIMES), plain.on(RING, V, TIMES))
    faster = drive("chirp", amplitude=1, frequency=0.9, rate=0.2).signals(TIMES)[:, 0]
    np.testing.assert_allclose(faster, np.cos(0.9 * TIMES + 0.1 * TIMES**2))


@pytest.mark.parametrize("name", [n for n in ENVELOPES if n != "none"])
def test_envelopes_rise_to_one_and_fall(name: str) -> None:
    s = np.linspace(-2, 3, 5001)
    e = ENVELOPES[name](s)
    assert e.max() == pytest.approx(1, abs=1e-6) and e.min() >= 0 and np.abs(np.diff(e)).max() < 0.02
    np.testing.assert_allclose(e, e[::-1], atol=1e-12)
    assert e[0] < 1e-7 and e[-1] < 1e-7


def test_shaking_moves_a_smooth_potential_exactly() -> None:
    moved = drive("shake", amplitude=1.3, frequency=0.8, phase=0.4).on(RING, V, TIMES)
    for t, v in zip(TIMES, moved, strict=True):
        a = 1.3 * math.cos(0.8 * t + 0.4)
        there = Potential("gaussian", {"height": -3.0, "width": 8.0, "centre": 20 + a}).on(RING)
        np.testing.assert_allclose(v, there, atol=1e-10)


def test_a_barrier_moves_along_its_path() -> None:
    one = drive(
        "move", **{"from": 10.0, "to": 30.0, "start": 1.0, "duration": 4.0, "height": 2.0, "width": 6.0}
    )
    centre = one.signals(TIMES)[:, 0]
    assert centre[0] == 10 and centre[-1] == 30 and (np.diff(centre) >= 0).all()
    assert centre[np.searchsorted(TIMES, 3.0)] == pytest.approx(20)
    middle = one.on(RING, NOTHING, np.array([3.0]))[0]
    assert RING.x[middle.argmax()] == pytest.approx(20, abs=RING.dx) and middle.max() == pytest.approx(
        2, abs=1e-2
    )
    square = drive(
        "move", **{"from": 10, "to": 30, "duration": 4, "shape": "rectangle", "height": 1, "width": 5}
    )
    assert set(np.unique(square.on(RING, NOTHING, TIMES))) == {0.0, 1.0}


def test_formulas_and_files_are_what_they_say() -> None:
    one = drive("formula", v="0.1*(x-20)**2*cos(2*t)")
    expected = 0.1 * (RING.x - 20) ** 2 * np.cos(2 * TIMES[:, None])
    np.testing.assert_allclose(one.on(RING, V, TIMES), V + expected, atol=1e-12)
    rows = np.sin(np.arange(101)[:, None] * 0.1) * V
    file = drive("file", values=rows.tolist(), step=0.1)
    np.testing.assert_allclose(file.on(RING, V, TIMES), V * (1 + np.sin(TIMES[:, None])), atol=3e-5)
    with pytest.raises(InvalidInput, match="up to t = 10"):
        file.on(RING, V, np.array([10.5]))
    both = Drive((*one.terms, *drive("dipole", amplitude=1, frequency=1).terms))
    assert both.signals(TIMES).shape == (41, 1) and both.shortest == 0


def test_drives_round_trip_and_bad_ones_are_told() -> None:
    one = Drive((Term("dipole", {"amplitude": 2, "frequency": 1.5}), Term("formula", {"v": "x * t"})))
    assert Drive.from_json(json.loads(json.dumps(one.to_json()))) == one
    for kind, numbers, said in (
        ("dipol", {}, "did you mean 'dipole'"),
        ("dipole", {"amplitude": 1}, "needs frequency"),
        ("dipole", {"amplitude": 1, "frequncy": 1}, "did you mean 'frequency'"),
        ("dipole", {"amplitude": "x", "frequency": 1}, "finite number"),
        ("dipole", {"amplitude": 1, "frequency": 1, "envelope": "sin2"}, "duration"),
        ("dipole", {"amplitude": 1, "frequency": 1, "envelope": "sin3", "cycles": 2}, "sin2"),
        ("dipole", {"amplitude": 1, "frequency": 1, "cycles": 2}, "belong to an envelope"),
        (
            "dipole",
            {"amplitude": 1, "frequency": 0, "envelope": "sin2", "cycles": 2},
            "frequency, which is 0",
        ),
        ("move", {"from": 1, "to": 2, "duration": -1.0}, "positive"),
        ("formula", {"v": "__import__('os')"}, "not allowed"),
        ("file", {"values": [[1.0]], "step": 0.1}, "two rows"),
    ):
        with pytest.raises(InvalidInput, match=said):
            Term(kind, numbers)
    with pytest.raises(InvalidInput, match="not finite"):
        drive("formula", v="1/t").on(RING, V, np.zeros(1))
    for bad in (3, [3], [{"kind": 3}], "dipole"):
        with pytest.raises(InvalidInput):
            Drive.from_json(bad)


def test_terms_that_hide_something_or_overflow_are_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown number 'centre'"):  # a path has none of its own
        drive("move", **{"from": 1, "to": 9}, duration=1, height=1, width=1, centre=5)
    with pytest.raises(InvalidInput, match="expected a word"):
        Term.from_json({"kind": "dipole", "amplitude": 1, "frequency": 1, "envelope": ["sin2"]})
    for frequency, cycles in ((1e299, 1e-200), (1e-300, 1e200)):
        with pytest.raises(InvalidInput, match="no time"):
            drive("dipole", amplitude=1, frequency=frequency, envelope="sin2", cycles=cycles)
    late = drive("chirp", amplitude=1, frequency=1, rate=5, envelope="sin2", start=-20, duration=5)
    assert late.shortest == pytest.approx(1 / 101)


def test_potentials_and_layers_that_overflow_are_refused() -> None:
    psi = packet(RING, "gaussian", 20.0, 2.0, 0.0)[None]
    for method in ("magnus", "split-operator-4"):
        how, field = Propagation(method, frames=2), [drive("dipole", amplitude=1e200, frequency=1)]
        with (
            pytest.raises(InvalidInput, match=r"lower them|lower the potentials"),
            np.errstate(all="ignore"),
        ):
            evolve(psi, V[None], RING, how, field)
    often = Propagation("split-operator", frames=2)  # whose steps follow nothing
    with pytest.raises(InvalidInput, match="no numbers"), np.errstate(all="ignore"):
        evolve(psi, V[None], RING, often, absorber=Absorber(5.0, 1e308))
    with pytest.raises(InvalidInput, match="lower strength"):
        Absorber(5.0, 1e5).returned(np.array([1.0, 10.0]))


def test_what_a_strong_layer_sends_back_is_found_on_a_mesh_that_resolves_it() -> None:
    """Nearly all of slow waves; the same when faster waves ask for a finer mesh beside them."""
    alone, beside = (Absorber(5.0, 300.0).returned(np.array(k)) for k in ([0.5], [0.5, 100.0]))
    assert alone[0] > 0.05
    np.testing.assert_allclose(alone[0], beside[0], rtol=1e-4)


def test_both_integrators_agree_under_a_layer_that_takes_many_terms() -> None:
    ring, absorber = Ring(40.0, 128), Absorber(8.0, 3000.0)
    psi = packet(ring, "gaussian", 28.0, 1.5, 2.0)[None]
    with np.errstate(all="ignore"):  # what overflows is made again with more steps
        ends = [
            evolve(psi, np.zeros((1, 128)), ring, Propagation(m, frames=25, tolerance=1e-8), (), absorber)[0]
            for m in ("magnus", "split-operator-4")
        ]
    left, right = absorber.detectors(ring)
    np.testing.assert_allclose(ends[0][0, -1, left:right], ends[1][0, -1, left:right], atol=1e-8)


@pytest.mark.parametrize("momentum", [1.0, 2.0, 4.0])
def test_open_ends_send_back_less_than_1e_4_over_a_factor_of_four_in_momentum(momentum: float) -> None:
    """Measured with a packet that runs into one of them, and as the closed form of the layer says."""
    ring = Ring(80.0, 512)
    absorber = Absorber(15.0, 3.3)
    psi = packet(ring, "gaussian", 40.0, 5.0, momentum**2 / 2)[None]
    how = Propagation("split-operator-4", dt=0.5, frames=int(130 / momentum), tolerance=1e-7)
    frames = evolve(psi, np.zeros((1, 512)), ring, how, absorber=absorber)[0][0]
    times = np.arange(len(frames)) * how.dt
    seen = observe(frames, np.zeros(frames.shape), times, ring, "spectral", absorber.detectors(ring))
    assert seen["norm"][-1] < 1e-4 and absorber.returned(np.array([momentum]))[0] < 1e-5
    assert (np.diff(seen["norm"]) < 1e-12).all()
    assert seen["transmitted_right"][-1] == pytest.approx(1, abs=1e-4)
    assert seen["transmitted_left"][-1] == pytest.approx(0, abs=1e-4)


def test_the_estimated_error_holds_between_open_ends() -> None:
    """Errors inside the layers count by what of them can come out: 1 at the edges, little at the seam."""
    ring, absorber = Ring(40.0, 128), Absorber(10.0, 5.0)
    v = Potential("gaussian", {"height": -3.0, "width": 6.0}).on(ring)[None]
    psi = eigenstates(v[0], ring, "spectral", 1)[1].astype(complex)
    pulse = [drive("dipole", amplitude=1.5, frequency=0.7)]
    made = [
        evolve(psi, v, ring, Propagation("split-operator-4", dt=0.2, frames=80, tolerance=t), pulse, absorber)
        for t in (1e-4, 1e-9)
    ]
    left, right = absorber.detectors(ring)
    off = np.abs(made[0][0] - made[1][0])[0, :, left:right]
    error = np.sqrt((off**2).sum(axis=1) * ring.dx).max()
    assert (np.abs(made[1][0][0, -1]) ** 2).sum() * ring.dx < 0.9  # much has left
    assert 1e-9 < error < 2 * made[0][1][0] < 2.02e-4
    share = absorber.comes_back(ring)
    assert share[left] == 1 and share[0] < 0.2 and (np.diff(share[: left + 1]) >= 0).all()


def test_what_a_layer_sends_back_falls_with_its_width_and_rises_where_it_is_too_thin() -> None:
    k = np.array([1.0, 2.0, 4.0])
    thin, thick = Absorber(8.0, 3.3).returned(k), Absorber(15.0, 3.3).returned(k)
    assert (thick < thin).all() and thin.max() > 1e-4
    assert Absorber(15.0, 0.01).returned(k).min() > 0.5
    with pytest.raises(InvalidInput, match="less than half"):
        Absorber(30.0).on(RING)
    with pytest.raises(InvalidInput, match="positive"):
        Absorber(-1.0)
    with pytest.raises(InvalidInput, match="width and strength"):
        Absorber.from_json({"wide": 3})


@pytest.mark.parametrize("hamiltonian", ["spectral", "lattice"])
def test_observables_of_a_moving_packet(hamiltonian: str) -> None:
    """Mean momentum and energy of a Gaussian, Ehrenfest's d⟨x⟩/dt = ⟨p⟩, and probability that is not lost."""
    ring = Ring(60.0, 512)
    psi = packet(ring, "gaussian", 25.0, 2.0, 2.0)[None]
    how = Propagation("magnus", hamiltonian, dt=0.05, frames=160)
    frames, times = evolve(psi, np.zeros((1, 512)), ring, how)[0][0], np.arange(161) * 0.05
    seen = observe(frames, np.zeros(frames.shape), times, ring, hamiltonian, (200, 300))
    assert seen["momentum"][0] == pytest.approx(2.0, rel=1e-9 if hamiltonian == "spectral" else 1e-2)
    if hamiltonian == "spectral":
        assert seen["energy"][0] == pytest.approx(2 + 1 / 32, rel=1e-9)
    np.testing.assert_allclose(np.gradient(seen["position"], times)[1:-1], seen["momentum"][1:-1], rtol=1e-3)
    np.testing.assert_allclose(seen["energy"], energy(frames, np.zeros(512), ring, hamiltonian))
    first = 201 if hamiltonian == "lattice" else 200  # a bond begins at its point
    inside = (np.abs(frames[:, first:301]) ** 2).sum(axis=1) * ring.dx
    if hamiltonian == "lattice":
        left = inside[0] - inside
        np.testing.assert_allclose(seen["transmitted_left"] + seen["transmitted_right"], left, atol=2e-5)
        assert np.abs(left).max() > 0.3


def test_populations_and_spectrum_of_two_levels() -> None:
    """Of (φ₀ + φ₁)/√2 both are one half, and the dipole oscillates with E₁ − E₀."""
    energies, states = eigenstates(V, RING, "spectral", 3)
    np.testing.assert_allclose(states @ states.T * RING.dx, np.eye(3), atol=1e-12)
    psi = (states[0] + states[1])[None] / math.sqrt(2)
    how = Propagation("magnus", dt=0.2, frames=600)
    frames = evolve(psi.astype(complex), V[None], RING, how)[0][0]
    np.testing.assert_allclose(populations(frames, states, RING), [[0.5, 0.5, 0]] * 601, atol=1e-9)
    seen = observe(frames, np.broadcast_to(V, frames.shape), np.arange(601) * 0.2, RING, "spectral", (1, 2))
    power, omega = spectrum(seen["position"], RING, 0.2), frequencies(601, 0.2)
    assert omega[power.argmax()] == pytest.approx(energies[1] - energies[0], abs=omega[1])


@pytest.mark.parametrize("hamiltonian", ["spectral", "lattice"])
def test_levels_of_the_same_energy_do_not_depend_on_how_they_were_found(hamiltonian: str) -> None:
    """Of a lattice on a ring, whose second and third level are one: any number of levels gives the same."""
    ring = Ring(40.0, 64)
    v = Potential("lattice", {"height": 2.0, "period": 5.0}).on(ring)
    energies, states = eigenstates(v, ring, hamiltonian, 6)
    assert energies[1] == pytest.approx(energies[2], abs=1e-12) and energies[3] - energies[2] > 1e-4
    x = states @ (ring.x[:, None] * states.T) * ring.dx
    assert abs(x[1, 2]) < 1e-9 and x[1, 1] < x[2, 2]
    np.testing.assert_allclose(states @ states.T * ring.dx, np.eye(6), atol=1e-12)
    moved = np.fft.ifft(kinetic_energy(ring, hamiltonian) * np.fft.fft(states)) + v * states
    h = states @ moved.T * ring.dx
    np.testing.assert_allclose(h, np.diag(energies), atol=1e-11)
    for levels in (2, 3, 4):
        again = eigenstates(v, ring, hamiltonian, levels)[1]
        np.testing.assert_allclose(np.abs(states[:levels]), np.abs(again), atol=1e-7)
