"""Training an emulator of quantum dynamics, from trajectories to trained model (dynamics paper, Methods)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qwell.errors import InvalidInput
from qwell.models.emulators import GRUEmulator, WindowConfig, WindowEmulator
from qwell.models.layers import Network
from qwell.models.propagating import RingEmulator, UnitaryConfig, change_mesh
from qwell.models.registry import create_model, entry_of, save_pretrained
from qwell.store.dataset import Dataset, Split
from qwell.store.driven import is_driven, potentials_of
from qwell.store.windows import Curriculum
from qwell.train.beginning import begin_run, check_model, data_of, settings_of
from qwell.train.config import (
    EPOCHS,
    FREE_EPOCHS,
    MEASURED,
    RING_UPDATES,
    RINGS,
    WINDOWS,
    DynamicsConfig,
    known,
)
from qwell.train.devices import choose_device, sensible_threads, threads
from qwell.train.gru_gradient import HandGradient
from qwell.train.horizon import LEAST, horizon_of
from qwell.train.loop import BatchStream, Stopped, train
from qwell.train.metrics import waves_compared
from qwell.train.recording import recorded, records_on, training_state
from qwell.train.rollout import history_of, predict_frames
from qwell.train.runs import Run, alone, load_model, trained_on
from qwell.train.team import Team
from qwell.train.trajectories import SegmentStream, WindowStream

Progress = Callable[[int, dict[str, Any]], object]
VALIDATED = 12  # simulations of the validation split that are rolled out


def training_split(data: Dataset) -> Split:
    """What is learned from; InvalidInput if a data set has only test cases."""
    if "train" not in data.splits:
        raise InvalidInput(f"{data.path} has no training split; its simulations are for `qtrain rollout`")
    return data["train"]


def fitting_options(model: str, data: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """The options of an emulator that the data set decides, unless they are given."""
    entry, part = entry_of(model), training_split(data)
    if entry.config is WindowConfig:
        curriculum = Curriculum.of(data)
        free = not is_driven(data) and not part["potential"][:].any()
        decided = {"channels": 2 if free else 3, "history": curriculum.history, "width": curriculum.width}
    elif entry.config is UnitaryConfig:
        decided = {"points": part.shape_of("psi")[1]}
    else:
        decided = {}
    return {**decided, **options}


def recipe_of(model: str, data: Dataset, batch: int | None, options: dict[str, Any]) -> dict[str, Any]:
    """Batch, updates and first rate of an emulator, where they are not given.

    The released recipe is 5 epochs of windows, 3 without a potential. Emulators on the ring have no released
    recipe; ours is 12,000 updates of 8 trajectories.

    Raises InvalidInput for a batch of more windows than there are.
    """
    entry = entry_of(model)
    decided = fitting_options(model, data, options)
    if entry.config is not WindowConfig:
        return {"batch": batch or RINGS, "updates": RING_UPDATES, "first_rate": entry.first_rate}
    part, batch = training_split(data), batch or WINDOWS
    times, edges = Curriculum.of(data).counts(*part.shape_of("psi")[:2])
    epochs = EPOCHS if decided["channels"] == 3 else FREE_EPOCHS
    windows = len(part) * times * edges
    if batch > windows:
        raise InvalidInput(f"batch is {batch}; {data.path} has {windows:,} windows: choose 1 to that")
    updates = epochs * (windows // batch)
    return {"batch": batch, "updates": updates, "first_rate": entry.first_rate}


def begin(config: DynamicsConfig, path: str | Path, data: Dataset | None = None) -> Run:
    """Check a recipe against its data and begin a run directory for it.

    Arguments:
        config: the recipe; what it leaves open is filled in.
        path: of the run.
        data: the data set, if it is open already.

    Raises:
        CheckpointError: the data set is not the version that the recipe names.
        UnknownModel, InvalidInput: the recipe cannot be trained.
        RunExists, WriteError: the run directory cannot be made.
    """
    data = data_of(config, "dynamics", data)
    check_model(config, "dynamics")
    config = config.resolved(**recipe_of(config.model, data, config.batch, config.options))
    if config.precision != "float32" or config.watch:
        raise InvalidInput("emulators are trained in float32, without --watch")
    options = fitting_options(config.model, data, config.options)
    model = create_model(config.model, **options)
    config = replace(config, options=options).resolved(threads=sensible_threads(model))
    if config.start_from:
        begun_with(config)
    part = training_split(data)
    if history_of(model) + config.rollout > part.shape_of("psi")[0]:
        raise InvalidInput(
            f"rollout is {config.rollout}; {data.path} has only {part.fields['psi'].shape[0]} frames"
        )
    return begin_run("dynamics", config, data, path)


def begun_with(config: DynamicsConfig) -> Network:
    """The trained model whose weights a training begins with; InvalidInput unless it is of the same form."""
    source = load_model(str(config.start_from), task="dynamics")
    wanted = create_model(config.model, **config.options).config
    if (source.registry_name, source.config) != (config.model, wanted):
        raise InvalidInput(
            f"{config.start_from} holds {source.registry_name} with {source.config}; this training needs"
            f" {config.model} with {wanted}"
        )
    return source


def make_optimizer(model: nn.Module, config: DynamicsConfig) -> torch.optim.AdamW:
    """AdamW with β = (.9, .999), its decay on matrices only; on a GPU its learning rate is a tensor."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    decay = config.decay if isinstance(model, WindowEmulator) else 0.0
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    device, rate = next(model.parameters()).device, known(config.first_rate)
    groups = [g for g in groups if g["params"]]
    if records_on(device):
        lr = torch.tensor(rate, device=device)
        return torch.optim.AdamW(groups, lr=lr, fused=True, capturable=True)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def window_loss(model: nn.Module, seen: Tensor, target: Tensor) -> Tensor:
    """⟨(prediction − target)²⟩ over windows, points, Re and Im."""
    return nn.functional.mse_loss(model(seen), target)


def ring_loss(model: RingEmulator, psi: Tensor, potential: Tensor) -> Tensor:
    """⟨|prediction − truth|²⟩/2 over all frames of segments, each predicted from the one predicted before.

    Arguments:
        psi: (b, unroll + 1, n) complex, compared on the mesh of the model.
        potential: (b, n); or (b, unroll, n), between the frames, where it changes with time.
    """
    psi = change_mesh(psi, model.mesh)
    fixed, now = model.prepare(potential) if potential.ndim == 2 else None, psi[:, 0]
    total = torch.zeros((), device=psi.device)
    for number, frame in enumerate(psi[:, 1:].unbind(1)):
        now = model.advance(now, fixed or model.prepare(potential[:, number]))
        total = total + torch.view_as_real(now - frame).square().mean()
    return total / (psi.shape[1] - 1)


def gradient_of(model: Network, config: DynamicsConfig) -> Callable[..., Tensor]:
    """From a batch to its loss, whose gradient is left with the parameters; by hand where that is faster."""
    by_numpy = not records_on(next(model.parameters()).device)
    if isinstance(model, GRUEmulator) and by_numpy and not config.compile:
        return HandGradient(model)
    loss_of: Callable[..., Tensor] = ring_loss if isinstance(model, RingEmulator) else window_loss
    forward = torch.compile(model) if config.compile else model

    def by_autograd(*batch: Tensor) -> Tensor:
        model.zero_grad(set_to_none=True)
        loss = loss_of(forward, *batch)
        loss.backward()
        return loss

    return by_autograd


def make_step(
    model: Network, optimizer: torch.optim.Optimizer, config: DynamicsConfig, team: Team
) -> Callable[..., Tensor]:
    """An update: loss, gradients clipped tensor by tensor, AdamW; on a GPU recorded as a CUDA graph."""
    parameters = list(model.parameters())
    gradient = gradient_of(model, config)

    def step(*batch: Tensor) -> Tensor:
        loss = gradient(*batch)
        team.average_gradients(model)
        if config.clip:
            gradients = [p.grad for p in parameters if p.grad is not None]
            norms = torch.stack(torch._foreach_norm(gradients))
            torch._foreach_mul_(gradients, (config.clip / (norms + 1e-12)).clamp(max=1.0).unbind())
        optimizer.step()
        return loss.detach()

    device, state = parameters[0].device, partial(training_state, model, optimizer)
    return recorded(step, "an update", device, model, optimizer, state=state)


def open_stream(model: Network, data: Dataset, config: DynamicsConfig, device: torch.device) -> BatchStream:
    """Batches for a model: windows, or segments of whole rings."""
    curriculum = Curriculum.of(data)
    common: dict[str, Any] = {
        "batch": known(config.batch), "seed": config.seed, "device": device, "tier": config.stream
    }  # fmt: skip
    if isinstance(model, RingEmulator):
        return SegmentStream(data, unroll=config.unroll, v_scale=curriculum.v_scale, **common)
    shape = {"history": model.config.history, "width": model.config.width}
    return WindowStream(
        data,
        curriculum=replace(curriculum, **shape),
        channels=model.config.channels,
        noise=config.noise,
        **common,
    )


@alone
def train_dynamics(
    run: Run,
    device: str = "auto",
    progress: Progress = lambda update, row: None,
    team: Team | None = None,
    data: Dataset | None = None,
) -> Stopped:
    """Train, or continue to train, the emulator of a run; on completion save it in `run.model`.

    Arguments, returns: as `train_eigen`.

    Raises:
        CheckpointError: the data set is no longer the one the run was begun with, or files are damaged.
        DeviceUnavailable, TrainingDiverged: as they say.
    """
    config, where, team = DynamicsConfig.from_json(settings_of(run)), choose_device(device), team or Team()
    data = data_of(config, "dynamics", data)
    torch.manual_seed(config.seed)
    model = create_model(config.model, **config.options).to(where)
    if config.start_from and not run.checkpoints.exists():
        model.load_state_dict(begun_with(config).state_dict())
    optimizer = make_optimizer(model, config)

    def evaluate() -> dict[str, float]:
        if "validation" not in data.splits:
            return {}
        model.eval()
        v_scale, some = Curriculum.of(data).v_scale, slice(0, VALIDATED)
        psi, potential = data["validation"]["psi"][some], potentials_of(data, "validation", some)
        compared = waves_compared(*predict_frames(model, v_scale, psi, potential, config.rollout))
        return {
            "validation_mae": float(compared.mae.mean()),
            "validation_C": float(compared.correlation.mean()),
        }

    with threads(config.threads):
        stopped = train(
            model,
            optimizer,
            make_step(model, optimizer, config, team),
            open_stream(model, data, config, where),
            config,
            run,
            describe=lambda loss: {},
            evaluate=evaluate,
            team=team,
            progress=progress,
        )
    if stopped.signal is None and team.leads:
        save_pretrained(model, run.model, _about(model.eval(), data, config, stopped.update))
    return stopped


def _about(model: Network, data: Dataset, config: DynamicsConfig, updates: int) -> dict[str, Any]:
    """What a trained emulator says of itself, with bounds on its errors if they can be calibrated."""
    before = trained_on(config.start_from).get("updates", 0) if config.start_from else 0
    v_scale = Curriculum.of(data).v_scale
    about: dict[str, Any] = {
        "data": data.name,
        "digest": data.digest,
        "rows": len(training_split(data)),
        "updates": updates + before,
        "v_scale": v_scale,
        "recipe": data.origin,
    }
    if MEASURED in data.splits and len(data[MEASURED]) >= LEAST:
        bounds = horizon_of(model, v_scale, data).to_json()
        about["horizon"] = {**bounds, "data": data.name, "digest": data.digest}
    return about
