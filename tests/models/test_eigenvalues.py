"""The lowest eigenvalues of many symmetric matrices: what torch says, at close and equal levels, too."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from qwell.models.eigenvalues import lowest_eigenvalues
from qwell.models.registry import create_model
from qwell.physics.symmetric import lowest

MANY = 70  # more than stand side by side


def symmetric(*shape: int, seed: int = 0) -> Tensor:
    a = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (a + a.mT) / 2


def of_levels(levels: Tensor) -> Tensor:
    """Matrices with these eigenvalues (n,) and random eigenvectors."""
    q = torch.linalg.qr(symmetric(MANY, len(levels), len(levels)))[0]
    return (q * levels) @ q.mT


MATRICES: dict[str, Callable[[], Tensor]] = {
    "random": lambda: symmetric(MANY, 24, 24),
    "one row": lambda: symmetric(MANY, 1, 1),
    "two rows": lambda: symmetric(MANY, 2, 2),
    "pairs that nearly meet": lambda: of_levels(torch.arange(12).repeat(2) + 1e-9 * torch.randn(24).double()),
    "equal pairs": lambda: of_levels(torch.arange(12.0).double().repeat(2)),
    "three levels": lambda: of_levels(torch.tensor([-1.0, 0.0, 5.0]).double().repeat(8)),
    "graded": lambda: of_levels(10.0 ** torch.linspace(-12, 3, 24).double()),
    "of rank one": lambda: of_levels(torch.tensor([0.0] * 23 + [-1.0]).double()),
    "diagonal": lambda: torch.diag(torch.arange(24.0).double().flip(0)).expand(MANY, 24, 24),
    "zero": lambda: torch.zeros(MANY, 6, 6).double(),
    "tiny": lambda: 1e-30 * symmetric(MANY, 12, 12),
    "huge": lambda: 1e30 * symmetric(MANY, 12, 12),
    "split by next to nothing": lambda: torch.block_diag(
        symmetric(6, 6), 1e-20 * symmetric(6, 6, seed=1), torch.zeros(3, 3)
    ).expand(MANY, 15, 15),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MATRICES)
def test_eigenvectors_are_orthonormal_and_solve_their_equation(name: str, dtype: torch.dtype) -> None:
    a = MATRICES[name]().to(dtype).numpy()
    levels = min(10, a.shape[1])
    found = lowest(a, levels)
    assert found is not None and found[0].dtype == found[1].dtype == a.dtype
    values, vectors = (part.astype(float) for part in found)
    exact = np.linalg.eigvalsh(a.astype(float))
    rounding = 50 * np.finfo(a.dtype).eps
    size = np.abs(a).max().astype(float)
    assert np.abs(values - exact[:, :levels]).max() <= rounding * size
    assert np.abs(a @ vectors - vectors * values[:, None]).max() <= rounding * size
    assert np.abs(vectors.swapaxes(1, 2) @ vectors - np.eye(levels)).max() < rounding
    alone = lowest(a, levels, vectors=False)
    assert alone is not None and np.array_equal(alone[0], found[0])


def test_a_matrix_is_solved_as_it_is_in_any_company() -> None:
    a = symmetric(MANY, 12, 12).numpy()
    both, one = lowest(a, 5), lowest(a[3:4], 5)
    assert both is not None and one is not None
    assert np.array_equal(both[0][3:4], one[0]) and np.array_equal(both[1][3:4], one[1])


def test_the_upper_triangle_is_not_read() -> None:
    a = symmetric(MANY, 8, 8)
    torch.testing.assert_close(
        lowest_eigenvalues(a.tril().requires_grad_(), 3), torch.linalg.eigvalsh(a)[:, :3]
    )


@pytest.mark.parametrize("name", ["random", "pairs that nearly meet"])
def test_gradients_are_those_of_torch(name: str) -> None:
    """Of weights that differ from level to level, so that close pairs are told apart."""
    ours, theirs = (MATRICES[name]().requires_grad_() for _ in range(2))
    weights = torch.randn(MANY, 9, dtype=torch.float64)
    if name == "pairs that nearly meet":
        weights[:, 1::2] = weights[:, :8:2]  # the sum of a pair is smooth, one of the two is not
        weights[:, 8] = 0
    (lowest_eigenvalues(ours, 9) * weights).sum().backward()
    (torch.linalg.eigvalsh(theirs)[:, :9] * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-6 if "pairs" in name else 1e-11)


def test_the_gradient_of_a_sum_over_equal_levels_is_their_projector() -> None:
    """∂(λ_1 + … + λ_8)/∂A projects onto the space of the eightfold level."""
    a = MATRICES["three levels"]().requires_grad_()
    lowest_eigenvalues(a, 8).sum().backward()
    exact = (a.detach() @ a.detach() - 5 * a.detach()) / 6  # 1 at −1, 0 at 0 and 5
    torch.testing.assert_close(a.grad, exact, atol=1e-12, rtol=0)


def test_first_and_second_derivatives_are_those_of_differences() -> None:
    def function(m: Tensor) -> Tensor:
        return lowest_eigenvalues((m + m.mT) / 2, 3)

    a = of_levels(torch.arange(4.0).double()).requires_grad_()
    assert torch.autograd.gradcheck(function, a, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, a, fast_mode=True)


TRANSFORMED: dict[str, Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]] = {
    "vmap": torch.vmap,
    "jvp": lambda f: lambda m: torch.func.jvp(f, (m,), (m.flip(0),))[1],
    "grad": lambda f: torch.func.grad(lambda m: f(m).sum()),
    "vmap of grad": lambda f: torch.vmap(torch.func.grad(lambda m: f(m).sum())),
    "grad of grad": lambda f: torch.func.grad(
        lambda m: torch.func.grad(lambda p: f(p).sin().sum())(m).square().sum()
    ),
    "compiled": lambda f: torch.compile(f, fullgraph=True, backend="eager"),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_of_torch_apply(name: str, unchecked: None) -> None:
    a = symmetric(2, 1000, 4, 4)
    ours = TRANSFORMED[name](lambda m: lowest_eigenvalues(m, 2))(a)
    theirs = TRANSFORMED[name](lambda m: torch.linalg.eigvalsh(m)[..., :2])(a)
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_what_is_not_finite_is_refused_as_by_torch() -> None:
    a = symmetric(MANY, 6, 6)
    a[65, 2, 1] = torch.nan
    with pytest.raises(torch.linalg.LinAlgError, match="65"):
        lowest_eigenvalues(a.requires_grad_(), 3)


def test_hamiltonian_has_the_energies_and_gradients_of_its_matrix() -> None:
    """In float64, where rounding hides nothing; and densities by Hellmann and Feynman can be trained."""
    torch.manual_seed(0)
    model = create_model("hamiltonian").double()
    v = (torch.randn(MANY, 101, dtype=torch.float64) * 100).requires_grad_()
    values, vectors = torch.linalg.eigh(model.matrix(v.detach()))
    energy = model(v)
    torch.testing.assert_close(energy, 100 * values[:, :10], rtol=1e-11, atol=1e-9)
    (slope,) = torch.autograd.grad(energy[:, 0].sum(), v, create_graph=True)
    u = vectors[..., 0]
    kept, folded = u @ model.kept, model.folded
    bent = torch.einsum("bn,np,fp,bp->bf", u, model.kept, folded, v / 100)  # Gᵀu
    torch.testing.assert_close(slope, kept**2 - 2 * kept * (bent @ folded), rtol=1e-9, atol=1e-11)
    slope.square().sum().backward()
    assert model.kept.grad is not None and model.kept.grad.abs().max() > 0
