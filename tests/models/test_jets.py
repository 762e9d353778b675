"""Derivatives of networks are exact, whatever the shape, and stay so through gradients and transforms."""

import itertools
from collections.abc import Callable, Iterator

import mpmath
import pytest
import torch
from foreign_networks import NETWORKS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacrev, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import prune

from qwell.errors import InvalidInput
from qwell.models.activations import ACTIVATIONS, Sin
from qwell.models.jets import METHODS, ORDERS, derivatives, hessian_vector, parameter_jacobian
from qwell.studies.derivative_times import double_backward

CHAINS = METHODS[:3]  # forms of chains
CURVES = [*ACTIVATIONS.values(), lambda: nn.GELU(approximate="tanh"), nn.Identity]


def perceptron(sizes: list[int], activations: list[int], seed: int, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for (a, b), curve in zip(itertools.pairwise(sizes), itertools.cycle(activations)):
        layers += [nn.Linear(a, b, bias=bias), CURVES[curve]()]
    return nn.Sequential(*layers[:-1]).double()


def reference(
    network: Callable[[Tensor], Tensor], x: Tensor, order: str, value: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    full = vmap(hessian(network))(x)
    diagonal = full.diagonal(dim1=-2, dim2=-1)
    second = {"hessian": full, "diagonal": diagonal, "laplacian": diagonal.sum(-1), "first": full[..., :0]}
    return network(x) if value is None else value, vmap(jacrev(network))(x), second[order]


def near(ours: Tensor, theirs: Tensor, relative: float = 1e-12) -> bool:
    return bool((ours - theirs).abs().max() <= relative * max(float(theirs.detach().abs().max()), 1e-3))


networks = st.builds(
    perceptron,
    st.tuples(
        st.integers(1, 16), st.lists(st.integers(1, 64), min_size=1, max_size=8), st.integers(1, 8)
    ).map(lambda t: [t[0], *t[1], t[2]]),
    st.lists(st.integers(0, len(CURVES) - 1), min_size=1, max_size=4),
    st.integers(0, 1000),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(networks, st.sampled_from(METHODS), st.sampled_from(ORDERS), st.integers(1, 5))
def test_derivatives_and_parameter_gradients_agree_with_torch(
    network: nn.Sequential, method: str, order: str, points: int
) -> None:
    x = torch.randn(points, network[0].in_features, dtype=torch.float64)
    ours, theirs = derivatives(network, x, order, method), reference(network, x, order)
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None]
    for a, b in pairs:
        assert a.shape == b.shape and near(a, b)
    parameters = list(network.parameters())
    weights = [torch.randn_like(b) for _, b in pairs]
    gradients = [
        torch.autograd.grad(
            sum((w * t + w * t * t).sum() for w, t in zip(weights, side, strict=True)),
            parameters,
            allow_unused=True,
            materialize_grads=True,
        )
        for side in zip(*pairs, strict=True)
    ]
    scale = max(float(g.abs().max()) for g in gradients[1])
    for a, b in zip(*gradients, strict=True):
        assert float((a - b).abs().max()) <= 1e-12 * max(scale, 1e-3)


@pytest.mark.parametrize("batch", [1, 500])
@pytest.mark.parametrize("inputs", [1, 2, 4, 12])
@pytest.mark.parametrize("order", ORDERS[1:])
def test_both_forms_agree(inputs: int, batch: int, order: str) -> None:
    network = perceptron([inputs, 7, 9, 3], [0], 1)
    x = torch.randn(batch, inputs, dtype=torch.float64)
    forms = [derivatives(network, x, order, method) for method in CHAINS]
    for form in forms[1:]:
        for a, b in zip(form, forms[0], strict=True):
            assert a is not None and b is not None and near(a, b)


def test_fifty_digits() -> None:
    network = perceptron([2, 5, 5, 1], [0, 1], 3)
    weights = [mpmath.matrix(layer.weight.tolist()) for layer in network if isinstance(layer, nn.Linear)]
    biases = [mpmath.matrix(layer.bias.tolist()) for layer in network if isinstance(layer, nn.Linear)]

    def exact(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
        y = weights[0] * mpmath.matrix([a, b]) + biases[0]
        y = y.apply(mpmath.tanh)
        y = (weights[1] * y + biases[1]).apply(lambda z: 1 / (1 + mpmath.exp(-z)))
        return (weights[2] * y + biases[2])[0]

    x = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    with mpmath.workdps(50):
        point = tuple(mpmath.mpf(v) for v in x[0].tolist())
        first = [mpmath.diff(exact, point, n) for n in ((1, 0), (0, 1))]
        second = [mpmath.diff(exact, point, n) for n in ((2, 0), (1, 1), (0, 2))]
    for method in CHAINS[1:]:
        jet = derivatives(network, x, "hessian", method)
        assert jet.second is not None
        assert jet.first[0, 0].tolist() == pytest.approx([float(v) for v in first], rel=1e-13)
        ours = jet.second[0, 0][[0, 0, 1], [0, 1, 1]].tolist()
        assert ours == pytest.approx([float(v) for v in second], rel=1e-13)


@given(networks, st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_parameter_jacobian_and_hessian_times_vector(network: nn.Sequential, points: int) -> None:
    x = torch.randn(points, network[0].in_features, dtype=torch.float64)
    v = torch.randn_like(x)
    full = vmap(hessian(network))(x)
    assert near(hessian_vector(network, x, v), torch.einsum("zkab,zb->zka", full, v))
    named = dict(network.named_parameters())
    per = vmap(jacrev(lambda p, q: functional_call(network, p, (q,))), in_dims=(None, 0))(named, x)
    theirs = torch.cat([per[name].flatten(2) for name in named], -1)
    assert near(parameter_jacobian(network, x), theirs)


def test_a_layer_used_twice_adds_up_in_the_jacobian() -> None:
    shared = nn.Linear(3, 3).double()
    network = nn.Sequential(shared, nn.Tanh(), nn.Sequential(shared, Sin()))
    x = torch.randn(4, 3, dtype=torch.float64)
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(network(x)[i, k], network.parameters())])
        for i in range(4)
        for k in range(3)
    ]
    assert near(parameter_jacobian(network, x), torch.stack(rows).view(4, 3, -1))


@pytest.mark.parametrize("method", METHODS)
def test_transforms_of_torch_apply(method: str) -> None:
    network = perceptron([3, 8, 1], [0], 0)
    x = torch.randn(5, 3, dtype=torch.float64)
    named = dict(network.named_parameters())

    def loss(p: dict[str, Tensor], q: Tensor) -> Tensor:
        return derivatives(network, q, "laplacian", method, p).second.sum()  # type: ignore[union-attr]

    per = vmap(grad(loss), in_dims=(None, 0))(named, x)
    for i in range(5):
        one = torch.autograd.grad(loss(named, x[i]), list(named.values()), allow_unused=True)
        for (name, _), g in zip(named.items(), one, strict=True):
            assert near(per[name][i], torch.zeros_like(per[name][i]) if g is None else g)
    third = vmap(grad(lambda q: loss(named, q)))(x)  # differentiable with respect to inputs
    h = 1e-5
    for a in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[a] = h
        slope = (loss(named, x[0] + step) - loss(named, x[0] - step)) / (2 * h)
        assert float(third[0, a].detach()) == pytest.approx(float(slope.detach()), abs=1e-8)


@pytest.mark.usefixtures("unchecked")  # torch cannot follow what checks shapes
@pytest.mark.parametrize("method", CHAINS)
def test_derivatives_compile_into_one_graph(method: str) -> None:
    network = perceptron([3, 8, 1], [0], 0)
    x = torch.randn(5, 3, dtype=torch.float64)
    compiled = torch.compile(
        lambda q: derivatives(network, q, "hessian", method), backend="aot_eager", fullgraph=True
    )
    assert near(compiled(x).second, derivatives(network, x, "hessian", method).second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3,), (2, 4, 3), (0, 3)])
def test_batches_of_any_shape_and_kind(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    network = perceptron([3, 6, 2], [2], 0).to(dtype)
    x = torch.randn(shape, dtype=dtype)
    for method in METHODS:
        jet = derivatives(network, x, "hessian", method)
        assert jet.second is not None and jet.second.dtype == dtype
        assert jet.second.shape == (*shape[:-1], 2, 3, 3) and jet.first.shape == (*shape[:-1], 2, 3)


def test_softplus_where_torch_calls_it_linear() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Softplus(beta=3.0, threshold=5.0)).double()
    nn.init.ones_(network[0].weight)
    nn.init.zeros_(network[0].bias)
    x = torch.tensor([[-2.0], [1.6], [1.7]], dtype=torch.float64)  # the line begins at 5/3
    jet = derivatives(network, x, "diagonal")
    assert near(jet.first, vmap(jacrev(network))(x))
    assert jet.second is not None and jet.second[2] == 0 and jet.second[1] > 0


def test_affine_networks_have_none() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    for method in METHODS:
        jet = derivatives(network, x, "hessian", method)
        assert near(jet.first[0], network[1].weight @ network[0].weight)
        assert jet.second is not None and not jet.second.any()


class Strange(nn.Tanh):
    def forward(self, z: Tensor) -> Tensor:
        return super().forward(2 * z)


def hooked(network: nn.Sequential) -> nn.Module:
    network[0].register_forward_hook(lambda module, given, made: 2 * made)
    return network


@pytest.fixture
def exact_attention() -> Iterator[None]:
    """The kernel of attention that torch can differentiate twice."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.usefixtures("exact_attention")
@pytest.mark.parametrize("name", NETWORKS)
def test_any_module_is_as_exact_as_torch(name: str) -> None:
    """Ten architectures that are no chains, all orders."""
    torch.manual_seed(1)
    network = NETWORKS[name][0]().double().eval()
    x = torch.randn(3, NETWORKS[name][1], dtype=torch.float64)
    value, jacobian, full = reference(lambda p: network(p[None])[0], x, "hessian", network(x))
    diagonal = full.diagonal(dim1=-2, dim2=-1)
    seconds = {"hessian": full, "diagonal": diagonal, "laplacian": diagonal.sum(-1)}
    for order, second in seconds.items():
        jet = derivatives(network, x, order)
        assert jet.second is not None
        assert near(jet.value, value) and near(jet.first, jacobian) and near(jet.second, second), order
    assert near(derivatives(network, x, "first").first, jacobian)


@pytest.mark.usefixtures("exact_attention")
@pytest.mark.parametrize("name", NETWORKS)
def test_parameter_gradients_of_any_module(name: str) -> None:
    """By differences of double backward's Laplacian: torch's own third derivatives of LayerNorm are wrong."""
    torch.manual_seed(1)
    network = NETWORKS[name][0]().double().eval()
    x = torch.randn(2, NETWORKS[name][1], dtype=torch.float64)
    parameters = list(network.parameters())
    total = derivatives(network, x, "laplacian").second
    assert total is not None
    gradients = torch.autograd.grad((total**2).sum(), parameters, allow_unused=True, materialize_grads=True)

    def exact() -> float:
        with torch.enable_grad():
            return float((double_backward(network, x, "laplacian")[2] ** 2).sum().detach())

    direction = [torch.randn_like(p) for p in parameters]
    sides = []
    with torch.no_grad():
        for step in (1e-5, -2e-5):
            for p, d in zip(parameters, direction, strict=True):
                p.add_(step * d)
            sides.append(exact())
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
    assert (sides[0] - sides[1]) / 2e-5 == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_a_forward_of_one_s_own_is_not_overlooked() -> None:
    """A subclass, and a method put in place of forward: not the layer that they are made from."""
    x = torch.randn(4, 2, dtype=torch.float64)
    strange = nn.Sequential(nn.Linear(2, 3), Strange()).double()
    replaced = nn.Sequential(nn.Linear(2, 3), nn.Tanh()).double()
    replaced[1].forward = lambda z: torch.tanh(2 * z)  # type: ignore[method-assign]
    for network in (strange, replaced):
        assert near(derivatives(network, x, "hessian").second, vmap(hessian(network))(x))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["residual", "chain"])
def test_chunks_change_nothing(order: str, name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS["residual"][0]().double() if name == "residual" else perceptron([3, 5, 2], [0], 0)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    sides = []
    for chunk in (None, 4):
        jet = derivatives(network, x, order, chunk=chunk)
        parts = [t for t in jet if t is not None]
        gradient = torch.autograd.grad(sum((t**2).sum() for t in parts), list(network.parameters()))
        sides.append([*parts, *gradient])
    assert all(near(a, b) for a, b in zip(*sides, strict=True))
    with pytest.raises(InvalidInput, match="at least 1 point"):
        derivatives(network, x, order, chunk=0)


class Mixing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x - x.mean(dim=0))


def test_networks_that_mix_points_are_refused() -> None:
    with pytest.raises(InvalidInput, match="mixes points"):
        derivatives(Mixing(), torch.randn(4, 2, dtype=torch.float64))


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_network_is_refused_with_the_remedy() -> None:
    x = torch.randn(4, 2, dtype=torch.float64)
    network = nn.Sequential(nn.Linear(2, 3)).double()
    for asked, message in (
        ((torch.sin, x), "give a torch.nn.Module"),
        ((network, x.numpy()), "torch.as_tensor"),
        ((network, x, "first", "auto", {}), "parameters lack 0.weight, 0.bias"),
        (
            (NETWORKS["residual"][0]().double(), x[:, :1].expand(4, 3), "first", "recursion"),
            "no place in a chain",
        ),
    ):
        with pytest.raises(InvalidInput, match=message):
            derivatives(*asked)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU()), "ReLU has no closed second derivative"),
        (nn.Sequential(nn.Conv1d(2, 3, 1)), "fails at points of shape"),
        (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), r"call network.eval\(\)"),
        (nn.Sequential(nn.Linear(2, 3), nn.Dropout()), r"call network.eval\(\)"),
        (nn.Sequential(nn.Linear(2, 3), nn.SiLU(inplace=True), nn.GRU(3, 3)), "gru has no closed second"),
        (hooked(nn.Sequential(nn.Linear(2, 3), nn.Tanh())), "0 has hooks, which closed forms do not call"),
        (prune.l1_unstructured(nn.Linear(2, 3), "weight", 0.5), "is pruned by a hook"),
        (nn.Sequential(nn.Linear(3, 3)), "2 coordinates, the network takes 3"),
        (nn.Sequential(nn.Linear(2, 3)).double(), "float32, weights torch.float64"),
    ],
)
def test_what_has_no_closed_form_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        derivatives(network, torch.zeros(1, 2))


def test_words_are_checked() -> None:
    network = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(InvalidInput, match="unknown order 'third'"):
        derivatives(network, torch.zeros(1, 2), "third")
    with pytest.raises(InvalidInput, match="unknown method 'taylor'"):
        derivatives(network, torch.zeros(1, 2), method="taylor")


@pytest.mark.usefixtures("unchecked")
def test_vectors_of_another_shape_are_refused() -> None:
    network = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(InvalidInput, match="shape"):
        hessian_vector(network, torch.zeros(1, 2), torch.zeros(2))


class Normed(torch.nn.Module):
    """A normalisation between smooth layers."""

    def __init__(self, norm: torch.nn.Module) -> None:
        super().__init__()
        self.layer, self.norm = torch.nn.Linear(3, 4), norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layer(x)).sin().sum(1, keepdim=True)


@pytest.mark.parametrize("norm", [torch.nn.LayerNorm(4), torch.nn.GroupNorm(2, 4), torch.nn.BatchNorm1d(4)])
def test_gradients_of_a_hessian_through_normalisations(norm: torch.nn.Module) -> None:
    """Against differences: torch 2.13 differentiates layer_norm three times wrongly."""
    torch.manual_seed(0)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    network, x = Normed(norm).double().eval(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(derivatives(network, x, "hessian").second.sum(), x)
    step = torch.zeros_like(x)
    step[1, 2] = 1e-5
    up, down = (derivatives(network, (x + s).detach(), "hessian").second.sum() for s in (step, -step))
    assert float(slope[1, 2]) == pytest.approx(float((up - down).detach()) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_hessians_without_gradients_are_those_with(mode: type) -> None:
    """Also of points that require gradients, of every network."""
    for make, inputs in NETWORKS.values():
        torch.manual_seed(0)
        network, x = make().double().eval(), torch.randn(4, inputs, dtype=torch.float64, requires_grad=True)
        wanted = derivatives(network, x, "hessian").second.detach()
        with mode():
            found = derivatives(network, x, "hessian").second
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
