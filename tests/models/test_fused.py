"""Laplacians and gradients by the compiled kernel are those of the closed forms in torch's operations."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacfwd, jvp, vmap

from qwell.models.chains import layers_of
from qwell.models.fields import perceptron
from qwell.models.fused import FEWEST, fusable
from qwell.models.jets import Jet, derivatives

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "Tanh": lambda: perceptron(3, (7, 10), 2, "Tanh"),
    "Sigmoid": lambda: perceptron(3, (7, 10), 2, "Sigmoid"),
    "SiLU": lambda: perceptron(3, (7, 10), 2, "SiLU"),
    "Sin": lambda: perceptron(3, (7, 10), 2, "Sin"),
    "one layer": lambda: perceptron(3, (5,)),
    "ends in a curve": lambda: nn.Sequential(
        nn.Linear(3, 9), nn.Tanh(), nn.Linear(9, 4), nn.Sigmoid()
    ).double(),
    "no bias, two maps in turn": lambda: nn.Sequential(
        nn.Linear(3, 6, bias=False), nn.Linear(6, 5), nn.SiLU(), nn.Linear(5, 1)
    ).double(),
    "affine": lambda: nn.Sequential(nn.Linear(3, 2)).double(),
}  # fmt: skip


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.7)
    return network


def points(count: int = 70, inputs: int = 3, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(count, inputs, dtype=torch.float64)


def near(a: object, b: object) -> None:
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_values_and_gradients_are_exact(name: str) -> None:
    """Of a sum over value, gradient and Laplacian with random coefficients, by parameters and points."""
    network, x = made(name), points().requires_grad_()
    assert fusable(layers_of(network), x)
    ours, theirs = derivatives(network, x, "laplacian"), derivatives(network, x, "laplacian", "recursion")
    near(tuple(ours), tuple(theirs))
    assert ours.second is not None and theirs.second is not None
    weights = [torch.randn_like(part) for part in theirs if part is not None]
    wanted = [x, *network.parameters()]
    found = [
        torch.autograd.grad(
            sum((w * part).sum() for w, part in zip(weights, jet, strict=True) if part is not None),
            wanted,
            allow_unused=True,
            materialize_grads=True,
        )
        for jet in (ours, theirs)
    ]
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-11)


def test_saturated_and_tiny_arguments_keep_their_digits() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Tanh()).double()
    with torch.no_grad():
        network[0].weight.fill_(1.0)
        network[0].bias.fill_(0.0)
        size = torch.logspace(-300, 2, 200, dtype=torch.float64)
        x = torch.cat([size, -size, torch.zeros(1)])[:, None]
        jet = derivatives(network, x, "laplacian")
    torch.testing.assert_close(jet.value, torch.tanh(x), rtol=2e-15, atol=0)
    near(jet.first[..., 0], 1 - torch.tanh(x) ** 2)


@pytest.mark.parametrize("order", ["laplacian", "diagonal", "hessian"])
def test_one_input_has_all_orders(order: str) -> None:
    network, x = perceptron(1, (8, 8), 2), points(40, 1)
    near(tuple(derivatives(network, x, order)), tuple(derivatives(network, x, order, "recursion")))


def test_points_in_any_arrangement() -> None:
    network, x = made("Tanh"), points(96).reshape(4, 24, 3)
    flat = derivatives(network, x.reshape(-1, 3), "laplacian")
    near(tuple(part.reshape(96, -1) for part in derivatives(network, x, "laplacian") if part is not None),
         tuple(part.reshape(96, -1) for part in flat if part is not None))  # fmt: skip
    near(
        tuple(derivatives(network, x.mT.contiguous().mT, "laplacian")),
        tuple(derivatives(network, x, "laplacian")),
    )


@pytest.mark.parametrize("what", ["few points", "float32", "softplus", "wide", "many inputs"])
def test_what_is_slower_or_unknown_stays_with_torch(what: str) -> None:
    network, x = made("Tanh"), points()
    if what == "few points":
        x = x[: FEWEST - 1]
    elif what == "float32":
        network, x = network.float(), x.float()
    elif what == "softplus":
        network = perceptron(3, (5,), 1, "Softplus")
    elif what == "wide":
        network = perceptron(3, (128,))
    else:
        network, x = perceptron(64, (10,)), points(70, 64)
    assert not fusable(layers_of(network), x)


def test_derivatives_of_gradients_and_transformations_of_torch_apply(unchecked: None) -> None:
    """Each is the same with `method="recursion"`, which is plain torch throughout."""
    network, x = made("Tanh"), points(40)
    named = dict(network.named_parameters())

    def total(method: str, p: dict[str, Tensor], at: Tensor) -> Tensor:
        jet: Jet = derivatives(network, at, "laplacian", method, p)
        assert jet.second is not None
        return (jet.value + jet.second).square().mean() + jet.first.square().mean()

    def twice(method: str) -> tuple[Tensor, ...]:
        at = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(total(method, named, at), at, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [at, *named.values()], allow_unused=True)

    def transformed(method: str) -> tuple[object, ...]:
        def of_points(at: Tensor) -> Tensor:
            return total(method, named, at)

        slope = grad(of_points)
        return (
            grad(lambda p: total(method, p, x))(named), vmap(of_points)(torch.stack([x, 2 * x])),
            vmap(slope)(torch.stack([x, 2 * x])), jvp(of_points, (x,), (x,))[1],
            jacfwd(lambda t: slope(t * x))(torch.ones(())),
        )  # fmt: skip

    torch.testing.assert_close(twice("auto"), twice("recursion"), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(transformed("auto"), transformed("recursion"), rtol=1e-10, atol=1e-12)
    near(functional_call(network, named, (x,)), derivatives(network, x, "laplacian", "auto", named).value)
