"""Training a network on potentials and their energies, from data set to trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qwell.errors import InvalidInput
from qwell.models.layers import Network
from qwell.models.registry import create_model, entry_of, save_pretrained, saved_options
from qwell.physics.grid import Grid
from qwell.physics.matter import symmetries_of
from qwell.progress import track
from qwell.store.dataset import Dataset
from qwell.store.reader import open_dataset
from qwell.train import metrics
from qwell.train.beginning import begin_run, check_model, data_of, settings_of
from qwell.train.calibration import LEAST, Calibration, calibrate
from qwell.train.config import PAPER, EigenConfig, known
from qwell.train.devices import choose_device, sensible_threads, threads
from qwell.train.eigen_steps import ENERGY_SCALE, make_optimizer, make_step
from qwell.train.loop import Stopped, train
from qwell.train.runs import Run, alone
from qwell.train.stream import open_stream
from qwell.train.team import Team

Progress = Callable[[int, dict[str, Any]], object]
FAR = 6  # σ
FAMILIAR = 20_000  # potentials of the training that say what others are unlike


def predict(model: Network, potential: np.ndarray, batch: int = 1000) -> np.ndarray:
    """Energies of potentials, in batches on the model's device, without gradients.

    Arguments:
        model: of the zoo.
        potential: (n, points), energy units.

    Returns: (n, levels) float64.

    Raises InvalidInput if the shape is not what the model was made for, or values are not finite.
    """
    points = model.config.points
    if potential.ndim != 2 or potential.shape[1] != points:
        raise InvalidInput(
            f"potentials have shape {potential.shape}; this model takes (n, {points}): values on {points}"
            " equally spaced points from wall to wall, in ħ²/(m·length²)"
        )
    if not np.isfinite(potential).all():
        row = int(np.flatnonzero(~np.isfinite(potential).all(axis=1))[0])
        raise InvalidInput(f"potential {row} holds NaN or infinity; remove or repair it")
    weight = next(model.parameters())
    device, dtype = weight.device, weight.dtype
    model.eval()
    parts = []
    with torch.inference_mode():
        for i in track(range(0, len(potential), batch), f"batches of {batch:,}"):
            part = torch.from_numpy(np.ascontiguousarray(potential[i : i + batch], dtype=np.float32))
            parts.append(model(part.to(device, dtype)).double().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0, model.config.levels))


def gradient_densities(model: Network, potential: np.ndarray, levels: int | None = None) -> np.ndarray:
    """∂f_i/∂v_m, by one backward pass a level, in the model's precision.

    Arguments:
        model: in eval mode.
        potential: (n, points), energy units.
        levels: how many, from the lowest; all by default.

    Returns: (n, levels, points) float64; dimensionless, and ψ_i²(m) with Σ_m = 1 for the exact f.
    """
    parameter = next(model.parameters())
    v = (
        torch.from_numpy(np.ascontiguousarray(potential))
        .to(parameter.device, parameter.dtype)
        .requires_grad_()
    )
    energy = model(v)
    slopes = [
        torch.autograd.grad(energy[:, i].sum(), v, retain_graph=True)[0]
        for i in range(levels or energy.shape[1])
    ]
    return torch.stack(slopes, dim=1).double().cpu().numpy()


def beyond_taught(potential: np.ndarray, recipe: Mapping[str, Any]) -> str:
    """A sentence if potentials (n, points) are far outside those of the recipe a model learned from, or "".

    Of a normal random potential no value in 10⁹ is beyond 6σ.
    """
    sigma = recipe.get("sigma")
    if not isinstance(sigma, int | float) or not len(potential):
        return ""
    largest = np.abs(potential).max(axis=1)
    row, beyond = int(largest.argmax()), int((largest > FAR * sigma).sum())
    if not beyond:
        return ""
    return (
        f"{beyond:,} of {len(potential):,} potentials are beyond what the network was taught: potential"
        f" {row} reaches {largest[row]:.3g}, it learned from σ = {sigma:g}; their energies are extrapolated,"
        " `qdata import` solves for them"
    )


def predict_split(model: Network, data: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and true energies of a whole split, shard by shard; each (rows, levels) float64."""
    shards = track(range(data[split].shards), f"shards of {split} predicted")
    pairs = [(predict(model, rows["potential"]), rows["energy"]) for rows in map(data[split].shard, shards)]
    if not pairs:
        made = "import" if data.origin.get("recipe") == "import" else "generate"
        raise InvalidInput(
            f"{data.path} has no rows in {split}; `qdata {made} … --validation N --force` makes it again"
            " with some, and --split train measures on the rows that are there"
        )
    return np.concatenate([p for p, _ in pairs]), np.concatenate([e for _, e in pairs])


def batches_of(data: Dataset, split: str = "train") -> Iterator[tuple[Tensor, Tensor]]:
    """Every row once, a shard at a time, as (potential, energy) tensors; for closed-form fits."""
    for i in track(range(data[split].shards), f"shards of {split} fitted"):
        rows = data[split].shard(i)
        yield torch.from_numpy(rows["potential"]).double(), torch.from_numpy(rows["energy"])


def fitting_options(data: Dataset) -> dict[str, Any]:
    """The options of a model that the data set decides: `points` and `levels`."""
    fields = data["train"].fields
    return {"points": fields["potential"].shape[0], "levels": fields["energy"].shape[0]}


def _without_broken_laws(config: EigenConfig, data: Dataset) -> dict[str, Any]:
    """The options of a model, where laws that the data set's medium breaks are not put in.

    Raises InvalidInput if one of them is asked for.
    """
    names = {one.name for one in fields(entry_of(config.model).config)}
    holds = symmetries_of(data.recipe, data.coordinates["x"])
    if config.mirror and not holds["mirrored"]:
        raise InvalidInput(f"the medium of {data.path} tells left from right; leave --mirror out")
    holds["averaged"] = holds["mirrored"]
    broken = [name for name, law in holds.items() if name in names and not law]
    for name in broken:
        if config.options.get(name):
            raise InvalidInput(
                f"{name}=true puts in a law that the medium of {data.path} breaks; leave it out"
            )
    return dict.fromkeys(broken, False) | config.options


def begin(config: EigenConfig, path: str | Path, data: Dataset | None = None) -> Run:
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
    data = data_of(config, "spectra", data)
    check_model(config, "spectra")
    entry = entry_of(config.model)
    options = _without_broken_laws(config, data)
    model = create_model(config.model, **fitting_options(data), **options)
    if config.mirror and getattr(model.config, "mirrored", False):
        raise InvalidInput(
            f"--mirror has no effect here: this {config.model} is mirrored by construction; leave it out,"
            " or add --set mirrored=false"
        )
    decided = {**PAPER, "first_rate": entry.first_rate, **entry.recipe, "threads": sensible_threads(model)}
    config = replace(config, options=asdict(model.config)).resolved(**decided)
    if missing := set(config.fields) - set(data["train"].fields):
        raise InvalidInput(
            f"{data.path} has no {missing.pop()}, which --density-weight needs; generate it with --densities"
        )
    for one in map(open_dataset, config.watch):
        if fitting_options(one.require("spectra")) != fitting_options(data):
            raise InvalidInput(
                f"{one.path} has other points or levels than {data.path}; leave it out of --watch"
            )
    if not entry.closed_form and known(config.batch) > len(data["train"]):
        rows = len(data["train"])
        raise InvalidInput(
            f"batch is {config.batch}; {data.path} has {rows} rows of train: --batch 1 to {rows}"
        )
    return begin_run("eigen", config, data, path)


@alone
def train_eigen(
    run: Run,
    device: str = "auto",
    progress: Progress = lambda update, row: None,
    team: Team | None = None,
    data: Dataset | None = None,
) -> Stopped:
    """Train, or continue to train, the model of a run; on completion save it in `run.model`.

    Long because it names, one a line, all that the stream and the loop are given.

    Arguments:
        run: begun by `begin`; its last checkpoint is taken up.
        device: "auto", "cpu", "cuda", "cuda:1" …
        progress: called after each measurement with the update and its row, a dictionary of numbers by
            name, which is logged by then; what it raises ends the training, which can be taken up again.
        team: the processes that train together (`join_team`); alone by default.
        data: the data set of the run, if it is open already.

    Returns: the last update, and the signal that stopped it if any.

    Raises:
        CheckpointError: the data set is no longer the one the run was begun with, or files are damaged.
        MissingPlugin: the model is a plug-in's that is not here.
        DeviceUnavailable, TrainingDiverged: as they say.
    """
    config = EigenConfig.from_json(settings_of(run))
    where, team = choose_device(device), team or Team()
    data = data_of(config, "spectra", data)
    watched = {"validation_nmse": data}
    watched |= {f"nmse on {one.stem}": one for one in map(open_dataset, config.watch)}
    torch.manual_seed(config.seed)
    options = saved_options(config.model, fitting_options(data) | config.options)
    model = create_model(config.model, **options)
    first = data["train"].shard(0, ["potential", "energy"])
    model.put_in(*(torch.from_numpy(first[name]) for name in ("potential", "energy")))
    model.to(where)
    if config.precision == "float64":
        model.double()
    if entry_of(config.model).closed_form:
        model.fit(batches_of(data))  # type: ignore[operator]
        row: dict[str, Any] = {"update": 0, **_measure(model, watched)}
        run.log(row)
        progress(0, row)
        stopped = Stopped(0)
    else:
        stream = open_stream(
            data,
            config.stream,
            fields=config.fields,
            batch=known(config.batch),
            seed=config.seed,
            device=where,
            rank=team.rank,
            world=team.world,
        )
        optimizer = make_optimizer(model, known(config.first_rate), config.optimizer)
        grid = Grid(len(data.coordinates["x"]) - 1)
        densities = (config.density_weight, grid) if config.density_weight else None
        step = make_step(model, optimizer, config.precision, config.compile, team, densities, config.mirror)
        power = float((first["energy"] ** 2).mean())
        try:
            with threads(config.threads):
                stopped = train(
                    model,
                    optimizer,
                    step,
                    stream,
                    config,
                    run,
                    describe=lambda loss: {"train_nmse": loss * ENERGY_SCALE**2 / power},
                    evaluate=lambda: _measure(model, watched),
                    team=team,
                    progress=progress,
                )
        finally:
            stream.close()
    if stopped.signal is None and team.leads:
        about = {
            "data": data.name,
            "digest": data.digest,
            "updates": stopped.update,
            "recipe": data.recipe,
        }
        if min(len(data["train"]), len(data["validation"])) >= LEAST:
            record = {"data": data.name, "digest": data.digest, "recipe": data.recipe}
            about |= {"calibration": {**calibrated(model, data).to_json(), **record}}
        save_pretrained(model, run.model, about)
    return stopped


def calibrated(model: Network, data: Dataset) -> Calibration:
    """Intervals of a network for potentials of the law of a data set, from its validation split.

    Potentials unlike those are told by its training split. Raises InvalidInput for fewer than 1,000 rows of
    validation, or points and levels that are not the network's.
    """
    wanted = {key: getattr(model.config, key) for key in ("points", "levels")}
    if (own := fitting_options(data.require("spectra"))) != wanted:
        raise InvalidInput(f"{data.path} has {_in_words(own)}, the network {_in_words(wanted)}")
    training = data["train"]["potential"][:FAMILIAR]
    if len(training) < LEAST:
        raise InvalidInput(f"{data.path} has {len(training)} rows of train; {LEAST:,} are needed")
    potential = data["validation"]["potential"][:]
    predicted, energy = predict_split(model, data, "validation")
    return calibrate(training, potential, predicted, energy)


def _in_words(shape: Mapping[str, int]) -> str:
    return " and ".join(f"{count} {name}" for name, count in shape.items())


def _measure(model: Network, watched: Mapping[str, Dataset]) -> dict[str, float]:
    """NMSE on the validation split of each data set that has one."""
    return {
        name: metrics.nmse(*predict_split(model, data, "validation"))
        for name, data in watched.items()
        if len(data["validation"])
    }
