"""Potentials from wave functions: closed forms, samplers, losses, grids, and what the finder finds."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from qwell.errors import CheckpointError, InvalidInput
from qwell.physics.grid import Grid
from qwell.physics.kernels import covariance
from qwell.physics.potentials import factor, rows
from qwell.physics.spectrum import eigenstates
from qwell.studies.inverse import report
from qwell.studies.inverse.config import FinderConfig
from qwell.studies.inverse.fields import PaperField, SmoothField
from qwell.studies.inverse.finder import Found, Potential, accepted_only, find, load_potential
from qwell.studies.inverse.grids import (
    DERIVATIVES,
    GridSystem,
    derivative_for,
    read_state,
    second_derivative,
)
from qwell.studies.inverse.losses import equation_loss, gradient_loss, variance_loss
from qwell.studies.inverse.report import quality, without_training
from qwell.studies.inverse.systems import SYSTEMS, System, check, system_of
from qwell.train.runs import Run

EVERY = pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda s: s.name)


class Exact(torch.nn.Module):
    """The true potential, as a field."""

    def __init__(self, system: System, shift: float = 0.0) -> None:
        super().__init__()
        self.system, self.shift = system, shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.system.potential(x) + self.shift


@EVERY
def test_laplacians_are_those_of_the_waves(system: System) -> None:
    x = system.uniform(200, 0).requires_grad_()
    (slope,) = torch.autograd.grad(system.wave(x).sum(), x, create_graph=True)
    laplacian = sum(
        torch.autograd.grad(slope[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(x.shape[1])
    )
    scale = float(laplacian.abs().max())
    torch.testing.assert_close(system.laplacian(x.detach()), laplacian, rtol=0, atol=1e-13 * scale)


@EVERY
def test_states_solve_the_schroedinger_equation(system: System) -> None:
    x = system.uniform(500, 1)
    left = -0.5 * system.laplacian(x) + (system.potential(x) - system.energy) * system.wave(x)
    assert float(left.abs().max()) < 1e-12 * float(system.wave(x).abs().max()) * 100


@EVERY
def test_every_loss_vanishes_for_the_true_potential_only(system: System) -> None:
    x = system.walk(50, 4, 0).flat()
    true, wrong = Exact(system), PaperField(system.dimensions, shrink=1.0)
    for field, sign in ((true, True), (Exact(system, 3.0), True), (wrong, False)):
        losses = [
            gradient_loss(field, system.kinetic_slope(x), x),
            equation_loss(system.kinetic(x) + field(x), system.wave(x), root=True),
            variance_loss(field, system.kinetic(x), x),
        ]
        assert all((float(loss.detach()) < 1e-10) == sign for loss in losses), losses


def test_the_second_oscillator_state_is_sampled_well() -> None:
    chain = system_of("oscillator-2").walk(400, 300, 0)
    mean, error, effective = chain.mean(lambda x: x[:, 0] ** 2)
    assert abs(mean - 2.5) < 3 * error and error < 0.02 and effective > 3000


def test_accepted_moves_alone_are_another_distribution() -> None:
    """The released scripts' chain: where moves are often refused, points are missing."""
    x = accepted_only(system_of("oscillator-0"), 3000, 0)
    assert x.shape == (3000, 1)
    assert len(x.unique()) == 3000  # no point is ever repeated


def test_the_paper_fields_size() -> None:
    field = PaperField(3)
    assert sum(p.numel() for p in field.parameters()) == 128 + 1056 + 4224 + 16512 + 129
    x = torch.randn(5, 3, dtype=torch.float64)
    assert float(field(x).detach().abs().max()) < 1e-2  # near V = 0, as δ makes it
    assert bool(((PaperField(1, ceiling=12.5)(x[:, :1]) - 6.25).abs() < 0.1).all())


@pytest.mark.parametrize("kind", ["plain", "radius", "coulomb"])
def test_smooth_fields_are_factor_times_network(kind: str) -> None:
    field = SmoothField(kind, 3, (5,), width=2.0, height=3.0)
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(field(x), field.factor(x) * field.network(field.features(x))[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "epsilon", "energy"),
    [("oscillator-2", "plain", 2e-3, 2e-3), ("hydrogen-1s", "radius", 1e-2, 5e-3)],
)
def test_our_recipe_finds_them(name: str, kind: str, epsilon: float, energy: float, tmp_path: Path) -> None:
    system = system_of(name)
    config = FinderConfig(
        name, field=kind, layers=(16, 16), activation="SiLU", adam_steps=600, newton_steps=25, samples=1000
    )
    found = find(config, system)
    measured = quality(found.potential, system)
    assert measured.box < epsilon and abs(measured.energy - system.energy) < energy
    pin = torch.tensor([system.pin], dtype=torch.float64)
    torch.testing.assert_close(found.potential(pin), system.potential(pin))  # exactly pinned
    losses = [row["loss"] for row in found.history if row["update"] >= 600]
    assert all(b < a for a, b in itertools.pairwise(losses)), "Gauss–Newton descends"
    run = Run.create(tmp_path / "run", {"command": "potential"})
    found.potential.save(run)
    x = system.uniform(10, 3)
    assert torch.equal(load_potential(run.path)(x), found.potential(x))
    (run.model / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="damaged"):
        load_potential(run.path)


@pytest.mark.parametrize("method", ["mpnn", "qpnn", "qpnn-ms"])
@pytest.mark.parametrize("recipe", ["text", "scripts"])
def test_the_papers_methods_learn(method: str, recipe: str) -> None:
    system = system_of("oscillator-2")
    config = FinderConfig(system.name, method=method, recipe=recipe, field="paper", samples=320, epochs=20)
    losses = [row["loss"] for row in find(config, system).history]
    assert losses[-1] < 0.7 * losses[0]


@EVERY
def test_without_training_the_answer_is_exact(system: System) -> None:
    x = system.walk(20, 5, 3).flat()
    torch.testing.assert_close(without_training(system)(x), system.potential(x), rtol=1e-9, atol=1e-9)


def random_state(row: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    grid = Grid(100)
    v = rows(factor(covariance("m3", grid, 100.0, 0.2)), 0, "train", row, row + 1)
    energy, wave = eigenstates(v, grid, 3)
    return grid.x, wave[0, 0], v[0], float(energy[0, 0])


def test_differences_undo_the_hamiltonian_of_a_data_set() -> None:
    x, wave, v, energy = random_state()
    system = GridSystem.of("random", x, wave, v, energy)
    nodes = system.uniform(500, 0)
    torch.testing.assert_close(without_training(system)(nodes), system.potential(nodes), rtol=1e-9, atol=1e-7)
    assert bool((system.wave(nodes) ** 2 > 0.01).all())


def test_the_slope_of_the_local_energy_on_a_grid() -> None:
    """ψ = e^{−x²/2}: −ψ''/2ψ = (1 − x²)/2, so its slope is −x."""
    x = np.linspace(-8, 8, 401)
    system = GridSystem.of("oscillator", x, np.exp(-(x**2) / 2), x**2 / 2, derivative="spectral")
    nodes = system.uniform(200, 0)
    torch.testing.assert_close(system.kinetic_slope(nodes), -nodes, rtol=0, atol=0.021)  # half a step at ends
    inner = nodes[nodes[:, 0].abs() < 2]
    torch.testing.assert_close(system.kinetic_slope(inner), -inner, rtol=0, atol=1e-6)
    excited = GridSystem.of("first", x, x * np.exp(-(x**2) / 2), x**2 / 2)  # has a node at 0
    assert bool(torch.isfinite(excited.kinetic_slope(excited.uniform(500, 0))).all())


@pytest.mark.slow
def test_a_potential_is_learned_from_the_slope_of_the_local_energy() -> None:
    """By QPNN, from nothing else."""
    x = np.linspace(-8, 8, 401)
    system = GridSystem.of("oscillator", x, np.exp(-(x**2) / 2), x**2 / 2, derivative="spectral")
    config = FinderConfig(system.name, method="qpnn", epochs=150, samples=320)
    found = find(config, system).potential
    rise = float(found(torch.ones(1, 1).double()) - found(torch.zeros(1, 1).double()))
    assert abs(rise - 0.5) < 0.15


@pytest.mark.slow
def test_a_random_potential_is_recovered_from_its_ground_state() -> None:
    x, wave, v, energy = random_state(1)
    system = GridSystem.of("random", x, -3 * wave, v, energy)  # neither sign nor norm matters
    config = FinderConfig("random", layers=(24, 24), activation="SiLU", adam_steps=800, newton_steps=80)
    found = quality(find(config, system).potential, system)
    assert found.box < 1.0 and found.worst < 1.0, "1 % of σ = 100"
    assert abs(found.energy / energy - 1) < 1e-3


@pytest.mark.parametrize("how", DERIVATIVES)
def test_second_derivatives_of_a_sine(how: str) -> None:
    x = np.linspace(0, 1, 201)
    error = np.abs(second_derivative(np.sin(np.pi * x), x[1], how) + np.pi**2 * np.sin(np.pi * x[1:-1]))
    assert error.max() < {"difference": 3e-4, "spline": 1e-6, "spectral": 1e-9}[how] * np.pi**2


def test_files_are_differentiated_as_well_as_they_allow() -> None:
    """A clean state by its sine series, to 1e-9; one that is cut off, or noisy, by differences."""
    x = np.linspace(-8, 8, 401)
    wave = np.exp(-(x**2) / 2)
    assert derivative_for(wave) == "spectral"
    error = second_derivative(wave, x[1] - x[0], derivative_for(wave)) - ((x**2 - 1) * wave)[1:-1]
    assert np.abs(error).max() < 1e-9
    assert derivative_for(wave[100:-100]) == "difference"  # |ψ| of 3e-4 at the ends
    noisy = wave * (1 + 1e-4 * np.random.default_rng(0).standard_normal(len(x)))
    assert derivative_for(noisy) == derivative_for(0 * wave) == "difference"


def test_the_potential_s_own_error_bounds_that_of_the_energy() -> None:
    """|Ē − E| ≤ √(variance of E(r)) where U is right at r₀; the error of sampling alone is less."""
    system = system_of("oscillator-0")
    wrong = quality(lambda x: system.potential(x) + 0.01 * x[:, 0] ** 2, system)
    assert wrong.energy - 0.5 == pytest.approx(0.005, abs=1e-4)
    assert wrong.error < 1e-3 < wrong.model == pytest.approx(0.01 * 0.5**0.5, rel=0.05)
    even = quality(lambda x: system.potential(x) + 0.03 * x[:, 0] ** 2, system).uniform
    assert even == pytest.approx(0.5 + 0.03 * 25 / 3, rel=0.02)  # Eq. 10: of the box, not of |ψ|²


def test_the_line_that_is_drawn_is_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {}
    monkeypatch.setattr(report, "potential_figure", lambda *a: drawn.update(wave=a[1], names=a[-1]))
    for name, system in SYSTEMS.items():
        potential = Potential(PaperField(system.dimensions), 0.0, FinderConfig(name), {})
        report._figure(Found(potential, [], None, 0.0), system)
        assert np.abs(drawn["wave"]).max() > 0.1
    assert drawn["names"][0] == "x"


def test_files(tmp_path: Path) -> None:
    x = np.linspace(-5, 5, 201)
    wave = np.exp(-(x**2) / 2)
    np.save(tmp_path / "a.npy", np.stack([x, wave], 1))
    (tmp_path / "b.csv").write_text(
        "x,psi,V\n" + "\n".join(f"{a},{b},{a * a / 2}" for a, b in zip(x, wave, strict=True))
    )
    (tmp_path / "c.txt").write_text(
        "# a comment\n" + "\n".join(f"{a} {b}" for a, b in zip(x, wave, strict=True))
    )
    for name in ("a.npy", "b.csv", "c.txt"):
        read = read_state(tmp_path / name)
        assert np.array_equal(read[0], x) and np.allclose(read[1], wave)
        assert (read[2] is not None) == (name == "b.csv")
    (tmp_path / "d.txt").write_text("1 2 3 4\n")
    for bad in ("d.txt", "missing.txt"):
        with pytest.raises(InvalidInput):
            read_state(tmp_path / bad)
    np.save(tmp_path / "e.npy", np.array([{}], dtype=object))
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_state(tmp_path / "e.npy")


X = np.linspace(-1, 1, 51)


@pytest.mark.parametrize(
    ("x", "wave", "message"),
    [
        (X, 0 * X, "zero everywhere"),
        (X, X * np.nan, "no number"),
        (X**3, np.cos(X), "equally spaced"),
        (X[::-1], np.cos(X), "ascending"),
        (X[:5], X[:5], "at least 7"),
        (X, X[:-1], "shapes"),
    ],
)
def test_bad_states_are_refused(x: np.ndarray, wave: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        GridSystem.of("bad", x, wave)


@pytest.mark.parametrize(
    ("name", "pin", "message"),
    [
        ("oscillator-1", (0.0,), "lies on a node"),
        ("hydrogen-2s", (2.0, 0.0, 0.0), "lies on a node"),
        ("hydrogen-1s", (0.0, 0.0, 0.0), "no finite value"),
        ("oscillator-0", (30.0,), "beyond its reach"),
        ("oscillator-0", (0.0, 0.0), "2 coordinates"),
    ],
)
def test_pins_where_nothing_can_be_known(name: str, pin: tuple[float, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check(system_of(name), [pin])


def test_a_zero_wave_function_is_refused() -> None:
    zero = System("zero", 1, lambda x: 0 * x[:, 0], lambda x: 0 * x[:, 0], lambda x: x[:, 0], 0.0, (0.0,))
    with pytest.raises(InvalidInput, match="is zero"):
        find(FinderConfig("zero"), zero)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "guess"}, "unknown method"),
        ({"method": "mpnn", "field": "plain"}, "takes the paper field"),
        ({"field": "paper"}, "takes smooth fields"),
        ({"samples": 3}, "at least 32"),
        ({"temper": 2.0}, "between 0 and 1"),
        ({"rate": 0.0}, "positive"),
    ],
)
def test_bad_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        FinderConfig(**changes)
