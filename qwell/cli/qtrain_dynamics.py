"""`qtrain dynamics` and `rollout`: emulators of quantum dynamics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import as_json, parse_settings
from qwell.cli.qtrain_probe import finish, open_kind
from qwell.cli.training import (
    absolute,
    check_resume,
    device_option,
    intervals,
    run_training,
    training_options,
)


@click.command()
@click.option("--data", help="Data set of trajectories: store/paper-barrier.zarr …")
@click.option("--model", default="emulator_gru", show_default=True, help="An emulator; see `qtrain models`.")
@training_options(
    "the released recipe's, 5 epochs, 3 without potential; 12,000 for models on the ring",
    "Windows an update; trajectories for models on the ring.  [default: 128; 8]",
)
@click.option("--last-rate", type=float, default=1e-6, show_default=True, help="Learning rate at the end.")
@click.option(
    "--warm-up", type=float, default=0.01, show_default=True, help="Share of updates it rises over."
)
@click.option("--decay", type=float, default=0.01, show_default=True, help="Weight decay of AdamW.")
@click.option(
    "--clip", type=float, default=1.0, show_default=True, help="Norm of each tensor's gradient; 0: any."
)
@click.option(
    "--unroll", type=int, default=4, show_default=True, help="Frames the loss runs models on the ring on for."
)
@click.option("--rollout", type=int, default=100, show_default=True, help="Frames of validating rollouts.")
@click.pass_context
def dynamics(
    context: click.Context,
    data: str | None,
    model: str,
    settings: tuple[str, ...],
    device: str,
    out: Path | None,
    resume: Path | None,
    **options: Any,
) -> None:
    """Train an emulator: what was, to what comes next. Defaults are the recipe its authors released."""
    check_resume(context, data, resume, "store/demo.zarr")
    from qwell.store.reader import open_dataset
    from qwell.train.config import DynamicsConfig
    from qwell.train.devices import choose_device
    from qwell.train.dynamics import begin, recipe_of, train_dynamics
    from qwell.train.runs import Run, free_run_path
    from qwell.train.team import Team

    if resume:
        target = Run.open(resume)
    else:
        assert data is not None  # checked above
        opened = open_dataset(data).require("trajectories")
        chosen = parse_settings(settings, "--set hidden=69")
        known = recipe_of(model, opened, options["batch"], chosen)
        known |= {k: v for k, v in options.items() if v is not None}
        known |= intervals(known["updates"], options)
        config = DynamicsConfig(
            data=absolute(data),
            digest=opened.digest,
            model=model,
            options=chosen,
            **known,
        )
        target = begin(config, out or free_run_path(Path("runs"), f"{opened.stem}-{model}"))
    run_training("dynamics", target, str(choose_device(device)), Team(), train_dynamics, "validation_mae")
    click.echo(f"model:  {target.model}")


@click.command()
@click.argument("model", metavar="RUN")
@click.option("--data", multiple=True, required=True, help="Trajectories to be predicted; repeat for more.")
@click.option("--split", default="test", show_default=True)
@click.option("--frames", type=int, default=400, show_default=True, help="To predict.")
@click.option("--row", type=int, default=0, show_default=True, help="Of the simulation drawn.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write into.  [default: RUN/probes]")
@device_option
@as_json
def rollout(
    model: str,
    data: tuple[str, ...],
    split: str,
    frames: int,
    row: int,
    out: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Feed an emulator with its own predictions, and compare with the truth: all cases, every frame."""
    from qwell.studies.probes.rollouts import rollouts
    from qwell.train.devices import choose_device

    opened = [open_kind(path, "trajectories") for path in data]
    found = rollouts(model, opened, split, frames, row, str(choose_device(device)))
    name = "rollout" if len(opened) > 1 else f"rollout-{opened[0].stem}"
    finish(replace(found, name=name), model, out, as_json)


COMMANDS = (dynamics, rollout)
