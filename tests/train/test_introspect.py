"""The introspective learner: planted laws are recognised, wrong ones detected, every stage does its part."""

import math

import numpy as np
import pytest
import torch

from qwell.datagen.recipes.densities import DensitiesRecipe
from qwell.errors import InvalidInput
from qwell.models.introspective import Distiller, GRUTranslator, TaylorCell, TaylorTranslator
from qwell.physics.cells import HIGHEST, cell_matrices
from qwell.studies.introspect.config import IntrospectConfig
from qwell.studies.introspect.density_form import DensityForm, conserved, density_form, intrinsic_dimension
from qwell.studies.introspect.distil import Distilled, distil, rebuilding_loss, verdict
from qwell.studies.introspect.law import GRID, born, examine
from qwell.studies.introspect.pipeline import _best
from qwell.studies.introspect.translate import hidden_states, metric, relative_error, train_translator

E, A = 4.0, 0.1
BASIS = np.array([[1.3, -0.4], [0.7, 0.9]])


def physics(rows: int = 200, **changes: float) -> dict[str, np.ndarray]:
    return DensitiesRecipe(**changes).rows("train", 0, rows)


def planted(basis: np.ndarray = BASIS, scale: float = 1.0) -> tuple[np.ndarray, ...]:
    """Perfect latents and updates of ψ'' = (scale·V − E)ψ in some basis, with the data of the true law."""
    rows = physics()
    states = np.stack([rows["psi"][:, 1:, 0], rows["slope"][:, 1:, 0]], -1).reshape(-1, 2)
    updates = basis @ cell_matrices(scale * GRID - E, A) @ np.linalg.inv(basis)
    return updates, states @ basis.T, states, rows["density"].ravel()


def test_the_true_law_passes_in_any_basis() -> None:
    for basis in (np.eye(2), BASIS, BASIS[::-1] * 7):
        law = examine(*planted(basis), E, A)
        assert law.failures(E) == []
        assert law.slope == pytest.approx(1, abs=1e-9) and law.energy == pytest.approx(4, abs=1e-9)
        assert law.born < 1e-9 and law.conjugation < 1e-9 and abs(law.bend) < 1e-9


def test_a_wrong_law_is_detected() -> None:
    """Potentials scaled by 1.1, another energy, a longer cell: each fails where it should."""
    law = examine(*planted(scale=1.1), E, A)
    assert law.slope == pytest.approx(1.1) and {"trace", "slope"} <= set(law.failures(E))
    other = examine(*planted(), 4.2, A)
    assert "trace" in other.failures(4.2) and "energy" in other.failures(4.2)
    assert {"trace", "slope", "energy"} <= set(examine(*planted(), E, 0.11).failures(E))


def test_latents_that_are_no_wave_function_fail() -> None:
    updates, z, states, density = planted()
    bent = np.stack([z[:, 0], z[:, 1] + 0.3 * z[:, 0] ** 2], 1)
    assert "r2_forward" in examine(updates, bent, states, density, E, A).failures(E)
    growing = examine(1.01 * updates, z, states, density, E, A)
    assert "determinant" in growing.failures(E)
    mixed = (states**2).sum(1)  # ψ² + ψ'²: of rank two
    assert born(z, mixed) > 0.05


def test_three_numbers_obey_a_linear_law_and_conserve_a_form() -> None:
    rows = physics(400)
    psi, slope = rows["psi"][..., 0], rows["slope"][..., 0]
    q = np.stack([psi**2, psi * slope, slope**2], -1)
    mixed = q @ np.random.default_rng(0).standard_normal((3, 5))  # hidden states, redundant
    halves = [(mixed[s, 0], mixed[s, 1:], rows["potential"][s]) for s in (slice(0, 300), slice(300, 400))]
    losses = {d: density_form(*halves[0], halves[1], halves[1], d, E, A) for d in (2, 3)}
    assert losses[3].loss < 1e-4 < 0.1 < losses[2].loss
    assert losses[3].trace < 0.02 and losses[3].invariant < 1e-2
    m = cell_matrices(GRID - E, A)
    a, b, c, d = m[:, 0, 0], m[:, 0, 1], m[:, 1, 0], m[:, 1, 1]
    symmetric = np.array(
        [[a * a, 2 * a * b, b * b], [a * c, a * d + b * c, b * d], [c * c, 2 * c * d, d * d]]
    ).transpose(2, 0, 1)
    assert conserved(symmetric) < 1e-10
    assert conserved(symmetric * 1.01) > 1e-3


def test_intrinsic_dimension_of_known_sets() -> None:
    rng = np.random.default_rng(0)
    for d in (1, 2, 3):
        points = rng.uniform(size=(2000, d)) @ rng.standard_normal((d, 6))
        assert intrinsic_dimension(points) == pytest.approx(d, rel=0.12)


def test_the_verdict_is_the_kink() -> None:
    assert verdict({1: 0.8, 2: 1e-3, 3: 9e-4, 4: 1e-3}) == 2
    assert verdict({1: 0.8, 2: 0.5, 3: 1e-4, 4: 9e-5}) == 3
    assert verdict({1: 1e-3, 2: 9e-4}) == 1
    assert verdict({1: 3.7, 2: 2.8e-5, 3: 3.3e-7, 4: 5.9e-7}) == 2  # a closed form at 3, a network at 2
    assert verdict({1: 0.9, 2: 1e-3, 3: 1e-9}) == 2
    assert verdict({1: math.inf, 2: 8.5, 3: 7.7e-7, 4: 1e-6}) == 3
    assert verdict({1: 1.9, 2: 1.4}) is None  # nothing learned, nothing said


def test_a_taylor_cell_multiplies_by_its_matrix() -> None:
    cell = TaylorCell(4)
    h, v = torch.randn(3, 4), torch.rand(3, 5)
    out = cell(h, v)
    for t in range(5):
        h = torch.einsum("bij,bj->bi", cell.matrix(v[:, t]), h)
        torch.testing.assert_close(out[:, t], h, rtol=1e-5, atol=1e-6)


def exact_translator() -> TaylorTranslator:
    """ρ, η, τ carried by the series of Sym²(M) to second order in V about 0."""
    model = TaylorTranslator(3)
    x = np.linspace(-HIGHEST, HIGHEST, 41)
    m = cell_matrices(x - E, A)
    a, b, c, d = m[:, 0, 0], m[:, 0, 1], m[:, 1, 0], m[:, 1, 1]
    symmetric = np.array(
        [[a * a, 2 * a * b, b * b], [a * c, a * d + b * c, b * d], [c * c, 2 * c * d, d * d]]
    ).transpose(2, 0, 1)
    fitted = np.polynomial.polynomial.polyfit(x / HIGHEST, symmetric.reshape(41, -1), 2).reshape(3, 3, 3)
    fitted[0] -= np.eye(3)
    with torch.no_grad():
        model.cell.weights.copy_(torch.from_numpy(fitted))
        model.first.copy_(torch.tensor([1.0, 0.0, 0.0]))
        model.out.weight.copy_(torch.tensor([[1.0, 0.0, 0.0]]))
    return model


def test_what_a_translator_can_be_is_exact_enough() -> None:
    rows = physics()
    v, rho = (torch.from_numpy(rows[k]).float() for k in ("potential", "density"))
    assert relative_error(exact_translator(), v, rho) < 1e-5


def test_the_metric_forgets_what_no_density_depends_on() -> None:
    """A hidden number that is never read has no weight, however large it is."""
    wide = TaylorTranslator(4)
    small = exact_translator()
    with torch.no_grad():
        wide.cell.weights.zero_()
        wide.cell.weights[:, :3, :3] = small.cell.weights
        wide.first.copy_(torch.tensor([1.0, 0.0, 0.0, 50.0]))
        wide.out.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    v = torch.from_numpy(physics()["potential"]).float()
    factor = metric(wide, v)
    assert float(factor[3].abs().max()) < 1e-4 * float(factor[:3].abs().max())
    y = hidden_states(wide, v)[1] @ factor
    assert float(y.var(dim=(0, 1)).sum()) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("kind", ["taylor", "gru"])
def test_translators_learn(kind: str) -> None:
    rows = physics(600, cells=12)
    v, rho = (torch.from_numpy(rows[k]).float() for k in ("potential", "density"))
    losses = []
    model = train_translator(kind, v, rho, 0, 150, lambda *row: losses.append(row[2]))
    assert relative_error(model, v, rho) < 0.2 * losses[0]


@pytest.mark.slow
def test_two_numbers_are_enough_and_one_is_not() -> None:
    v = torch.from_numpy(physics(800)["potential"]).float()[:, :20]
    model = exact_translator()
    factor = metric(model, v)
    first, states = (t @ factor for t in hidden_states(model, v))
    parts = [
        (first[s].detach(), states[s].detach(), v[s])
        for s in (slice(0, 600), slice(600, 700), slice(700, 800))
    ]
    found = {d: distil(*parts, d, 0, 500, 2, lambda *row: None) for d in (1, 2)}
    assert found[1].test > 30 * found[2].test
    assert verdict({d: r.validation for d, r in found.items()}) == 2
    assert rebuilding_loss(found[2].model, *parts[2]) == found[2].test


def test_what_grows_beyond_all_numbers_has_diverged() -> None:
    model = Distiller(3, 2)
    with torch.no_grad():
        model.cell.weights[0] += 50 * torch.eye(2)
    start, y, v = torch.ones(4, 3), torch.rand(4, 30, 3), torch.rand(4, 30)
    assert rebuilding_loss(model, start, y, v) == float("inf")


@pytest.mark.parametrize("decoder", ["free", "linear"])
def test_the_better_of_distiller_and_closed_form_counts(decoder: str) -> None:
    """The closed form is a special case of a distiller; the linear auto-encoder is judged by itself."""
    config = IntrospectConfig("a", "b", decoder=decoder)
    distilled = {d: [Distilled(Distiller(3, d), d, 0, 0.13, 0.13)] for d in (2, 3)}
    forms = {d: DensityForm(d, np.zeros((3, d, d)), 1.0, loss, 0.0, 0.0) for d, loss in ((2, 1.3), (3, 1e-5))}
    assert _best(config, distilled, forms) == {2: 0.13, 3: 1e-5 if decoder == "free" else 0.13}


def test_a_linear_auto_encoder_is_linear() -> None:
    model = Distiller(5, 3, plain=True)
    start, v = torch.randn(2, 5), torch.rand(2, 4)
    with torch.no_grad():
        zero = model(torch.zeros(2, 5), v)
        torch.testing.assert_close(model(3 * start, v) - zero, 3 * (model(start, v) - zero))


def test_a_distiller_begins_as_a_rotation() -> None:
    model = Distiller(5, 2, angle=0.1)
    with torch.no_grad():
        model.cell.weights[1:] = 0
        matrix = model.cell.matrix(torch.zeros(()))
    assert float(matrix[0, 1]) == pytest.approx(0.1, abs=0.05) and float(matrix[1, 0]) == pytest.approx(
        -0.1, abs=0.05
    )
    assert GRUTranslator()(torch.zeros(2, 7)).shape == (2, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"translator": "lstm"}, "unknown translator"),
        ({"dimensions": (0,)}, "1 to 8"),
        ({"seeds": 0}, "at least 1"),
    ],
)
def test_bad_settings(changes: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        IntrospectConfig("a", "b", **changes)
