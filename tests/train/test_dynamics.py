"""Training and rolling out emulators; experiments with emulators whose answers are known."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.trajectories import Family, TrajectoriesRecipe
from qwell.errors import CheckpointError, InvalidInput, QwellWarning
from qwell.files import seal
from qwell.models.emulators import GRUEmulator
from qwell.models.propagating import change_mesh
from qwell.models.registry import create_model, save_pretrained
from qwell.physics.barriers import Potential
from qwell.physics.propagators.settings import Propagation, setting_of
from qwell.physics.ring import Ring
from qwell.store.dataset import Dataset
from qwell.store.derive import merge, subset
from qwell.store.reader import open_dataset
from qwell.store.windows import Curriculum
from qwell.studies.probes.emulator import load_emulator
from qwell.studies.probes.generalisation import hyper, packets, sweep
from qwell.studies.probes.gradients import direct_gradients, gradients, violation
from qwell.studies.probes.rollouts import emulators, rollouts, sides
from qwell.train.config import DynamicsConfig
from qwell.train.dynamics import (
    begin,
    fitting_options,
    make_optimizer,
    make_step,
    open_stream,
    recipe_of,
    ring_loss,
    train_dynamics,
    window_loss,
)
from qwell.train.gru_gradient import HandGradient
from qwell.train.metrics import waves_compared
from qwell.train.rollout import average, predict_frames, rollout, weights_of, windows_of
from qwell.train.runs import Run, trained_on
from qwell.train.schedules import rate
from qwell.train.team import Team

RING = Ring(40.0, 128)
CURRICULUM = Curriculum(history=3, width=9, times=0.5, edges=0.3, v_scale=5.0)


def recipe(split: str, frames: int, validation: int = 0) -> TrajectoriesRecipe:
    barriers = tuple(Potential("rectangle", {"height": h, "width": 4.0}) for h in (2.0, 4.0))
    return TrajectoriesRecipe(
        (Family((10.0, 13.0), (2.0,), (1.0, 2.0), barriers),),
        ring=RING,
        propagation=Propagation(frames=frames),
        curriculum=CURRICULUM,
        split=split,
        validation=validation,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("dynamics") / "train.zarr"
    generate(recipe("train", 40, 2), path, workers=0)
    return open_dataset(path)


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("dynamics") / "test.zarr"
    generate(recipe("test", 40), path, workers=0)
    return open_dataset(path)


def config(data: Dataset, **changes: object) -> DynamicsConfig:
    standard = {"rollout": 10, "log_every": 20, "evaluate_every": 100, "checkpoint_every": 50}
    given = {"data": str(data.path), "digest": data.digest, **standard, **changes}
    return DynamicsConfig(**given)  # type: ignore[arg-type]


def weights(run: Run) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in load_file(run.model / "model.safetensors").items()}


@pytest.fixture(scope="module")
def runs(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    wanted = {
        "gru": {"updates": 200, "options": {"hidden": 16}},
        "linear": {"model": "emulator_linear", "updates": 200},
        "short": {"updates": 200, "options": {"history": 1, "hidden": 16}},
        "other-seed": {"updates": 200, "options": {"hidden": 16}, "seed": 5},
        "half": {"updates": 20, "options": {"hidden": 16}},
        "unitary": {"model": "emulator_unitary", "updates": 400, "batch": 8, "first_rate": 0.02},
    }
    for name, changes in wanted.items():
        train_dynamics(begin(config(data, **changes), root / name), "cpu")
    return {name: root / name for name in wanted}


@pytest.mark.parametrize("name", ["emulator_gru", "emulator_unitary"])
def test_stopped_and_resumed_is_bit_for_bit_the_undisturbed(data: Dataset, tmp_path: Path, name: str) -> None:
    recipe = config(data, model=name, updates=130, batch=8)
    whole = begin(recipe, tmp_path / "whole")
    train_dynamics(whole, "cpu")

    class Stop(Exception):
        pass

    def stop(update: int, row: dict[str, object]) -> None:
        if update == 100:
            raise Stop

    broken = begin(recipe, tmp_path / "broken")
    with pytest.raises(Stop):
        train_dynamics(broken, "cpu", stop)
    train_dynamics(broken, "cpu")
    a, b = weights(whole), weights(broken)
    assert all((a[k] == b[k]).all() for k in a)
    strip = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in r.metrics()] for r in (whole, broken)
    ]
    assert strip[0] == strip[1]


def test_training_learns_and_validates_by_rollout(runs: dict[str, Path], data: Dataset) -> None:
    history = Run.open(runs["unitary"]).metrics()
    assert history[-1]["loss"] < 0.02 * history[0]["loss"]
    assert history[-1]["validation_C"] > 0.99
    model, v_scale = load_emulator(runs["unitary"], *setting_of(data.recipe))
    part = data["validation"]
    compared = waves_compared(*predict_frames(model, v_scale, part["psi"][:], part["potential"][:], 10))
    assert compared.correlation.mean() == pytest.approx(history[-1]["validation_C"], rel=1e-6)
    assert compared.mae.mean() == pytest.approx(history[-1]["validation_mae"], rel=1e-5)


def test_subsets_and_merged_sets_are_learned_from_and_asked_about(
    runs: dict[str, Path], data: Dataset, tests: Dataset, tmp_path: Path
) -> None:
    """The recipe that rows were first made by says how: of a merged set what its parts agree on."""
    few, both, mixed = (tmp_path / f"{name}.zarr" for name in ("few", "both", "mixed"))
    subset(data, few, n=4)
    merge([data, open_dataset(few)], both)
    for path, rows in ((few, 4), (both, 12)):
        part = open_dataset(path)
        train_dynamics(begin(config(part, updates=2), tmp_path / f"run-{rows}"), "cpu")
        assert trained_on(tmp_path / f"run-{rows}")["rows"] == rows
    assert (
        rollouts(tmp_path / "run-4", [tests], frames=4).numbers["learned_from"] == "few.zarr, 4 simulations"
    )
    other = replace(recipe("train", 40), curriculum=replace(CURRICULUM, v_scale=2.0), seed=9)
    generate(other, tmp_path / "other.zarr", workers=0)
    merge([data, open_dataset(tmp_path / "other.zarr")], mixed)
    with pytest.raises(InvalidInput, match="different windows; learn from one"):
        begin(config(open_dataset(mixed)), tmp_path / "mixed-run")


def test_the_released_recipe(data: Dataset) -> None:
    """5 epochs of all windows in batches of 128; AdamW, decay on matrices only; 1 % up, then down."""
    per = int(0.5 * 37) * int(0.3 * 128)
    assert recipe_of("emulator_gru", data, None, {}) == {
        "batch": 128, "updates": 5 * (8 * per // 128), "first_rate": 1e-3,
    }  # fmt: skip
    model = create_model("emulator_gru", width=9, history=3)
    optimizer = make_optimizer(model, config(data, first_rate=1e-3))
    decayed, free = optimizer.param_groups
    assert decayed["weight_decay"] == 0.01 and free["weight_decay"] == 0 and free["betas"] == (0.9, 0.999)
    assert all(p.dim() == 2 for p in decayed["params"]) and all(p.dim() == 1 for p in free["params"])
    recipe = config(data, updates=1000).resolved(batch=8, first_rate=1e-3)
    rates = [rate(recipe, u) for u in range(1000)]
    assert rates[0] == pytest.approx(1e-4) and max(rates) == rates[9] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-6)
    np.testing.assert_allclose(np.diff(rates[10:]), np.diff(rates[10:])[0], rtol=1e-6)


def test_gradients_are_clipped_tensor_by_tensor(data: Dataset) -> None:
    """With plain descent at rate 1 a weight moves by at most the clip, in each tensor."""
    model = create_model("emulator_linear", width=9, history=3)
    before = [p.detach().clone() for p in model.parameters()]
    step = make_step(model, torch.optim.SGD(model.parameters(), lr=1.0), config(data, clip=0.01), Team())
    step(100 * torch.randn(16, 3, 9, 3), torch.randn(16, 9, 2))
    moved = [float((p.detach() - b).norm()) for p, b in zip(model.parameters(), before, strict=True)]
    assert all(m == pytest.approx(0.01, rel=1e-4) for m in moved)


def test_losses_by_hand(data: Dataset) -> None:
    model = create_model("emulator_linear", width=9, history=3)
    seen, target = torch.randn(4, 3, 9, 3), torch.randn(4, 9, 2)
    with torch.no_grad():
        assert window_loss(model, seen, target) == pytest.approx(float(((model(seen) - target) ** 2).mean()))
    still = create_model("emulator_unitary", points=128)
    psi = torch.randn(2, 3, 128, dtype=torch.complex64)
    expected = sum(((psi[:, 0] - psi[:, k]).abs() ** 2).mean() / 2 for k in (1, 2)) / 2
    with torch.no_grad():
        assert ring_loss(still, psi, torch.zeros(2, 128)) == pytest.approx(float(expected), rel=1e-5)


def test_streams_give_windows_and_segments_of_the_data(data: Dataset) -> None:
    psi, v = data["train"]["psi"][:], data["train"]["potential"][:] / 5
    options = fitting_options("emulator_gru", data, {})
    assert options == {"channels": 3, "history": 3, "width": 9}
    model = create_model("emulator_gru", **options)
    seen, target = next(open_stream(model, data, config(data, batch=32), torch.device("cpu")))  # type: ignore[call-overload]
    assert seen.shape == (32, 3, 9, 3) and target.shape == (32, 9, 2)
    every = {w.tobytes() for s in psi for f in s for w in (np.tile(f, (2, 1))[i : i + 9] for i in range(128))}
    assert all(t.numpy().tobytes() in every for t in target.contiguous())
    ring = create_model("emulator_unitary", points=128)
    segment, potential = next(open_stream(ring, data, config(data, batch=4, unroll=2), torch.device("cpu")))  # type: ignore[call-overload]
    assert segment.shape == (4, 3, 128) and potential.shape == (4, 128)
    for s, p in zip(segment.numpy(), potential.numpy(), strict=True):
        found = [
            (i, t) for i in range(8) for t in range(39)
            if (psi[i, t].view(np.complex64)[:, 0] == s[0]).all() and np.allclose(v[i], p)
        ]  # fmt: skip
        assert any((psi[i, t + 2].view(np.complex64)[:, 0] == s[2]).all() for i, t in found)


@pytest.mark.parametrize("name", ["emulator_gru", "emulator_unitary"])
def test_trajectories_in_memory_and_mapped_give_the_same_batches(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("QWELL_CACHE", str(tmp_path))
    model = create_model(name, **fitting_options(name, data, {}))
    streams = [
        open_stream(model, data, config(data, model=name, batch=16, stream=tier), torch.device("cpu"))
        for tier in ("resident", "mirror")
    ]
    assert list(tmp_path.rglob("train-psi.npy"))
    for _ in range(5):
        for a, b in zip(*(next(stream) for stream in streams), strict=True):
            assert torch.equal(a, b)
    with pytest.raises(InvalidInput, match="unknown stream 'pool'"):
        config(data, stream="pool")


def test_noise_is_on_what_is_seen_alone_and_the_same_when_taken_up_again(data: Dataset) -> None:
    model = create_model("emulator_linear", **fitting_options("emulator_linear", data, {}))
    here = torch.device("cpu")

    def streams(noise: float) -> Iterator[tuple[torch.Tensor, ...]]:
        return iter(partial(next, open_stream(model, data, config(data, batch=64, noise=noise), here)), None)  # type: ignore[call-overload]

    quiet, noisy = streams(0.0), streams(0.1)
    relative = []
    for _ in range(20):
        (seen, target), (loud, same) = (tuple(t.clone() for t in next(s)) for s in (quiet, noisy))
        assert torch.equal(target, same) and torch.equal(seen[..., 2], loud[..., 2])
        size = (2 * seen[..., :2].square().mean(dim=(1, 2, 3), keepdim=True)).sqrt()
        relative.append(((loud - seen)[..., :2] / size).flatten())
    assert torch.cat(relative).std() == pytest.approx(0.1, rel=0.02)
    assert abs(torch.cat(relative).mean()) < 2e-3
    later = open_stream(model, data, config(data, batch=64, noise=0.1), here)
    later.load_state_dict({"epoch": 0, "index": 20})
    for a, b in zip(next(later), next(noisy), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("fused", [True, False])
def test_a_rollout_that_keeps_the_norm_has_that_of_the_seed(tests: Dataset, fused: bool) -> None:
    torch.manual_seed(0)
    model = create_model("emulator_gru", width=9, history=3).eval()
    psi, v = tests["test"]["psi"][:3, :3], tests["test"]["potential"][:3]
    kept = rollout(model, psi, v, 6, fused=fused, keep_norm=True)
    norm = np.linalg.norm(psi[:, -1].reshape(3, -1), axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(kept.reshape(3, 6, -1), axis=2), norm[:, None] + np.zeros(6), rtol=1e-5
    )
    free = rollout(model, psi, v, 1, fused=fused)[:, 0].reshape(3, -1)
    first = free * (norm / np.linalg.norm(free, axis=1))[:, None]
    np.testing.assert_allclose(kept[:, 0].reshape(3, -1), first, rtol=1e-4, atol=1e-7)
    with pytest.raises(InvalidInput, match="on the ring"):
        rollout(create_model("emulator_unitary", points=128), psi, v, 1, keep_norm=True)


def test_a_rollout_on_a_coarse_mesh_is_advanced_there_and_shown_on_the_ring() -> None:
    torch.manual_seed(0)
    model = create_model("emulator_unitary", points=128, mesh=48).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    rng = np.random.default_rng(0)
    seed, v = rng.normal(size=(5, 1, 128, 2)).astype("f4"), rng.random((5, 128)).astype("f4")
    found = rollout(model, seed, v, frames=30)  # more frames than are shown at once
    with torch.no_grad():
        prepared = model.prepare(torch.from_numpy(v))
        psi = change_mesh(torch.view_as_complex(torch.from_numpy(seed[:, 0])), 48)
        for frame in range(30):
            psi = model.advance(psi, prepared)
            shown = torch.view_as_real(change_mesh(psi, 128)).numpy()
            np.testing.assert_allclose(found[:, frame], shown, atol=1e-5)


def test_the_average_is_that_of_all_windows_of_a_point() -> None:
    g = weights_of(23)
    assert g.sum() == pytest.approx(1) and g[11] == g.max() and g[0] == pytest.approx(float(g[22]))
    assert float(g[11] / g[14]) == pytest.approx(np.exp(9 / (2 * 2.8**2)))
    frame = torch.randn(2, 50, 2, dtype=torch.float64)
    torch.testing.assert_close(
        average(windows_of(frame, 23), g), frame
    )  # perfect windows give the frame back
    found = torch.randn(1, 50, 23, 2, dtype=torch.float64)
    x = 7
    expected = sum(g[w] * found[0, (x - w) % 50, w] for w in range(23))
    torch.testing.assert_close(average(found, g)[0, x], expected)


@pytest.mark.parametrize("channels", [2, 3])
def test_the_fused_rollout_is_the_plain_one(channels: int) -> None:
    """400 frames, each fed with the one before: the same numbers to 1e-5."""
    torch.manual_seed(0)
    model = create_model("emulator_gru", channels=channels, hidden=24).eval()
    rng = np.random.default_rng(0)
    seed = 0.3 * rng.standard_normal((2, 4, 128, 2))
    v = np.zeros((2, 128))
    v[:, 50:70] = 0.5
    fused, plain = (rollout(model, seed, v, 400, fused=f) for f in (True, False))
    assert fused.shape == (2, 400, 128, 2) and np.abs(plain).max() > 0.01
    np.testing.assert_allclose(fused, plain, atol=1e-5)


def test_cases_do_not_mix() -> None:
    torch.manual_seed(0)
    for model in (create_model("emulator_gru", hidden=8), create_model("emulator_dense", hidden=8)):
        seed, v = np.random.default_rng(0).standard_normal((3, 4, 64, 2)), np.zeros((3, 64))
        both = rollout(model.eval(), seed, v, 5)
        np.testing.assert_allclose(both[1:2], rollout(model, seed[1:2], v[1:2], 5), atol=1e-6)


def test_metrics_of_waves_by_hand() -> None:
    truth = np.array([[[1.0, 0, 0, 0], [0, 1, 1j, 0]]], dtype=complex)
    prediction = np.array([[[0.0, 0, 0, 2j], [0, 2, 2j, 0]]], dtype=complex)
    found = waves_compared(prediction, truth)
    np.testing.assert_allclose(found.mae, [[3 / 4, 2 / 4]])
    np.testing.assert_allclose(found.mae_parts, [[(1 + 2) / 8, (1 + 1) / 8]])
    np.testing.assert_allclose(found.correlation, [[0, 1]])
    np.testing.assert_allclose(found.norm, [[1, 1]])
    turned = waves_compared(truth * 1j, truth)  # a phase does not lower the correlation, as released
    np.testing.assert_allclose(turned.correlation, 1)
    assert waves_compared(0 * truth, truth).correlation.max() == 0
    for wild in (np.nan, np.inf, 1e30):
        found = waves_compared(np.where([[[True], [False]]], wild, truth), truth)
        np.testing.assert_allclose(found.correlation, [[0, 1]])
        assert found.mae[0, 0] == np.inf and found.mae[0, 1] == 0


def test_sides_of_a_barrier() -> None:
    v = np.array([0.0, 0, 1, 1, 0, 0])
    psi = np.sqrt(np.array([0.1, 0.2, 0.3, 0.1, 0.3, 0.0]))
    np.testing.assert_allclose(sides(psi, v, 1.0), [0.3, 0.3])
    assert np.isnan(sides(psi, 0 * v, 1.0)).all()


def exact_emulator(path: Path) -> Path:
    """The unitary network with the phases of a split step, free of learning: what it should become."""
    model = create_model("emulator_unitary", points=128, layers=4, bumps=64)
    k = np.abs(RING.k)
    with torch.no_grad():
        phases = torch.from_numpy(0.1 / 4 * k**2 / 2)
        solution = torch.linalg.lstsq(model.bumps.double().T, phases).solution
        model.spread[:] = solution.float()
        model.local[:] = torch.tensor([0.5, 1, 1, 1, 0.5]) * 0.1 / 4 * 5.0
    save_pretrained(model, path, {"v_scale": 5.0})
    return path


def test_rollouts_of_a_perfect_emulator_are_perfect(tests: Dataset, tmp_path: Path) -> None:
    found = rollouts(exact_emulator(tmp_path / "exact"), [tests], frames=36)
    mean = found.numbers["mean"]
    assert mean["C"] > 0.9999 and mean["mae"] < 1e-3 and mean["norm_drift"] < 1e-5
    assert mean["energy_drift"] < 2e-2 and mean["transmission_error"] < 1e-2
    assert len(found.rows) == 9 and found.numbers["parameters"] == 4 * 64 + 5
    written = json.loads(found.write(tmp_path / "out").read_text())
    assert written["cases"][0]["x0"] == 10 and (tmp_path / "out/rollout.png").exists()


def test_emulators_side_by_side(runs: dict[str, Path], tests: Dataset, tmp_path: Path) -> None:
    exact = exact_emulator(tmp_path / "exact")
    found = emulators([exact, runs["unitary"], runs["linear"]], [tests], frames=20)
    correlation = [e["C"] for e in found.numbers["emulators"]]
    assert correlation[0] > correlation[1] > correlation[2] and found.numbers["cases"] == 8
    assert found.numbers["emulators"][2]["parameters"] == 27 * 18 + 18


def test_gradients_of_linear_networks(tests: Dataset, tmp_path: Path) -> None:
    """Gradients of the linear emulator are its weights; complex weights obey Cauchy and Riemann."""
    model = create_model("emulator_linear", width=9, history=3).double()
    rng = np.random.default_rng(0)
    complex_weights, c = (
        rng.standard_normal((9, 9)) + 1j * rng.standard_normal((9, 9)),
        np.zeros((9, 2, 9, 3)),
    )
    c[:, 0, :, 0], c[:, 0, :, 1] = complex_weights.real, -complex_weights.imag
    c[:, 1, :, 0], c[:, 1, :, 1] = complex_weights.imag, complex_weights.real
    with torch.no_grad():
        model.head.weight[:] = torch.from_numpy(c.reshape(18, 27))
    found = direct_gradients(model, torch.randn(5, 3, 9, 3, dtype=torch.float64))
    np.testing.assert_allclose(found[:, 0, -1, :, 0], np.tile(complex_weights.real[4], (5, 1)))
    assert (found[:, :, :2] == 0).all() and violation(found).max() < 1e-12
    assert violation(found * np.array([1, -1])[None, :, None, None, None]).min() == pytest.approx(1)
    save_pretrained(model.float(), tmp_path / "linear", {"v_scale": 5.0})
    asked = gradients(tmp_path / "linear", tests, samples=20)
    assert asked.numbers["at a potential"]["cauchy_riemann_violation"] < 1e-6
    assert set(asked.figures) == {"", "free"}
    assert asked.numbers["free"]["share_of_frames"] == pytest.approx([0, 0, 1])


def test_the_unitary_emulator_has_no_gradients_to_ask_for(runs: dict[str, Path], tests: Dataset) -> None:
    with pytest.raises(InvalidInput, match="by construction"):
        gradients(runs["unitary"], tests)


def test_other_packets(runs: dict[str, Path], tests: Dataset) -> None:
    found = packets(runs["gru"], tests, frames=10)
    assert list(found.numbers["packets"]) == ["gaussian", "triangle", "square"]
    assert all(0 <= p["C"] <= 1 for p in found.numbers["packets"].values())


def test_sweeps_have_bands(runs: dict[str, Path]) -> None:
    with pytest.raises(InvalidInput, match=r"dx = 0\.3125 instead of 0\.0976562 and the Ham"):
        sweep([runs["gru"]], frames=4)
    with pytest.warns(QwellWarning, match="what it says of these waves is wrong"):
        found = sweep([runs["gru"], runs["linear"]], frames=4, anyway=True)
    curve = np.array(found.numbers["curves"]["hb"]["C"])
    assert curve.shape == (2, 11) and set(found.numbers["curves"]) == {"s0", "e0", "wb", "hb"}


def test_options_compared(runs: dict[str, Path], tests: Dataset) -> None:
    """Against the first run; seeds are averaged; whatever differs in more is refused."""
    found = hyper([runs["gru"], runs["short"], runs["other-seed"]], tests, frames=10)
    points, rows = found.numbers["points"], {row[0]: row for row in found.rows}
    assert list(points) == ["history"] and [p[0] for p in points["history"]] == [3.0, 1.0]
    two = [rows[name][-1] for name in ("gru", "other-seed")]
    assert points["history"][0][2:] == (pytest.approx(sum(two) / 2), max(two))
    for others, message in (
        ([], "all runs have the same"),
        (["half"], "another number of updates"),
        (["unitary"], "sees no windows"),
    ):
        with pytest.raises(InvalidInput, match=message):
            hyper([runs["gru"], *(runs[name] for name in others)], tests, frames=10)


def test_an_emulator_is_asked_about_waves_like_those_it_learned(
    runs: dict[str, Path], tests: Dataset, tmp_path: Path
) -> None:
    """Another mesh, time step or Hamiltonian is refused, and with `anyway` warned of."""
    for changes, message in (
        ({"ring": Ring(80.0, 128)}, r"dx = 0\.3125 instead of 0\.625"),
        ({"propagation": Propagation(frames=12, dt=0.2)}, r"dt = 0\.1 instead of 0\.2"),
        ({"propagation": Propagation(frames=12, hamiltonian="lattice")}, "the Hamiltonian spectral"),
    ):
        generate(replace(recipe("test", 12), **changes), tmp_path / "other.zarr", workers=0, force=True)
        other = open_dataset(tmp_path / "other.zarr")
        for ask in (
            partial(rollouts, runs["gru"], [other], frames=4),
            partial(emulators, [runs["gru"]], [tests, other], frames=4),
            partial(packets, runs["gru"], other, frames=4),
            partial(gradients, runs["gru"], other, samples=4),
        ):
            with pytest.raises(InvalidInput, match=message):
                ask()
            with pytest.warns(QwellWarning, match=message):
                ask(anyway=True)
    generate(replace(recipe("test", 12), ring=Ring(40.0, 64)), tmp_path / "coarse.zarr", workers=0)
    with pytest.raises(InvalidInput, match="give waves of --points 128"):
        rollouts(runs["unitary"], [open_dataset(tmp_path / "coarse.zarr")], frames=4, anyway=True)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(("channels", "history", "width"), [(3, 4, 23), (2, 1, 5), (3, 2, 8)])
def test_the_gradient_by_hand_is_that_of_autograd(
    channels: int, history: int, width: int, normalised: bool
) -> None:
    torch.manual_seed(1)
    model = create_model(
        "emulator_gru", channels=channels, history=history, width=width, normalised=normalised
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)  # biases begin at 0
    assert isinstance(model, GRUEmulator)
    by_hand = HandGradient(model)
    for rows in (12, 5):
        whole = torch.randn(rows, history + 1, width, 3) * torch.rand(rows, 1, 1, 1)
        seen, target = whole[:, :-1, :, :channels], whole[:, -1, :, :2]
        loss = by_hand(seen, target)
        found = [p.grad.clone() for p in model.parameters()]  # type: ignore[union-attr]
        expected = window_loss(model, seen, target)
        assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-5)
        names, parameters = zip(*model.named_parameters(), strict=True)
        wanted = torch.autograd.grad(expected, parameters, allow_unused=True)
        for name, a, b in zip(names, found, wanted, strict=True):
            if b is None:  # one frame has no state before it
                assert (name, history) == ("from_state.weight", 1) and not a.any()
            else:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_refusals(
    data: Dataset, tests: Dataset, dataset: Dataset, runs: dict[str, Path], tmp_path: Path
) -> None:
    for changes, message in (
        ({"model": "mlp"}, "no emulator"),
        ({"rollout": 1000}, "frames"),
        ({"precision": "bf16"}, "float32"),
    ):
        with pytest.raises(InvalidInput, match=message):
            begin(config(data, **changes), tmp_path / "run")
    with pytest.raises(InvalidInput, match="no training split"):
        begin(config(tests), tmp_path / "run")
    with pytest.raises(InvalidInput, match="unroll"):
        run = begin(config(data, model="emulator_unitary", unroll=100, batch=4), tmp_path / "long")
        train_dynamics(run, "cpu")
    with pytest.raises(InvalidInput, match="batch"):
        train_dynamics(begin(config(data, batch=10**8), tmp_path / "wide"), "cpu")
    for changes in ({"warm_up": 2.0}, {"decay": -1.0}, {"unroll": 0}, {"clip": float("nan")}):
        with pytest.raises(InvalidInput):
            config(data, **changes)
    with pytest.raises(InvalidInput, match="choose at most"):
        rollouts(runs["gru"], [tests], frames=1000)
    blind = create_model("emulator_gru", channels=2, hidden=8)
    save_pretrained(blind, tmp_path / "blind")
    with pytest.raises(InvalidInput, match="no channel"):
        rollouts(tmp_path / "blind", [tests], frames=5)
    save_pretrained(create_model("mlp"), tmp_path / "mlp")
    with pytest.raises(InvalidInput, match="give an emulator"):
        load_emulator(tmp_path / "mlp", *setting_of(tests.recipe))


def test_a_changed_data_set_is_noticed(data: Dataset, tmp_path: Path) -> None:
    run = begin(config(data, updates=5), tmp_path / "run")
    run.write("config.json", seal({**run.config, "digest": "0" * 64}).decode())
    with pytest.raises(CheckpointError, match="version"):
        train_dynamics(run, "cpu")


def test_every_epoch_has_all_windows_in_an_order_of_its_own(data: Dataset) -> None:
    model = create_model("emulator_linear", **fitting_options("emulator_linear", data, {}))
    stream = open_stream(model, data, config(data, batch=97), torch.device("cpu"))
    per_epoch = stream.total // 97  # type: ignore[attr-defined]
    epochs = [[next(stream)[1].clone() for _ in range(per_epoch)] for _ in range(2)]  # type: ignore[call-overload]
    assert stream.state_dict() == {"epoch": 1, "index": per_epoch}
    assert (epochs[0][0] != epochs[1][0]).any()
    seen = [{t.numpy().tobytes() for batch in epoch for t in batch} for epoch in epochs]
    assert len(seen[0] & seen[1]) > 0.95 * len(seen[0])
    again = open_stream(model, data, config(data, batch=97), torch.device("cpu"))
    again.load_state_dict({"epoch": 1, "index": 2})
    assert (next(again)[1] == epochs[1][2]).all()  # type: ignore[call-overload]


def test_rollouts_of_free_packets_have_no_sides(tmp_path: Path) -> None:
    """And say so without a warning."""
    free = TrajectoriesRecipe(
        (Family((10.0,), (2.0,), (1.0,)),), ring=RING, propagation=Propagation(frames=10), split="test",
        curriculum=CURRICULUM,
    )  # fmt: skip
    generate(free, tmp_path / "free.zarr", workers=0)
    data = open_dataset(tmp_path / "free.zarr")
    found = rollouts(exact_emulator(tmp_path / "exact"), [data], frames=8)
    assert np.isnan(found.numbers["mean"]["transmission_error"]) and found.numbers["mean"]["C"] > 0.999
