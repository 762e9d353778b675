"""SOAP: what it is built to do, and that nothing of it is lost when a training is continued."""

import torch
from torch import Tensor, nn

from qwell.train.soap import LARGEST, SOAP

torch.manual_seed(0)
# square, so that no direction is without a gradient, whose basis would be a matter of rounding
INPUT, TARGET = torch.randn(40, 7, dtype=torch.float64), torch.randn(40, 7, dtype=torch.float64)
SCALES = torch.logspace(0, -2, 7, dtype=torch.float64)


def descent(inputs: Tensor, start: Tensor, updates: int = 60, every: int = 5) -> list[Tensor]:
    """Weights W of ⟨(x W − y)²⟩ after each update."""
    weight = nn.Parameter(start.clone())
    optimizer = SOAP([weight], lr=0.02, every=every)
    path = []
    for _ in range(updates):
        optimizer.zero_grad()
        (inputs @ weight - TARGET).square().mean().backward()
        optimizer.step()
        path.append(weight.detach().clone())
    return path


def test_it_does_not_matter_in_which_basis_a_problem_is_written() -> None:
    """Turning the inputs turns the weights, at every update: what Adam cannot do, and the point of it."""
    torch.manual_seed(1)
    start = torch.randn(7, 7, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))[0]
    plain, turned = descent(INPUT * SCALES, start), descent(INPUT * SCALES @ turn, turn.T @ start)
    for here, there in zip(plain, turned, strict=True):
        torch.testing.assert_close(turn @ there, here, rtol=1e-5, atol=1e-6)
    adam = [start.clone().requires_grad_(), (turn.T @ start).requires_grad_()]
    for weight, inputs in zip(adam, (INPUT * SCALES, INPUT * SCALES @ turn), strict=True):
        optimizer = torch.optim.Adam([weight], lr=0.02)
        (inputs @ weight - TARGET).square().mean().backward()
        optimizer.step()
    assert not torch.allclose(turn @ adam[1], adam[0], atol=1e-3)


def test_it_is_adam_where_nothing_can_be_turned() -> None:
    """Vectors, and from the second gradient on: the first only begins the averages."""
    start, gradients = torch.randn(6), torch.randn(9, 6)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    soap = SOAP([ours], lr=0.1, betas=(0.9, 0.99))
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99))
    ours.grad = torch.full((6,), 1e3)
    soap.step()
    assert torch.equal(ours, start)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        soap.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_a_bad_condition_costs_fewer_updates_than_adam() -> None:
    """A regression on a hundred directions of very different size, none along an axis."""
    generator = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(100, 100, generator=generator))[0]
    inputs = torch.randn(500, 100, generator=generator) * torch.logspace(0, -2, 100) @ turn
    target = inputs @ torch.linalg.solve(turn, torch.randn(100, 8, generator=generator) / 100)
    loss: dict[str, float] = {}
    for name in ("soap", "adam"):
        weight = nn.Parameter(torch.zeros(100, 8))
        optimizer = SOAP([weight], 3e-3) if name == "soap" else torch.optim.Adam([weight], 3e-3)
        for _ in range(300):
            optimizer.zero_grad()
            error = (inputs @ weight - target).square().mean()
            error.backward()
            optimizer.step()
        loss[name] = error.item()
    assert loss["soap"] < 0.5 * loss["adam"]


def test_long_sides_are_left_as_they_are() -> None:
    weight = nn.Parameter(torch.zeros(3, LARGEST + 1))
    assert set(SOAP.shapes(weight)) == {"step", "exp_avg", "exp_avg_sq", "left_covariance", "left_basis"}
    optimizer = SOAP([weight], lr=0.1)
    for _ in range(3):
        weight.grad = torch.randn_like(weight)
        optimizer.step()
    assert {name: value.shape for name, value in optimizer.state[weight].items()} == SOAP.shapes(weight)
    assert weight.abs().max() > 0.1


def test_a_gradient_that_is_no_number_is_no_error_here() -> None:
    """It has no eigenvectors; that its training diverges is seen by the loss, in the loop."""
    weight = nn.Parameter(torch.ones(3, 4))
    optimizer = SOAP([weight], lr=0.1, every=2)
    for _ in range(4):
        weight.grad = torch.full((3, 4), torch.nan)
        optimizer.step()
    assert weight.isnan().all()
