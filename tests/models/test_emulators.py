"""Emulators: the authors' parameter counts, an independent GRU, and what holds by construction."""

import numpy as np
import pytest
import torch
from torch import Tensor

from qwell.errors import InvalidInput
from qwell.models.emulators import GRUEmulator
from qwell.models.propagating import between_frames, change_mesh
from qwell.models.registry import create_model, list_models
from qwell.train.rollout import rollout

WINDOWED = ["emulator_linear", "emulator_dense", "emulator_conv", "emulator_gru"]


def ring(seed: int = 0, cases: int = 2, points: int = 64) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    psi = torch.randn(cases, points, 2, generator=g, dtype=torch.float64)
    return torch.view_as_complex(psi), torch.rand(cases, points, generator=g, dtype=torch.float64)


def stirred(name: str, **options: int) -> torch.nn.Module:
    """A model in double precision whose parameters are not those of its beginning."""
    torch.manual_seed(1)
    model = create_model(name, **options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize(
    ("name", "with_potential", "free"),
    [("linear", 3220, 2162), ("dense", 27_163, 12_834), ("conv", 28_889, 19_280), ("gru", 40_204, 19_412)],
)
def test_parameters_are_the_authors(name: str, with_potential: int, free: int) -> None:
    for channels, count in ((3, with_potential), (2, free)):
        model = create_model(f"emulator_{name}", channels=channels)
        assert sum(p.numel() for p in model.parameters()) == count
        assert model(torch.randn(5, 4, 23, channels)).shape == (5, 23, 2)


def test_the_gru_is_a_gru() -> None:
    """Against the recurrence written out number by number: gates σ, candidate relu, reset after."""
    model = stirred("emulator_gru", hidden=7, width=5, history=3)
    assert isinstance(model, GRUEmulator)
    windows = torch.randn(4, 3, 5, 3, dtype=torch.float64)
    p = {name: value.detach().numpy() for name, value in model.named_parameters()}

    def sigma(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    for window, found in zip(windows.numpy(), model(windows).detach().numpy(), strict=True):
        h = np.zeros(7)
        for frame in window:
            e = np.maximum(p["embed.weight"] @ frame.reshape(-1) + p["embed.bias"], 0)
            w, u = p["from_input.weight"], p["from_state.weight"]
            a, b = p["from_input.bias"], p["from_state.bias"]
            z = sigma(w[:7] @ e + a[:7] + u[:7] @ h + b[:7])
            r = sigma(w[7:14] @ e + a[7:14] + u[7:14] @ h + b[7:14])
            n = np.maximum(w[14:] @ e + a[14:] + r * (u[14:] @ h + b[14:]), 0)
            h = z * h + (1 - z) * n
        expected = p["head.weight"] @ np.concatenate([h, h]) + p["head.bias"]
        np.testing.assert_allclose(found, expected.reshape(5, 2), atol=1e-12)


def test_the_beginning_is_glorot_and_orthogonal() -> None:
    model = create_model("emulator_gru")
    u = model.from_state.weight
    torch.testing.assert_close(u.T @ u, torch.eye(69), atol=1e-5, rtol=0)
    limit = (6 / (69 + 207)) ** 0.5
    assert 0.95 * limit < model.from_input.weight.abs().max() <= limit
    assert all((p == 0).all() for name, p in model.named_parameters() if name.endswith("bias"))


def test_the_linear_emulator_is_linear_in_the_last_frame() -> None:
    model = stirred("emulator_linear")
    a, b = torch.randn(2, 6, 4, 23, 3, dtype=torch.float64)
    zero = model(torch.zeros_like(a))
    torch.testing.assert_close(model(2 * a - b) - zero, 2 * (model(a) - zero) - (model(b) - zero))
    changed = a.clone()
    changed[:, :3] = 7
    torch.testing.assert_close(model(changed), model(a))


@pytest.mark.parametrize("name", WINDOWED)
def test_a_normalised_emulator_is_of_degree_one_in_the_waves(name: str) -> None:
    windows = torch.randn(5, 4, 23, 3, dtype=torch.float64)
    louder = windows * torch.tensor([1e-6, 1e-6, 1.0])
    model, plain = stirred(name, normalised=True), stirred(name)
    torch.testing.assert_close(model(louder), 1e-6 * model(windows))
    size = (windows[..., :2].square().sum(-1)).mean((1, 2)).sqrt()[:, None, None]
    seen = torch.cat([windows[..., :2] / size[..., None], windows[..., 2:]], dim=-1)
    torch.testing.assert_close(model(windows), plain(seen) * size)
    nothing = windows * torch.tensor([0.0, 0.0, 1.0])
    assert (model(nothing).abs() < 1e-20).all()


def test_the_convolution_mixes_time_point_by_point() -> None:
    model = stirred("emulator_conv")
    features = torch.relu(model.filters(torch.randn(1, 23, 12, dtype=torch.float64)))
    assert features.shape == (1, 23, 16)


@pytest.mark.parametrize("name", ["emulator_unitary", "emulator_spectral"])
def test_ring_emulators_are_complex_linear(name: str) -> None:
    model = stirred(name, points=64, bumps=8)
    (a, v), (b, _) = ring(0), ring(1)
    factor = 0.3 - 1.7j
    torch.testing.assert_close(model(factor * a + b, v), factor * model(a, v) + model(b, v))


def test_the_unitary_emulator_keeps_norms_and_overlaps() -> None:
    model = stirred("emulator_unitary", points=64, bumps=8)
    (a, v), (b, _) = ring(0), ring(1)
    before, after = (a.conj() * b).sum(1), (model(a, v).conj() * model(b, v)).sum(1)
    torch.testing.assert_close(before, after)
    loud = stirred("emulator_spectral", points=64, bumps=8)
    assert (loud(a, v).norm(dim=1) / a.norm(dim=1) - 1).abs().max() > 0.01


def test_open_ends_take_norm_away_where_they_were_told_to() -> None:
    """A factor at each point, which begins as next to nothing and never makes waves grow."""
    psi, v = ring()
    closed = create_model("emulator_unitary", points=64).double()
    model = create_model("emulator_unitary", points=64, open_ends=True).double()
    assert (model(psi, v) - closed(psi, v)).abs().max() < 1e-3
    with torch.no_grad():
        model.ends.zero_()
        model.ends[:8] = 2.0
    ratio = model(psi, v).abs() / closed(psi, v).abs()
    assert torch.allclose(ratio[:, :8], torch.full_like(ratio[:, :8], np.exp(-4)))
    assert torch.allclose(ratio[:, 8:], torch.ones_like(ratio[:, 8:]))


def test_a_free_ring_emulator_commutes_with_shifts_and_mirrors() -> None:
    model, (a, _) = stirred("emulator_unitary", points=64, bumps=8), ring()
    free = torch.zeros(2, 64, dtype=torch.float64)
    torch.testing.assert_close(model(a.roll(5, 1), free), model(a, free).roll(5, 1))
    torch.testing.assert_close(model(a.flip(1), free), model(a, free).flip(1))


def long_waves(points: int, largest: int) -> Tensor:
    """The same sum of waves e^{2πikj/points}, |k| ≤ largest, on any number of points."""
    k = torch.arange(-largest, largest + 1, dtype=torch.float64)
    g = torch.Generator().manual_seed(3)
    c = torch.view_as_complex(torch.randn(2, len(k), 2, generator=g, dtype=torch.float64))
    x = torch.arange(points, dtype=torch.float64) / points
    return c @ torch.exp(2j * torch.pi * k[:, None] * x)


def test_long_waves_are_the_same_on_every_mesh_and_short_ones_are_dropped() -> None:
    fine, coarse = long_waves(64, 11), long_waves(24, 11)
    torch.testing.assert_close(change_mesh(fine, 24), coarse)
    torch.testing.assert_close(change_mesh(coarse, 64), fine)
    short = torch.exp(2j * torch.pi * 12 * torch.arange(64, dtype=torch.float64) / 64)
    torch.testing.assert_close(change_mesh(fine + short, 24), coarse)


def test_an_emulator_on_a_coarse_mesh_does_there_what_it_would_do_on_it() -> None:
    torch.manual_seed(0)
    coarse = stirred("emulator_unitary", points=64, bumps=8, mesh=24)
    alone = stirred("emulator_unitary", points=24, bumps=8)
    alone.load_state_dict(coarse.state_dict())
    psi, v = long_waves(64, 11), long_waves(64, 5).real
    on_it = alone(change_mesh(psi, 24), change_mesh(v + 0j, 24).real)
    torch.testing.assert_close(coarse(psi, v), change_mesh(on_it, 64))
    torch.testing.assert_close(on_it.norm(dim=1), change_mesh(psi, 24).norm(dim=1))


def test_potentials_halfway_between_frames() -> None:
    """Exact for cubics in time but at the ends, where parabolas are; of fourth order in the interior."""
    frames = torch.arange(7, dtype=torch.float64)[:, None]
    middles = frames[:-1] + 0.5
    assert torch.allclose(between_frames(frames**2), middles**2)
    assert torch.allclose(between_frames(frames**3)[1:-1], middles[1:-1] ** 3)
    assert torch.allclose(between_frames(frames[:2]), middles[:1])
    errors = [
        (between_frames(torch.sin(1 + h * frames)) - torch.sin(1 + h * middles))[1:-1].abs().max()
        for h in (0.02, 0.01)
    ]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.1)


def test_a_rollout_follows_a_potential_that_changes() -> None:
    """Each frame by V halfway to the next; a V that stays is the same as one that is told once."""
    model = stirred("emulator_unitary", points=64).float().eval()
    psi, v = ring()
    seed = torch.view_as_real(psi).float()[:, None].numpy()
    moving = (v[:, None] * torch.cos(0.3 * torch.arange(6, dtype=torch.float64))[:, None]).float()
    found = rollout(model, seed, moving.numpy(), 5)
    now = psi.to(torch.complex64)
    for frame, middle in enumerate(between_frames(moving).unbind(1)):
        now = model(now, middle)
        assert np.abs(found[:, frame] - torch.view_as_real(now).detach().numpy()).max() < 1e-5
    still = v[:, None].expand(-1, 6, -1).float().numpy()
    np.testing.assert_allclose(
        rollout(model, seed, still, 5), rollout(model, seed, v.float().numpy(), 5), atol=1e-6
    )


def test_at_the_beginning_nothing_moves() -> None:
    model, (a, v) = create_model("emulator_unitary", points=64).double(), ring()
    torch.testing.assert_close(model(a, v), a)


def test_tasks_are_told_apart() -> None:
    assert "emulator_gru" in list_models("dynamics") and "res_sa" in list_models("spectra")
    assert set(list_models("dynamics")) | set(list_models("spectra")) == set(list_models())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("emulator_gru", {"channels": 4}),
        ("emulator_gru", {"history": 0}),
        ("emulator_unitary", {"points": 63}),
        ("emulator_unitary", {"bumps": 1}),
        ("emulator_unitary", {"breadth": 0}),
        ("emulator_unitary", {"mesh": 23}),
        ("emulator_unitary", {"mesh": 2048}),
    ],
)
def test_impossible_emulators(name: str, options: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        create_model(name, **options)
