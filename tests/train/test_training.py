"""The loop: resumes bit for bit, learns, and says what is wrong."""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import (
    CheckpointError,
    InvalidInput,
    QwellWarning,
    RunExists,
    RunNotFound,
    TrainingDiverged,
    WriteError,
)
from qwell.files import seal
from qwell.physics.grid import Grid
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.train import metrics
from qwell.train.averaging import Average
from qwell.train.checkpoint import save_checkpoint
from qwell.train.config import EigenConfig
from qwell.train.eigen import begin, gradient_densities, predict, predict_split, train_eigen
from qwell.train.eigen_steps import density_loss, make_optimizer, make_step
from qwell.train.evaluate import evaluate
from qwell.train.runs import Run, free_run_path, load_model
from qwell.train.schedules import rate
from qwell.train.soap import SOAP

SMALL = {"model": "mlp", "options": {"hidden": [32]}, "batch": 50, "log_every": 10, "evaluate_every": 50}


@pytest.fixture(scope="module")
def densities(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("densities") / "with-densities.zarr"
    generate(SpectraRecipe("rbf", n=2000, validation=200, densities=True), path, workers=0)
    return open_dataset(path)


def config(dataset: Dataset, **changes: object) -> EigenConfig:
    return EigenConfig(**{"data": str(dataset.path), "digest": dataset.digest, **SMALL, **changes})  # type: ignore[arg-type]


def weights(run: Path) -> dict[str, np.ndarray]:
    return {k: v.numpy() for k, v in load_file(run / "model/model.safetensors").items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def measured(run: Run) -> list[dict[str, object]]:
    """The log without the clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.metrics()]


def rates_of(dataset: Dataset, **changes: object) -> list[float]:
    recipe = config(dataset, updates=1000, first_rate=1e-3, last_rate=1e-5, **changes).resolved(warm_up=0.0)
    return [rate(recipe, u) for u in range(1000)]


def test_schedule_is_a_geometric_progression(dataset: Dataset) -> None:
    rates = rates_of(dataset, schedule="geometric")
    assert rates[0] == 1e-3 and rates[-1] == pytest.approx(1e-5)
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(1e-2) / 999, rtol=1e-9)


def test_cosine_and_linear_schedules_rise_and_fall(dataset: Dataset) -> None:
    """Up linearly in the warm-up; half-way between both rates half-way down, and at the last in the end."""
    for schedule in ("cosine", "linear"):
        rates = np.array(rates_of(dataset, schedule=schedule, warm_up=0.1))
        np.testing.assert_allclose(rates[:100], 1e-3 * np.arange(1, 101) / 100)
        assert (np.diff(rates[100:]) < 0).all() and rates[-1] == pytest.approx(1e-5)
        assert rates[549] == pytest.approx((1e-3 + 1e-5) / 2)
    for wrong in ({"schedule": "steps"}, {"warm_up": 2.0}, {"ema": 1.0}, {"threads": 0}):
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            config(dataset, **wrong)


def test_the_paper_s_recipe_is_that_of_its_network(dataset: Dataset, tmp_path: Path) -> None:
    """res_sa: Adam from 1e-3 to 1e-5 geometrically, batches of 100 (spectra paper, appendix A)."""
    about = begin(config(dataset, model="res_sa", options={}, batch=None), tmp_path / "run").config
    expected = {"updates": 100_000, "batch": 100, "first_rate": 1e-3, "last_rate": 1e-5, "ema": 0}
    expected |= {"schedule": "geometric", "warm_up": 0}
    assert {name: about[name] for name in expected} == expected


def test_averaged_weights_are_the_average_and_are_resumed(dataset: Dataset, tmp_path: Path) -> None:
    """w̄ ← d w̄ + (1 − d) w by hand; saved in place of the last weights; the same after an interruption."""
    model = torch.nn.Linear(3, 2)
    average, expected = Average(model, 0.9), model.weight.detach().clone()
    for update in range(1, 30):
        with torch.no_grad():
            model.weight.normal_()
        average.add(update)
        decay = min(0.9, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.weights["weight"], expected)
    with average.applied():
        torch.testing.assert_close(model.weight.detach(), expected)
    assert not torch.equal(model.weight, expected)
    recipe = config(dataset, updates=40, checkpoint_every=20, ema=0.9)
    runs = [begin(recipe, tmp_path / name) for name in ("whole", "stopped")]
    train_eigen(runs[0])
    with pytest.raises(KeyboardInterrupt):
        train_eigen(runs[1], progress=interrupt_at(30))
    train_eigen(runs[1])
    assert same(weights(runs[0].path), weights(runs[1].path))
    assert not same(weights(runs[0].path), last_weights(runs[0].path))


def interrupt_at(update: int) -> Callable[[int, object], None]:
    def progress(now: int, row: object) -> None:
        if now == update:
            raise KeyboardInterrupt

    return progress


def last_weights(run: Path) -> dict[str, np.ndarray]:
    """The weights of the last update, from the checkpoint."""
    tensors = load_file(run / "checkpoints/last.safetensors")
    return {k.removeprefix("model."): v.numpy() for k, v in tensors.items() if k.startswith("model.")}


def test_metrics_by_hand() -> None:
    energy, prediction = np.array([[3.0, -4.0], [0.0, 12.0]]), np.array([[3.0, -3.0], [1.0, 10.0]])
    assert metrics.nmse(prediction, energy) == pytest.approx(6 / 169)
    np.testing.assert_allclose(metrics.mean_absolute_error(prediction, energy), [0.5, 1.5])
    np.testing.assert_allclose(metrics.relative_error(prediction, energy), [1 / 3, 3 / 16])


def test_training_beats_linear_regression_and_the_metric_is_honest(dataset: Dataset, tmp_path: Path) -> None:
    options = {"options": {"hidden": [128]}, "updates": 1500, "evaluate_every": 500}
    run = begin(config(dataset, **options), tmp_path / "run")
    train_eigen(run)
    answer = evaluate(run.path, dataset)
    nmse = {row.name.split()[0]: row.metrics["nmse"] for row in answer.rows}
    assert nmse["run"] < 0.9 * nmse["linear"] < 0.2 * nmse["mean"]
    history = [row["validation_nmse"] for row in run.metrics() if "validation_nmse" in row]
    assert history[-1] == pytest.approx(nmse["run"], rel=1e-6) and history[-1] < history[0]
    prediction, energy = predict_split(load_model(run.path), dataset, "validation")
    assert metrics.nmse(prediction, energy) == pytest.approx(history[-1], rel=1e-6)


def test_networks_are_measured_side_by_side(dataset: Dataset, tmp_path: Path) -> None:
    """Each as alone, whatever stands beside it; names tell them apart."""
    run = begin(config(dataset, updates=1), tmp_path / "run")
    train_eigen(run)
    both = evaluate([run.path, "hamiltonian-m3"], dataset)
    alone = [evaluate(one, dataset).asked for one in (run.path, "hamiltonian-m3")]
    assert list(both.asked) == ["run", "hamiltonian-m3"] and len(both.rows) == 4
    for name, row in (alone[0] | alone[1]).items():
        assert both.asked[name].metrics == row.metrics
    assert both.figure().axes[1].get_yscale() == "log"
    with pytest.raises(InvalidInput, match="two models have the name run"):
        evaluate([run.path, run.path], dataset)


@pytest.mark.parametrize(("stream", "optimizer"), [("resident", "adam"), ("pool", "adam"), ("pool", "soap")])
def test_stopped_and_resumed_is_bit_for_bit_the_undisturbed(
    dataset: Dataset, tmp_path: Path, stream: str, optimizer: str
) -> None:
    recipe = config(dataset, updates=237, stream=stream, optimizer=optimizer, checkpoint_every=1000)
    whole = begin(recipe, tmp_path / "whole")
    train_eigen(whole)
    run = begin(recipe, tmp_path / "stopped")

    def interrupt(update: int, row: dict[str, object]) -> None:
        if update in (50, 120):
            os.kill(os.getpid(), signal.SIGTERM if update == 50 else signal.SIGINT)

    first = train_eigen(run, progress=interrupt)
    assert first.signal == signal.SIGTERM and 50 <= first.update <= 51 and not run.model.exists()
    second = train_eigen(run, progress=interrupt)
    assert second.signal == signal.SIGINT
    assert train_eigen(run).signal is None
    assert same(weights(run.path), weights(whole.path)) and measured(run) == measured(whole)


def test_a_crash_between_checkpoints_leaves_no_trace(dataset: Dataset, tmp_path: Path) -> None:
    """The checkpoint at update 33 lies inside a logging interval; later lines are made again."""
    recipe = config(dataset, updates=100, checkpoint_every=33)
    whole, run = begin(recipe, tmp_path / "whole"), begin(recipe, tmp_path / "crashed")
    train_eigen(whole)

    def crash(update: int, row: dict[str, object]) -> None:
        if update == 60:
            raise MemoryError

    with pytest.raises(MemoryError):
        train_eigen(run, progress=crash)
    train_eigen(run)
    assert same(weights(run.path), weights(whole.path)) and measured(run) == measured(whole)


@pytest.mark.slow
def test_kill_9_and_resume_gives_the_same_weights(dataset: Dataset, tmp_path: Path) -> None:
    options = [
        "--data",
        dataset.path,
        "--model",
        "mlp",
        "--set",
        "hidden=[64]",
        "--updates",
        "2000",
        "--checkpoint-every",
        "100",
    ]
    command = [sys.executable, "-m", "qwell.cli.qtrain", "eigen"]
    subprocess.run([*command, *options, "--out", tmp_path / "whole"], check=True, capture_output=True)
    run = tmp_path / "killed"
    process = subprocess.Popen(
        [*command, *options, "--out", run], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (run / "checkpoints/previous.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (run / "model").exists()
    subprocess.run([*command, "--resume", run], check=True, capture_output=True)
    assert same(weights(run), weights(tmp_path / "whole"))


def test_a_damaged_last_checkpoint_gives_way_to_the_previous(dataset: Dataset, tmp_path: Path) -> None:
    recipe = config(dataset, updates=90, checkpoint_every=30)
    run = begin(recipe, tmp_path / "run")
    train_eigen(run)
    expected = weights(run.path)
    (run.checkpoints / "last.safetensors").write_bytes(b"garbage")
    with pytest.warns(QwellWarning, match="goes on from the one before"):
        train_eigen(run)
    assert same(weights(run.path), expected)
    for path in run.checkpoints.iterdir():
        path.write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="damaged"):
        train_eigen(run)


def test_every_bit_of_a_checkpoint_is_vouched_for(dataset: Dataset, tmp_path: Path) -> None:
    """One bit flipped in the last: the previous is gone on from, to the same weights; in both: refused."""
    run = begin(config(dataset, updates=20, checkpoint_every=10, options={"hidden": [4]}), tmp_path / "run")
    train_eigen(run)
    expected, dice = weights(run.path), random.Random(1)
    last, previous = (run.checkpoints / f"{name}.safetensors" for name in ("last", "previous"))
    for _ in range(10):
        before = previous.read_bytes()
        _flip(last, dice)
        with pytest.warns(QwellWarning, match="goes on from the one before"):
            train_eigen(run)
        assert same(weights(run.path), expected) and previous.read_bytes() == before
    for _ in range(30):
        whole = last.read_bytes(), previous.read_bytes()
        _flip(last, dice)
        _flip(previous, dice)
        with pytest.raises(CheckpointError, match="damaged"):
            train_eigen(run)
        last.write_bytes(whole[0])
        previous.write_bytes(whole[1])


def _flip(path: Path, dice: random.Random) -> None:
    flipped = bytearray(path.read_bytes())
    flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
    path.write_bytes(flipped)


def test_the_settings_of_a_run_are_vouched_for(dataset: Dataset, tmp_path: Path) -> None:
    """A digit that flips is refused; a person who changes one on purpose takes the checksum out."""
    run = begin(config(dataset, updates=20), tmp_path / "run")
    text = (run.path / "config.json").read_text()
    (run.path / "config.json").write_text(text.replace('"updates": 20', '"updates": 30'))
    with pytest.raises(CheckpointError, match='take the line "sha256" out'):
        train_eigen(run)
    changed = {k: v for k, v in json.loads(text).items() if k != "sha256"} | {"updates": 30}
    (run.path / "config.json").write_text(json.dumps(changed))
    assert train_eigen(run).update == 30


def test_checkpoint_of_another_model(dataset: Dataset, tmp_path: Path) -> None:
    a, b = (begin(config(dataset, updates=10, options={"hidden": [n]}), tmp_path / str(n)) for n in (8, 9))
    train_eigen(a)
    a.checkpoints.rename(b.checkpoints)
    with pytest.raises(CheckpointError, match="another model"):
        train_eigen(b)


def test_a_changed_data_set_is_noticed(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="restore that data set"):
        begin(config(dataset, digest="0" * 64), tmp_path / "other")
    run = begin(config(dataset), tmp_path / "run")
    run.write("config.json", seal({**run.config, "digest": "0" * 64}).decode())
    with pytest.raises(CheckpointError, match="restore that data set"):
        train_eigen(run)


def test_divergence_is_said(dataset: Dataset, tmp_path: Path) -> None:
    run = begin(config(dataset, updates=300, first_rate=1e30, last_rate=1e30), tmp_path / "run")
    with pytest.raises(TrainingDiverged, match="--first-rate"):
        train_eigen(run)


def test_a_first_gradient_that_is_no_number(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SOAP begins with its eigenvectors, and it has none."""
    step = SOAP.step

    def broken(self: SOAP, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad.fill_(math.nan)
        step(self, closure)

    monkeypatch.setattr(SOAP, "step", broken)
    run = begin(config(dataset, optimizer="soap"), tmp_path / "run")
    with pytest.raises(TrainingDiverged, match="the loss is nan"):
        train_eigen(run)


@pytest.mark.parametrize("model", ["mean", "linear"])
def test_closed_form_models_need_no_updates(dataset: Dataset, tmp_path: Path, model: str) -> None:
    run = begin(config(dataset, model=model, options={}), tmp_path / "run")
    train_eigen(run)
    prediction, energy = predict_split(load_model(run.path), dataset, "validation")
    assert metrics.nmse(prediction, energy) < {"mean": 0.4, "linear": 0.06}[model]


def test_bf16_steps_learn_the_same(dataset: Dataset, tmp_path: Path) -> None:
    losses = {}
    for precision in ("float32", "bf16"):
        run = begin(config(dataset, updates=100, precision=precision), tmp_path / precision)
        train_eigen(run)
        losses[precision] = run.metrics()[-1]["loss"]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")  # torch cannot follow what checks shapes
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
def test_compiled_steps_learn_the_same(dataset: Dataset, tmp_path: Path) -> None:
    losses = []
    for compiled in (False, True):
        run = begin(config(dataset, updates=50, compile=compiled), tmp_path / str(compiled))
        train_eigen(run)
        losses.append(run.metrics()[-1]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_tensorboard_holds_the_measurements(dataset: Dataset, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = begin(config(dataset, updates=100, tensorboard=True), tmp_path / "run")
    train_eigen(run)
    events = accumulator.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    ours = [(row["update"], row["loss"]) for row in run.metrics()]
    theirs = [(e.step, e.value) for e in events.Scalars("loss")]
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)


def test_runs_are_never_overwritten(dataset: Dataset, tmp_path: Path) -> None:
    begin(config(dataset), tmp_path / "run")
    with pytest.raises(RunExists, match="--resume"):
        begin(config(dataset), tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("")
    with pytest.raises(RunExists, match="not empty"):
        begin(config(dataset), tmp_path / "other")
    assert free_run_path(tmp_path, "run") == tmp_path / "run-2"
    with pytest.raises(RunNotFound, match="no run"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunNotFound, match="--resume"):
        (tmp_path / "run/checkpoints").mkdir()
        load_model(tmp_path / "run")


@pytest.mark.parametrize(
    ("potential", "message"),
    [(np.zeros((2, 100)), r"takes \(n, 101\)"), (np.full((2, 101), np.nan), "potential 0 holds NaN")],
)
def test_prediction_refuses(dataset: Dataset, tmp_path: Path, potential: np.ndarray, message: str) -> None:
    run = begin(config(dataset, updates=2), tmp_path / "run")
    train_eigen(run)
    with pytest.raises(InvalidInput, match=message):
        predict(load_model(run.path), potential)


def test_run_records_what_it_was_trained_on(dataset: Dataset, tmp_path: Path) -> None:
    run = begin(config(dataset, updates=2), tmp_path / "run")
    train_eigen(run)
    about = json.loads((run.model / "config.json").read_text())["metadata"]
    assert about["digest"] == dataset.digest and about["updates"] == 2
    assert run.config["about"]["torch"] == torch.__version__


def test_half_of_a_batch_is_mirrored() -> None:
    """The loss of a mirrored step is that of the same step on rows turned round by hand, densities too."""
    g = torch.Generator().manual_seed(0)
    v, energy = torch.randn(5, 11, generator=g), torch.randn(5, 3, generator=g)
    turned = torch.cat([v[:2].flip(1), v[2:]])
    losses = []
    for potential, mirror in ((v, True), (turned, False), (v, False)):
        torch.manual_seed(1)
        model = torch.nn.Linear(11, 3)
        losses.append(float(make_step(model, make_optimizer(model, 1e-3), mirror=mirror)(potential, energy)))
    assert losses[0] == losses[1] != losses[2]


def test_mirrored_batches_are_refused_where_left_is_not_right(tmp_path: Path) -> None:
    recipe = SpectraRecipe("m3", n=300, validation=10, matter="case1", solver="lanes")
    generate(recipe, tmp_path / "x.zarr", workers=0)
    with pytest.raises(InvalidInput, match="tells left from right; leave --mirror out"):
        begin(config(open_dataset(tmp_path / "x.zarr"), mirror=True), tmp_path / "run")


def test_mirrored_batches_are_refused_for_a_network_that_is_mirrored(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="--mirror has no effect here: this mlp is mirrored"):
        begin(config(dataset, mirror=True, options={"hidden": [8]}), tmp_path / "run")
    begin(config(dataset, mirror=True, options={"hidden": [8], "mirrored": False}), tmp_path / "run")


def test_density_loss_is_the_sum_over_levels_in_the_mean() -> None:
    """The mixture of levels has the expectation ⟨∫(∂f/∂v/dx − ρ)² dx⟩, computed level by level."""
    g = torch.Generator().manual_seed(0)
    weight = torch.rand(3, 11, generator=g, dtype=torch.float64)
    v = torch.rand(4, 11, generator=g, dtype=torch.float64).requires_grad_()
    density = torch.rand(4, 3, 11, generator=g, dtype=torch.float64)
    dx = 0.2
    direct = ((weight - density) / dx).square().sum(2).mean() * dx
    torch.manual_seed(0)
    drawn = torch.stack([density_loss(v @ weight.T, v, density, Grid(v.shape[1] - 1)) for _ in range(4000)])
    error = drawn.std() / len(drawn) ** 0.5
    assert abs(drawn.mean() - direct) < 4 * error < 0.1 * direct


def test_densities_teach_densities(densities: Dataset, tmp_path: Path) -> None:
    """With --density-weight the gradients come nearer to ψ²."""
    found = {}
    for weight in (0.0, 1.0):
        recipe = config(densities, updates=400, density_weight=weight, options={"hidden": [64]})
        run = begin(recipe, tmp_path / str(weight))
        train_eigen(run)
        rows = densities["validation"]
        slope = gradient_densities(load_model(run.path), rows["potential"][:100].astype(float))
        found[weight] = np.square(slope - rows["density"][:100]).sum()
    assert found[1.0] < 0.9 * found[0.0]


def test_densities_must_be_there(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--densities"):
        begin(config(dataset, density_weight=1.0), tmp_path / "run")


def test_watched_sets_are_measured(dataset: Dataset, densities: Dataset, tmp_path: Path) -> None:
    run = begin(config(dataset, updates=50, watch=(str(densities.path),)), tmp_path / "run")
    train_eigen(run)
    last = run.metrics()[-1]
    expected = metrics.nmse(*predict_split(load_model(run.path), densities, "validation"))
    assert last[f"nmse on {densities.stem}"] == pytest.approx(expected, rel=1e-6)


def test_a_watched_set_must_fit(dataset: Dataset, tmp_path: Path) -> None:
    other = tmp_path / "few.zarr"
    generate(SpectraRecipe("m3", n=100, validation=100, levels=3), other, workers=0)
    with pytest.raises(InvalidInput, match="--watch"):
        begin(config(dataset, watch=(str(other),)), tmp_path / "run")


@pytest.mark.parametrize("line", [b'{"up\xe4ate": 2}', b'{"updaue": 2}', b'{"update": "2"}', b"[2]", b"{"])
def test_damaged_lines_of_measurements_are_left_out(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'{"update": 1}\n' + line + b'\n{"update": 3}\n')
    Run(tmp_path).rewind(3)
    assert [row["update"] for row in Run(tmp_path).metrics()] == [1, 3]


def test_a_checkpoint_that_cannot_be_written_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    model = torch.nn.Linear(2, 2)
    with pytest.raises(WriteError, match=r"write elsewhere with --out; then continue with --resume"):
        save_checkpoint(tmp_path / "checkpoints", model, torch.optim.Adam(model.parameters()), {})
