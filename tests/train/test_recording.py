"""Work recorded as CUDA graphs: on a GPU if there is one, and on the processor with graphs that stand in.

To the bit on the processor; on a GPU to the bit or to rounding, and `agreement` in the report says which.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import WAITING, Graph, graphs_on_the_processor
from safetensors.torch import load_file
from torch import Tensor

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.datagen.recipes.trajectories import Family, TrajectoriesRecipe
from qwell.errors import QwellWarning
from qwell.models.layers import Network
from qwell.models.registry import create_model
from qwell.physics.barriers import Potential
from qwell.physics.grid import Grid
from qwell.physics.propagators.settings import Propagation
from qwell.physics.ring import Ring
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.store.windows import Curriculum
from qwell.train import dynamics, eigen, eigen_steps
from qwell.train.config import DynamicsConfig, EigenConfig
from qwell.train.loop import set_rate
from qwell.train.recording import recorded
from qwell.train.rollout import rollout
from qwell.train.runs import Run
from qwell.train.stream import open_stream
from qwell.train.team import Team
from qwell.train.trajectories import SegmentStream, WindowStream

pytestmark = pytest.mark.gpu
ABSENT = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch has no CUDA GPU here")
CURRICULUM = Curriculum(history=3, width=9, times=0.5, edges=0.3, v_scale=5.0)
GRUS = [{"hidden": 16}, {"hidden": 16, "channels": 2}, {"hidden": 16, "normalised": True}]
Says = Callable[[str, object], None]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=ABSENT)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    if request.param == "cuda":
        yield torch.device("cuda")
        return
    with graphs_on_the_processor(monkeypatch):
        yield torch.device("cpu")


@pytest.fixture(scope="module")
def spectra(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("spectra") / "with-densities.zarr"
    generate(SpectraRecipe("m3", n=1200, validation=50, densities=True), path, workers=0, shard_rows=1000)
    return open_dataset(path)


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("trajectories") / "train.zarr"
    barriers = tuple(Potential("rectangle", {"height": h, "width": 4.0}) for h in (2.0, 4.0))
    family = Family((10.0, 13.0), (2.0,), (1.0,), barriers)
    ring, how = Ring(40.0, 64), Propagation(frames=20)
    recipe = TrajectoriesRecipe(
        (family,), ring=ring, propagation=how, curriculum=CURRICULUM, split="train", validation=1
    )
    generate(recipe, path, workers=0)
    return open_dataset(path)


def weights(model: Network) -> np.ndarray:
    """Of all parameters, side by side."""
    return torch.cat([p.detach().double().flatten() for p in model.parameters()]).cpu().numpy()


def check_alike(found: np.ndarray, expected: np.ndarray, device: torch.device, say: Says) -> None:
    """To the bit on the processor; else within 1e-4 of the whole, and whether to the bit is said."""
    apart = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    same = np.array_equal(found, expected)
    say("agreement", "to the bit" if same else f"to {apart:.0e}")
    assert same if device.type == "cpu" else apart < 1e-4, f"apart by {apart:.1e} of the whole"


def updates(make: Callable[[Network], Any], model: Network, batches: list[tuple[Tensor, ...]]) -> np.ndarray:
    """What some updates change, with another learning rate each, and their losses."""
    before, (optimizer, step), losses = weights(model), make(model), []
    for number, batch in enumerate(batches):
        set_rate(optimizer, 1e-3 / (1 + number))
        losses.append(step(*batch))  # a loss is the caller's own: the next does not change it
    moments = [float(s["exp_avg_sq"].sum()) for s in optimizer.state.values()]
    return np.concatenate([weights(model) - before, np.array([float(loss) for loss in losses]), moments])


def both(
    make: Callable[[Network], Any], model: Callable[[], Network], batches: list[tuple[Tensor, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """The changes of recorded and of eager updates."""
    changes = []
    for recordable in (True, False):
        torch.manual_seed(0)
        one = model()
        one.recordable = recordable
        changes.append(updates(make, one, batches))
    return changes[0], changes[1]


EIGEN: list[dict[str, Any]] = [
    {},
    {"mirror": True},
    {"precision": "bf16"},
    {"precision": "float64"},
    {"densities": (0.1, Grid(100))},
    pytest.param({"precision": "tf32"}, marks=ABSENT),
    pytest.param({"compile": True}, marks=ABSENT),
]


def of_spectra(data: Dataset, device: torch.device, count: int = 6, **asked: Any) -> list[tuple[Tensor, ...]]:
    fields = ["potential", "energy", "density"] if asked.get("densities") else ["potential", "energy"]
    stream = open_stream(data, "resident", batch=40, device=device, fields=fields)
    return [tuple(part.clone() for part in next(stream)) for _ in range(count)]


def network(device: torch.device, name: str = "mlp", precision: str = "float32") -> Network:
    options = {"hidden": [16]} if name == "mlp" else {"hidden": 16, "channels": [8, 8]}
    model = create_model(name, points=101, levels=10, **options).to(device)
    return model.double() if precision == "float64" else model


@pytest.mark.parametrize("asked", EIGEN, ids=lambda asked: next(iter(asked), "plain"))
@pytest.mark.parametrize("name", ["mlp", "res_sa"])
def test_recorded_updates_of_eigenvalue_networks_are_eager_ones(
    spectra: Dataset, device: torch.device, name: str, asked: dict[str, Any], record_property: Says
) -> None:
    def make(model: Network) -> Any:
        optimizer = eigen_steps.make_optimizer(model, 1e-3)
        return optimizer, eigen_steps.make_step(model, optimizer, **asked)

    precision = asked.get("precision", "float32")
    batches = of_spectra(spectra, device, **asked)
    found = both(make, lambda: network(device, name, precision), batches)
    torch.set_float32_matmul_precision("highest")
    check_alike(*found, device, record_property)
    if device.type == "cpu":
        assert [graph.replays for graph in Graph.made] == [len(batches)]


@pytest.mark.parametrize(
    "name, options",
    [*[("emulator_gru", options) for options in GRUS], ("emulator_dense", {}), ("emulator_unitary", {})],
)
def test_recorded_updates_of_emulators_are_eager_ones(
    trajectories: Dataset, device: torch.device, name: str, options: dict[str, Any], record_property: Says
) -> None:
    options = dynamics.fitting_options(name, trajectories, options)
    asked = {"model": name, "options": options, "batch": 8, "first_rate": 1e-3, "noise": 0.01}
    config = DynamicsConfig(str(trajectories.path), trajectories.digest, **asked)  # type: ignore[arg-type]
    stream = dynamics.open_stream(create_model(name, **options), trajectories, config, device)
    batches = [tuple(part.clone() for part in next(stream)) for _ in range(6)]

    def make(model: Network) -> Any:
        optimizer = dynamics.make_optimizer(model, config)
        return optimizer, dynamics.make_step(model, optimizer, config, Team())

    check_alike(
        *both(make, lambda: create_model(name, **options).to(device), batches), device, record_property
    )
    if device.type == "cpu":
        assert [graph.replays for graph in Graph.made] == [len(batches)]


@pytest.mark.parametrize("when", ["at once", "after warming up"])
def test_what_cannot_be_recorded_goes_on_eagerly_with_one_line(
    spectra: Dataset, device: torch.device, when: str, record_property: Says
) -> None:
    """Also the random numbers of the loss on densities go on, which a broken recording holds."""
    calls = 0

    def waiting(model: Network) -> Any:
        optimizer = eigen_steps.make_optimizer(model, 1e-3)
        forward = model.forward

        def wait(potential: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            if when == "at once" and calls == 2 and model.recordable:
                raise RuntimeError("a kernel\nis missing")
            energy: Tensor = forward(potential)
            return energy if float(energy.detach().sum()) < torch.inf else -energy

        model.forward = wait  # type: ignore[assignment]
        return optimizer, eigen_steps.make_step(model, optimizer, densities=(0.1, Grid(100)))

    batches = of_spectra(spectra, device, densities=True)
    with pytest.warns(QwellWarning) as told:
        found = both(waiting, lambda: network(device), batches)
    said = [one for one in told if one.category is QwellWarning]
    why = "a kernel" if when == "at once" else WAITING.partition("\n")[0] if device.type == "cpu" else ""
    line = f"an update cannot be recorded as a CUDA graph and goes on eagerly: {why}"
    assert len(said) == 1 and str(said[0].message).startswith(line) and "\n" not in str(said[0].message)
    check_alike(*found, device, record_property)


@pytest.mark.parametrize("task", ["eigen", "emulator_gru", "emulator_unitary"])
def test_recorded_trainings_resume_bit_for_bit(
    spectra: Dataset,
    trajectories: Dataset,
    device: torch.device,
    task: str,
    tmp_path: Path,
    record_property: Says,
) -> None:
    data = spectra if task == "eigen" else trajectories
    common = {
        "updates": 30,
        "batch": 8,
        "log_every": 5,
        "evaluate_every": 10,
        "checkpoint_every": 10,
        "ema": 0.9,
    }
    if task == "eigen":
        begin, train = eigen.begin, eigen.train_eigen
        config: Any = EigenConfig(
            str(data.path), data.digest, model="mlp", options={"hidden": [16]}, density_weight=0.1, **common
        )
    else:
        begin, train = dynamics.begin, dynamics.train_dynamics
        config = DynamicsConfig(str(data.path), data.digest, model=task, rollout=5, noise=0.01, **common)

    class Stop(Exception):
        pass

    def stop(update: int, row: dict[str, object]) -> None:
        if update == 15:
            raise Stop

    def learned(run: Run) -> np.ndarray:
        return np.concatenate(
            [v.numpy().ravel() for v in load_file(run.model / "model.safetensors").values()]
        )

    whole, broken = begin(config, tmp_path / "whole"), begin(config, tmp_path / "broken")
    train(whole, str(device))
    with pytest.raises(Stop):
        train(broken, str(device), stop)
    train(broken, str(device))
    check_alike(learned(broken), learned(whole), device, record_property)


@pytest.mark.parametrize("tier", ["resident", "pool", "mirror"])
def test_batches_on_a_device_are_those_of_numpy(spectra: Dataset, device: torch.device, tier: str) -> None:
    """Also where the device is busy, and copies wait."""
    one, other = (open_stream(spectra, tier, batch=40, device=where) for where in (device, None))
    found = []
    for _ in range(32):  # more than an epoch
        if device.type == "cuda":
            torch.cuda._sleep(1_000_000)
        found.append([part.clone() for part in next(one)])
    for batch in found:
        for part, expected in zip(batch, next(other), strict=True):
            assert part.device.type == device.type
            np.testing.assert_array_equal(part.cpu().numpy(), expected)
    one.close()
    other.close()


def test_batches_of_trajectories_that_lie_on_the_device(trajectories: Dataset, device: torch.device) -> None:
    common: dict[str, Any] = {"batch": 8, "seed": 0, "device": device, "noise": 0.01}
    plain, placed = (
        WindowStream(trajectories, curriculum=CURRICULUM, channels=3, **common | {"device": where})
        for where in (torch.device("cpu"), device)
    )
    placed._on_device = tuple(  # type: ignore[assignment]
        torch.from_numpy(rows).to(device) for rows in (placed.windows.psi, placed.windows.potential)
    )
    for _ in range(5):
        for part, expected in zip(next(placed), next(plain), strict=True):
            torch.testing.assert_close(part.cpu(), expected, rtol=1e-6, atol=1e-7)
    psi, potential = next(SegmentStream(trajectories, batch=4, seed=0, device=device, unroll=3, v_scale=5.0))
    assert psi.shape == (4, 4, 64) and psi.device.type == potential.device.type == device.type


ROLLED = [
    *[("emulator_gru", options, False) for options in GRUS],
    ("emulator_gru", {"hidden": 16}, True),
    ("emulator_conv", {}, True),
    *[
        (name, {"points": 64, "mesh": 32}, moving)
        for name in ("emulator_unitary",)
        for moving in (False, True)
    ],
    ("emulator_spectral", {"points": 64}, False),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name, options, moving", ROLLED)
def test_recorded_rollouts_are_eager_ones(
    device: torch.device,
    name: str,
    options: dict[str, Any],
    moving: bool,
    dtype: torch.dtype,
    record_property: Says,
) -> None:
    torch.manual_seed(0)
    model = create_model(name, **options).to(device, dtype).eval()
    history, rng = getattr(model.config, "history", 1), np.random.default_rng(0)
    seed = rng.normal(size=(2, history, 64, 2)) / 10
    potential = rng.normal(size=(2, history + 12, 64) if moving else (2, 64))
    frames = []
    for recordable in (True, False):
        model.recordable = recordable
        frames.append(rollout(model, seed, potential, 12))
    assert frames[0].dtype == np.dtype(str(dtype).removeprefix("torch."))
    check_alike(frames[0], frames[1], device, record_property)
    in_single = rollout(model.float(), seed, potential, 12)
    np.testing.assert_allclose(in_single, frames[1], atol=1e-5)
    if device.type == "cpu":
        assert [graph.replays for graph in Graph.made] == [12]


def test_a_recorded_function_is_the_function(device: torch.device) -> None:
    """Nobody's tensors are changed but those that the function itself changes, once a call."""
    total = torch.zeros(3, device=device)

    def add(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        total.add_(x)
        return x + y, total * 2

    call = recorded(add, "a sum", device, state=lambda: [total])
    ones, base = torch.ones(3, device=device), torch.arange(12.0, device=device)
    first = call(ones, base[::4])
    second = call(2 * ones, base[1::4])
    assert first[0].tolist() == [1, 5, 9] and second[0].tolist() == [3, 7, 11]
    assert first[1].tolist() == [2, 2, 2] and second[1].tolist() == [6, 6, 6] and total.tolist() == [3, 3, 3]
    assert ones.tolist() == [1, 1, 1] and base.tolist() == list(range(12))
