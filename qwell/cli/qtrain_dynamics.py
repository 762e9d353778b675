"""`qtrain dynamics` and `rollout`: emulators of quantum dynamics."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from qwell.cli.answers import answer_with, as_json, open_kind, probes_folder
from qwell.cli.common import parse_settings
from qwell.cli.options import Names, given, option, path_option, refuse
from qwell.cli.training import (
    absolute,
    anyway_option,
    check_keep_norm,
    check_resume,
    device_option,
    keep_norm_option,
    run_training,
    training_options,
)
from qwell.studies.probes.asked import OfTrajectories
from qwell.train.config import TRAJECTORY_TIERS, DynamicsConfig


@click.command()
@click.option("--data", help="Data set of trajectories: store/paper-barrier.zarr …")
@training_options(DynamicsConfig, "dynamics", "Windows, or trajectories for models on the ring,")
@option(DynamicsConfig, "decay", help="Weight decay of AdamW.")
@option(DynamicsConfig, "clip", help="Largest norm of each tensor's gradient; 0 allows any.")
@option(
    DynamicsConfig,
    "noise",
    help="Standard deviation of noise that is added to ψ in what is seen, in units of its root mean square.",
)
@option(DynamicsConfig, "unroll", help="Frames that the loss runs models on the ring on for.")
@option(DynamicsConfig, "rollout", help="Frames of the rollouts that validate.")
@option(
    DynamicsConfig,
    "stream",
    type=Names(lambda: TRAJECTORY_TIERS),
    help="Place of the trajectories: auto, resident (in memory) or mirror (decoded on disk, memory-mapped).",
)
@option(
    DynamicsConfig,
    "start_from",
    metavar="MODEL",
    help="Trained emulator whose weights are begun with: a run, model folder or pretrained name.",
)
def dynamics(
    data: str | None, settings: tuple[str, ...], device: str, out: Path | None,
    resume: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Train an emulator: what was, to what comes next. Defaults are the recipe its authors released."""
    check_resume(data, resume, "store/demo.zarr")
    from qwell.store.reader import open_dataset
    from qwell.train.beginning import data_of, settings_of
    from qwell.train.devices import choose_device
    from qwell.train.dynamics import begin, train_dynamics
    from qwell.train.runs import Run, run_path
    from qwell.train.team import Team

    if resume:
        target = Run.resumed(resume, "dynamics")
        opened = data_of(DynamicsConfig.from_json(settings_of(target)), "dynamics")
    else:
        assert data is not None  # checked above
        _refuse_idle(options["model"] or DynamicsConfig.model)
        opened = open_dataset(data).require("trajectories")
        config = DynamicsConfig(
            data=absolute(data),
            digest=opened.digest,
            options=parse_settings(settings, "--set hidden=69"),
            **given(options),
        )
        target = begin(config, run_path(out, f"{opened.stem}-{config.model}"), opened)
    train = partial(train_dynamics, data=opened)
    run_training("dynamics", target, str(choose_device(device)), Team(), train, "validation_mae")
    click.echo(f"model:  {target.model}")


def _refuse_idle(model: str) -> None:
    """Raise InvalidInput for options that belong to emulators of the other sort."""
    from qwell.models.propagating import RingEmulator
    from qwell.models.registry import entry_of

    build = entry_of(model, "dynamics").build
    if isinstance(build, type) and issubclass(build, RingEmulator):
        refuse(f"{model} is a model on the ring, and learns without weight decay or noise", "decay", "noise")
    else:
        refuse(f"{model} sees windows; it belongs to models on the ring", "unroll")


@click.command()
@click.argument("model", metavar="RUN")
@click.option("--data", multiple=True, required=True, help="Trajectories to be predicted; repeat for more.")
@option(OfTrajectories, "split", help="Split of the data sets.")
@option(OfTrajectories, "frames", help="Number of frames to predict.")
@option(OfTrajectories, "row", help="Row of the simulation that is drawn.")
@anyway_option
@keep_norm_option
@path_option("--out", help="Folder to write figures, tables and numbers into.", default="RUN/probes")
@device_option
@as_json
def rollout(model: str, data: tuple[str, ...], out: Path | None, device: str, **options: Any) -> None:
    """Feed an emulator with its own predictions, and compare with the truth: all cases, every frame."""
    from qwell.studies.probes.rollouts import rollouts
    from qwell.train.devices import choose_device

    check_keep_norm([model])
    opened = [open_kind(path, "trajectories") for path in data]
    asked = {**given(options), "device": str(choose_device(device))}
    found = rollouts(model, opened, **asked)
    name = "rollout" if len(opened) > 1 else f"rollout-{opened[0].stem}"
    answer_with(replace(found, name=name), probes_folder(model, out))
