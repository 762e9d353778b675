"""Variational states: the principle itself, derivatives of trial functions, minimisers, and Monte Carlo."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from qwell.errors import CheckpointError, InvalidInput
from qwell.physics.elements import eigenstates
from qwell.studies.variational.config import OSCILLATORS, SampledConfig, VariationalConfig
from qwell.studies.variational.minimise import Functional, _equations, adam, lbfgs, linear
from qwell.studies.variational.potentials import WELLS, well_of
from qwell.studies.variational.sampled import local_energy, problem_of, solve_sampled
from qwell.studies.variational.states import load_states, solve
from qwell.studies.variational.trial import Trial, legendre, rectangle
from qwell.train.runs import Run

QUICK = {"layers": (12, 12), "adam_steps": 200, "lbfgs_steps": 300, "linear_steps": 60}


def quiet(*_: object) -> None:
    pass


@pytest.mark.parametrize("well", [w for w in WELLS.values() if w.wave], ids=lambda w: w.name)
def test_closed_forms_solve_their_wells(well) -> None:
    a, b = well.region
    energy, x, wave = eigenstates(well, (a - 1, b + 1), 1)
    assert energy[0] == pytest.approx(well.energy, abs=1e-10)
    assert np.abs(wave[0] - well.wave(x)).max() < 1e-8


def test_energies_of_the_others() -> None:
    """The specification's, by an independent calculation."""
    for name, exact in (
        ("quartic", 0.5072562045),
        ("quartic-strong", 0.8037706512),
        ("exponential", 2.0600403486),
    ):
        well = WELLS[name]
        assert eigenstates(well, well.region, 1, well.kinks)[0][0] == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("kinks", [(), (0.3, -1.0)])
@pytest.mark.parametrize("walls", [True, False])
def test_derivatives_of_a_trial_function(kinks: tuple[float, ...], walls: bool) -> None:
    trial = Trial((-2, 3), (6, 5), kinks, walls, seed=1)
    x = torch.tensor([-1.7, -0.2, 0.9, 2.5], dtype=torch.float64, requires_grad=True)
    wave = trial.waves(x, second=True)
    (slope,) = torch.autograd.grad(trial(x).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(wave.value, trial(x))
    torch.testing.assert_close(wave.slope, slope, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(wave.bend, bend, rtol=1e-11, atol=1e-12)
    j, dj = trial.jacobian(x.detach())
    parameters = list(trial.parameters())
    for i in range(len(x)):
        for row, of in ((j[i], wave.value[i]), (dj[i], wave.slope[i])):
            grads = torch.autograd.grad(
                of, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            torch.testing.assert_close(row, torch.cat([g.flatten() for g in grads]), rtol=1e-11, atol=1e-12)


def test_rules_integrate() -> None:
    rule = legendre((-1, 2), 60, (0.3,))
    assert float((rule.w * (rule.x - 0.3).abs() ** 3).sum()) == pytest.approx(
        (1.3**4 + 1.7**4) / 4, rel=1e-13
    )
    rough = rectangle((-1, 2), 10_000)
    assert float((rough.w * rough.x**2).sum()) == pytest.approx(3, abs=2e-3)


def test_both_forms_of_the_functional_agree_with_walls_and_not_without() -> None:
    well = WELLS["harmonic"]
    rule = legendre(well.region, 400)
    v = torch.from_numpy(well(rule.x.numpy()))
    for walls, same in ((True, True), (False, False)):
        trial = Trial(well.region, (8, 8), walls=walls, seed=2)
        one, other = (float(Functional(rule, v, form=f)(trial).detach()) for f in ("gradient", "laplacian"))
        assert (abs(one - other) < 1e-9 * abs(one)) == same


def test_energy_is_never_below_the_exact_one() -> None:
    for seed in range(5):
        for name, exact in (("harmonic", 0.5), ("morse", WELLS["morse"].energy)):
            well = WELLS[name]
            rule = legendre(well.region, 400)
            trial = Trial(well.region, (10, 10), seed=seed)
            energy = Functional(rule, torch.from_numpy(well(rule.x.numpy())))
            adam(energy, trial, 20, 1e-2, quiet)
            assert float(energy(trial).detach()) > exact


@pytest.mark.parametrize("wide", [False, True])
def test_the_linear_step_is_newtons_near_the_minimum(wide: bool) -> None:
    """Each descends, and both spaces of solution give the same step."""
    well = WELLS["harmonic"]
    rule = legendre(well.region, 40 if wide else 400)
    energy = Functional(rule, torch.from_numpy(well(rule.x.numpy())))
    trial = Trial(well.region, (12, 12), seed=0)
    adam(energy, trial, 200, 1e-2, quiet)
    seen = [float(energy(trial).detach())]
    linear(energy, trial, 25, lambda m, s, e: seen.append(e))
    assert len(seen) > 20
    assert all(b <= a + 2e-13 for a, b in itertools.pairwise(seen))
    assert seen[-1] - 0.5 < 0.1 * (seen[0] - 0.5) or wide


def test_the_equations_of_the_linear_method() -> None:
    """BᵀDr is half the gradient of Ē, and changes along φ itself are left out."""
    well = WELLS["quartic"]
    rule = legendre(well.region, 200)
    energy = Functional(rule, torch.from_numpy(well(rule.x.numpy())))
    trial = Trial(well.region, (7, 5), seed=3)
    value = energy(trial)
    gradient = torch.autograd.grad(value, list(trial.parameters()))
    with torch.no_grad():
        rows, weights, residual = _equations(energy, trial, value.detach())
    half = torch.cat([g.reshape(-1) for g in gradient]) / 2
    torch.testing.assert_close(rows.mT @ (weights * residual), half, rtol=1e-9, atol=1e-11)
    q = len(rule.x)
    along = (rule.w * residual[q:]) @ rows[q:]
    assert float(along.abs().max()) < 1e-11 * float(rows[q:].abs().max())


def test_lbfgs_descends() -> None:
    well = WELLS["quartic"]
    rule = legendre(well.region, 200)
    energy = Functional(rule, torch.from_numpy(well(rule.x.numpy())))
    trial = Trial(well.region, (8, 8), seed=0)
    adam(energy, trial, 100, 1e-2, quiet)
    before = float(energy(trial).detach())
    lbfgs(energy, trial, 200, quiet)
    assert 0.50725 < float(energy(trial).detach()) < before


WIDE = np.linspace(-3.8, 3.8, 2001)


@pytest.mark.slow
def test_ground_and_excited_states(tmp_path: Path) -> None:
    config = VariationalConfig("quartic-strong", levels=2, **{**QUICK, "linear_steps": 150})
    exact, x, psi = eigenstates(WELLS["quartic-strong"], (-5, 5), 4)
    found = solve(config, quiet, exact[2:])
    psi = psi[:2]
    for k, level in enumerate(found.levels):
        assert -1e-10 < level.energy - exact[k] < 1e-4
        assert level.norm == pytest.approx(1, abs=1e-10)
        assert level.variance < 0.05 and level.edge < 1e-6
    both = found(WIDE)
    assert abs(np.trapezoid(both[0] * both[1], WIDE)) < 1e-12  # of different parity
    assert all(level.bound < exact[k] for k, level in enumerate(found.levels))
    inside = np.abs(x) < 3
    assert np.abs(np.abs(found(x[inside])) - np.abs(psi[:, inside])).max() < 0.02
    run = Run.create(tmp_path / "run", {"command": "variational", "variational": config.__dict__})
    found.save(run)
    again = load_states(run.path)
    assert again.levels == found.levels and np.array_equal(again(x[inside]), found(x[inside]))
    (run.model / "state-1.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="damaged"):
        load_states(run.path)


def test_the_papers_set_up_has_no_lower_bound() -> None:
    """Free ends and ∫φφ'': the energy of e^{6x}, for one, is far below every eigenvalue."""
    config = VariationalConfig.paper("harmonic")
    assert config.well.region == (-4, 4) and not config.walls and config.form == "laplacian"
    rule = rectangle(config.well.region, config.points)

    class Steep(Trial):
        def waves(self, x, second=False):
            e = torch.exp(6 * x)
            return type(super().waves(x, second))(e, 6 * e, 36 * e)

    steep = Steep(config.well.region, (3,))
    energy = Functional(rule, torch.from_numpy(config.well(rule.x.numpy())), form="laplacian")
    assert float(energy(steep)) < -9


@pytest.mark.parametrize("name", OSCILLATORS)
def test_oscillators_by_monte_carlo(name: str) -> None:
    problem = problem_of(name)
    state = solve_sampled(problem, SampledConfig(layers=(16, 16), steps=60, walkers=300, sweeps=60))
    assert problem.energy is not None
    assert abs(state.energy - problem.energy) < max(4 * state.error, 1e-8)
    assert state.error < 3e-4 and state.samples > 1000
    assert state.history[-1] < state.history[0] + 0.01


def test_local_energy_of_an_exact_state_is_constant() -> None:
    problem = problem_of("oscillator-3d")
    network = torch.nn.Sequential(torch.nn.Linear(3, 1)).double()
    for p in network.parameters():
        torch.nn.init.zeros_(p)
    values = local_energy(network, problem, torch.randn(20, 3, dtype=torch.float64))
    torch.testing.assert_close(values, torch.full((20,), 1.5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"potential": "y**2"}, "'y' is not allowed"),
        ({"potential": "x**2"}, "needs a region"),
        ({"region": (3.0, -3.0)}, "the smaller first"),
        ({"kinks": (9.0,)}, "inside the region"),
        ({"layers": (0,)}, "widths"),
        ({"optimizer": "sgd"}, "unknown optimizer"),
        ({"points": 3}, "at least 20"),
        ({"rate": float("nan")}, "positive"),
        ({"dtype": "float32"}, "needs the gradient form and float64"),
    ],
)
def test_bad_input_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        VariationalConfig(**changes)


def test_potentials_that_are_not_finite() -> None:
    with pytest.raises(InvalidInput, match="not finite at x = 0"):
        well_of("1/x", (-1, 1))(np.array([-1.0, 0.0]))
    with pytest.raises(InvalidInput, match="not finite"):
        solve_sampled(problem_of("1/(x-x)", 2), SampledConfig(steps=1))
    with pytest.raises(InvalidInput, match="2 and 3"):
        problem_of("x**2", 4)
