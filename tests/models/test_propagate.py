"""Exact motion in torch: closed forms, the other propagators, gradients, and what they cost."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qwell
from qwell.errors import InvalidInput
from qwell.models import propagate as module
from qwell.models.propagate import enough_substeps, propagate
from qwell.physics.barriers import Potential
from qwell.physics.drives import Drive, Term
from qwell.physics.packets import packet as gaussian
from qwell.physics.propagators.compositions import ORDERS, composition
from qwell.physics.propagators.driven import evolve
from qwell.physics.propagators.family import propagate as by_eigenstates
from qwell.physics.propagators.settings import HAMILTONIANS, Propagation
from qwell.physics.ring import Ring

RING = Ring(box=40.0, points=256)
X = torch.from_numpy(RING.x - RING.box / 2)
SMALL = Ring(box=6.0, points=8)
EACH_KIND = pytest.mark.parametrize("hamiltonian", HAMILTONIANS)


def packet(centre: float = 1.0, momentum: float = 0.5) -> Tensor:
    return torch.exp(-((X - centre) ** 2) / 2 + 1j * momentum * X).to(torch.complex128) * math.pi**-0.25


@EACH_KIND
@pytest.mark.parametrize("order", ORDERS)
def test_compositions_are_symmetric_and_complete(order: int, hamiltonian: str) -> None:
    one = composition(order, hamiltonian)
    for row in (one.kicks, one.drifts):
        assert row.sum() == pytest.approx(1, abs=1e-14) and (row == row[::-1]).all()
    three = one.repeated(3)
    assert three.kicks.sum() == pytest.approx(3) and three.times[-1] == pytest.approx(3)
    assert len(three.kicks) == 3 * len(one.drifts) + 1


@EACH_KIND
@pytest.mark.parametrize(("order", "steps"), [(2, 32), (4, 8), (6, 6)])
def test_the_error_falls_with_the_order(order: int, steps: int, hamiltonian: str) -> None:
    """In an anharmonic well under a field, against ten times as many steps of sixth order."""

    def well(times: Tensor) -> Tensor:
        return 0.05 * X**3 * torch.exp(-(X**2) / 20) + 0.4 * torch.sin(3 * times)[:, None] * X

    def at(steps: int, order: int) -> Tensor:
        return propagate(
            packet(), X**2 / 2, well, ring=RING, dt=2.0, substeps=steps, order=order, hamiltonian=hamiltonian
        )[-1]

    best = at(160, 6)
    errors = [float((at(n, order) - best).abs().max()) for n in (steps, 2 * steps)]
    assert errors[1] > 1e-12  # nothing said about rounding
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.5)


@EACH_KIND
def test_numpy_and_torch_agree(hamiltonian: str) -> None:
    """Both within 1e-10 of each other: products of short steps, and eigenstates of the whole matrix."""
    v = X**2 / 2 + 0.05 * X**3 * torch.exp(-(X**2) / 20)
    parts = by_eigenstates(
        packet().numpy(), v.numpy(), RING, Propagation("eigen", hamiltonian, dt=1.0, frames=4)
    )[0]
    ours = propagate(packet(), v, ring=RING, dt=1.0, frames=4, hamiltonian=hamiltonian)
    assert np.abs(ours.numpy() - (parts[..., 0] + 1j * parts[..., 1])).max() < 1e-10


def test_a_driven_oscillator_follows_its_closed_form() -> None:
    """x'' = −x + f cos t at resonance: ⟨x⟩ = x₀ cos t + p₀ sin t + (f/2) t sin t, for 50 units of time."""
    field = torch.tensor(0.1, dtype=torch.float64)
    frames = propagate(
        packet(), X**2 / 2, lambda t: -field * torch.cos(t)[:, None] * X, ring=RING, dt=1.0, frames=50,
        substeps=24,
    )  # fmt: skip
    times = torch.arange(51, dtype=torch.float64)
    position = (X * frames.abs() ** 2).sum(-1) * RING.dx
    expected = torch.cos(times) + 0.5 * torch.sin(times) + 0.05 * times * torch.sin(times)
    assert (position - expected).abs().max() < 1e-9
    assert ((frames.abs() ** 2).sum(-1) * RING.dx - 1).abs().max() < 1e-10


@pytest.mark.parametrize(
    ("hamiltonian", "method"),
    [("spectral", "split-operator-4"), pytest.param("lattice", "magnus", marks=pytest.mark.slow)],
)
def test_numpy_and_torch_agree_on_driven_motion(hamiltonian: str, method: str) -> None:
    """A drive of data sets, by its own propagators and as a function of torch, within 1e-10."""
    ring = Ring(40.0, 128)
    v = Potential("gaussian", {"height": -3.0, "width": 8.0}).on(ring)
    psi = gaussian(ring, "gaussian", 20.0, 1.5, 0.5)
    numbers = {"amplitude": 0.5, "frequency": 1.3, "envelope": "gaussian", "duration": 6.0}
    drive = Drive((Term("dipole", numbers),))
    how = Propagation(method, hamiltonian=hamiltonian, dt=0.25, frames=8, tolerance=1e-12)
    frames = evolve(psi[None], v[None], ring, how, [drive])[0][0]
    ours = propagate(
        torch.from_numpy(psi), torch.from_numpy(v),
        lambda times: torch.from_numpy(drive.on(ring, v, times.numpy()) - v),
        ring=ring, dt=0.25, frames=8, hamiltonian=hamiltonian, substeps=20,
    )  # fmt: skip
    assert np.abs(ours.numpy() - frames).max() < 1e-10


class Field(nn.Module):
    """−a sin(ωt) x."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x
        self.numbers = nn.Parameter(torch.tensor([0.7, 1.3], dtype=torch.float64))

    def forward(self, times: Tensor) -> Tensor:
        return -self.numbers[0] * torch.sin(self.numbers[1] * times)[:, None] * self.x


@pytest.mark.parametrize(("small", "together"), [(2**14, 2**17), (0, 50)])  # see the module
@EACH_KIND
def test_gradients_are_those_of_differences(
    hamiltonian: str, small: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER", together)
    monkeypatch.setattr(module, "SMALL", small)
    torch.manual_seed(0)
    psi = torch.randn(2, 8, dtype=torch.complex128, requires_grad=True)
    v = torch.randn(1, 8, dtype=torch.float64, requires_grad=True)
    field = Field(torch.from_numpy(SMALL.x - 3))

    def driven(psi: Tensor, v: Tensor, numbers: Tensor) -> Tensor:
        return propagate(
            psi, v, field, ring=SMALL, dt=0.3, frames=2, substeps=1, hamiltonian=hamiltonian, start=0.4
        )

    assert torch.autograd.gradcheck(driven, (psi, v, field.numbers), rtol=1e-7)

    def free(psi: Tensor, v: Tensor) -> Tensor:
        return propagate(psi, v, ring=SMALL, dt=0.3, frames=2, substeps=1, hamiltonian=hamiltonian)

    assert torch.autograd.gradcheck(free, (psi, v), rtol=1e-7)


def test_a_potential_of_each_and_a_drive_of_each() -> None:
    """Batches are what each of them is alone, gradients included."""
    torch.manual_seed(1)
    psi = torch.randn(2, 3, 8, dtype=torch.complex128)
    v = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    sizes = torch.randn(2, 1, dtype=torch.float64, requires_grad=True)
    x = torch.from_numpy(SMALL.x)

    def drive(times: Tensor) -> Tensor:
        return torch.cos(times)[:, None, None, None] * sizes[:, :, None] * x

    together = propagate(psi, v, drive, ring=SMALL, dt=0.5, substeps=3, parameters=[sizes])
    together.abs().square()[..., -1, :].matmul(x).sum().backward()
    slopes = v.grad, sizes.grad
    v.grad = sizes.grad = None
    for i in range(2):
        for j in range(3):
            alone = propagate(
                psi[i, j], v[j], lambda t, i=i: torch.cos(t)[:, None] * sizes[i] * x, ring=SMALL, dt=0.5,
                substeps=3, parameters=[sizes],
            )  # fmt: skip
            assert (alone - together[i, j]).abs().max() < 1e-13
            (alone.abs().square()[-1] @ x).backward()
    for alone_slope, slope in zip((v.grad, sizes.grad), slopes, strict=True):
        assert slope is not None and (alone_slope - slope).abs().max() < 1e-12


def test_memory_does_not_grow_with_steps() -> None:
    """What is kept for the way back is the frames, V and the drive's parameters, for 10 or 1,000 steps."""
    kept: dict[int, int] = {}
    field = Field(X)
    for steps in (10, 1000):
        sizes: list[int] = []

        def pack(t: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(t.numel() * t.element_size())
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            frames = propagate(packet(), X**2 / 2, field, ring=RING, dt=1.0, substeps=steps)
        kept[steps] = sum(sizes)
        frames.abs().square().sum().backward()
    assert kept[10] == kept[1000] == 2 * 256 * 16 + 256 * 8 + 2 * 8


def test_single_precision_stays_single() -> None:
    single = propagate(packet().to(torch.complex64), (X**2 / 2).float(), ring=RING, dt=1.0, substeps=4)
    double = propagate(packet(), X**2 / 2, ring=RING, dt=1.0, substeps=4)
    assert single.dtype == torch.complex64 and (single - double).abs().max() < 1e-5


def test_enough_steps_are_found_or_said_to_be_out_of_reach() -> None:
    def error(tolerance: float) -> float:
        frames = propagate(packet(), X**2 / 2, ring=RING, dt=3.0, frames=2, order=4, tolerance=tolerance)
        best = propagate(packet(), X**2 / 2, ring=RING, dt=3.0, frames=2, substeps=200)
        return float((frames - best).abs().square().sum(-1).max().sqrt()) * math.sqrt(RING.dx)

    for tolerance in (1e-3, 1e-6, 1e-9):
        assert error(tolerance) < tolerance
    with pytest.raises(InvalidInput, match="complex128"):
        enough_substeps(packet().to(torch.complex64), (X**2).float(), ring=RING, dt=3.0, tolerance=1e-9)


def test_what_does_not_fit_is_refused(unchecked: None) -> None:
    psi, v = packet(), X**2 / 2

    def refused(match: str, **changes: object) -> None:
        given = {"psi": psi, "potential": v, "ring": RING, "dt": 1.0, "substeps": 1} | changes
        with pytest.raises(InvalidInput, match=match):
            qwell.propagate(**given)

    refused("must be complex", psi=psi.real)
    refused("must be complex", potential=v + 0j)
    refused("expected", potential=v[:-1])
    refused("expected", potential=v.expand(2, -1))
    refused("expected", ring=SMALL)
    refused("order is 3", order=3)
    refused("spectral", hamiltonian="spectrl")
    refused("dt is -1", dt=-1.0)
    refused("frames is 0", frames=0)
    refused("substeps is 0", substeps=0)
    refused("tolerance is 0", substeps=None, tolerance=0.0)
    refused("no drive", parameters=[v])
    refused("the drive gives", drive=lambda t: t[:, None] * v[:-1])
    refused("the drive gives", drive=lambda t: v)


HOW: dict[str, Any] = {"ring": RING, "dt": 0.5, "frames": 2, "substeps": 4}


def test_drives_that_do_not_depend_on_their_parameters_have_no_slope() -> None:
    size = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    frames = propagate(packet(), X**2 / 2, lambda t: torch.cos(t)[:, None] * X, parameters=[size], **HOW)
    frames.abs().sum().backward()
    assert size.grad is not None and size.grad.item() == 0


def test_a_drive_may_be_built_on_numbers_made_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose graph is gone through once for every piece of a propagation; and one tensor need be no list."""
    monkeypatch.setattr(module, "TOGETHER", 4 * RING.points)

    def slope(before: bool) -> Tensor | None:
        size = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        squared = size**2 if before else None

        def pull(t: Tensor) -> Tensor:
            return -(size**2 if squared is None else squared) * torch.cos(t)[:, None] * X

        given: Any = size if before else [size]
        frames = propagate(packet(), X**2 / 2, pull, parameters=given, **HOW)
        (X * frames[-1].abs() ** 2).sum().backward()
        return size.grad

    found = slope(True), slope(False)
    assert found[0] == found[1] != 0


def test_gradients_that_would_be_lost_are_told(unchecked: None) -> None:
    size = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def pull(times: Tensor) -> Tensor:
        return -size * torch.cos(times)[:, None] * X

    with pytest.raises(InvalidInput, match="name them in parameters"):
        propagate(packet(), X**2 / 2, pull, **HOW)
    with torch.no_grad():
        propagate(packet(), X**2 / 2, pull, **HOW)
    with pytest.raises(InvalidInput, match="list of tensors"):
        propagate(packet(), X**2 / 2, pull, parameters=[0.3], **HOW)  # type: ignore[list-item]


def test_drives_and_potentials_of_wrong_shapes_and_types_are_told() -> None:
    for drive in (lambda t: torch.zeros(len(t), 3, 256), lambda t: torch.zeros(len(t), 1), lambda t: 0.0):
        for psi in (packet(), packet().expand(2, 256), packet()[None]):
            with pytest.raises(InvalidInput, match="the drive gives"):
                propagate(psi, X**2 / 2, drive, **HOW)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="single or double"):
        propagate(packet(), (X**2).half(), **HOW)


def test_a_search_for_steps_ends_where_there_are_no_numbers() -> None:
    with pytest.raises(InvalidInput, match="no numbers"):
        enough_substeps(packet(), X * math.nan, ring=RING, dt=0.1)
