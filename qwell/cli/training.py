"""What the commands that train share: options, resuming, progress, and how a training ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import Failed, goes_on_with
from qwell.cli.options import Names, models, option, path_option, refuse, stacked
from qwell.cli.progress import logged_run, say, tell
from qwell.errors import InvalidInput, shown
from qwell.progress import stage
from qwell.train.config import DEVICE, SCHEDULES, TrainingConfig
from qwell.train.loggers import LIBRARIES

device_option = click.option(
    "--device", default=DEVICE, show_default=True, help="Device that computes: auto, cpu, cuda, cuda:1 …"
)

anyway_option = click.option(
    "--anyway",
    is_flag=True,
    help="Ask an emulator also about waves of another mesh, time step or Hamiltonian than it learned from.",
)

keep_norm_option = click.option(
    "--keep-norm",
    is_flag=True,
    help="Bring every predicted frame to the norm of the last true one before going on with it.",
)


def check_keep_norm(models: Sequence[str]) -> None:
    """Raise InvalidInput if --keep-norm is given for emulators on the ring."""
    if not click.get_current_context().params["keep_norm"]:
        return
    from qwell.models.propagating import RingEmulator
    from qwell.train.runs import load_model

    for name in models:
        if isinstance(load_model(name, task="dynamics"), RingEmulator):
            refuse(f"{name} is an emulator on the ring, whose norm is its own", "keep_norm")


def run_option(default: str) -> Any:
    """Where a run goes; `default` says where if it is not given."""
    return path_option("--out", help="Directory of the run.", default=default)


resume_option = click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Run to continue, which also has all other settings.",
)


def training_options(config: type[TrainingConfig], task: str, batch: str) -> Any:
    """The options of every training: of a task of the zoo; `batch` says what a batch is of."""
    return stacked(
        option(config, "model", type=models(task), help="Network to train, a name of `qtrain models`."),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE",
            help="Option of the network, e.g. hidden=512; repeatable.",
        ),
        option(config, "updates", help="Number of updates of the weights."),
        option(config, "batch", help=f"{batch} in each update."),
        option(config, "first_rate", help="Learning rate at the start."),
        option(config, "last_rate", help="Learning rate at the end."),
        option(
            config, "schedule", type=Names(lambda: SCHEDULES),
            help="Curve of the learning rate from first to last: geometric, cosine or linear.",
        ),
        option(config, "warm_up", help="Share of the updates in which the learning rate first rises from 0."),
        option(
            config, "ema",
            help="Decay of a running average of the weights, which is measured and saved, e.g. 0.999.",
        ),
        option(config, "threads", help="Threads of the processor that the training uses."),
        option(config, "seed", help="Seed of the first weights and of the order of batches."),
        device_option,
        option(config, "compile", help="Compile the network (torch.compile; needs a C++ compiler)."),
        option(
            config, "logger", type=Names(lambda: LIBRARIES), multiple=True, callback=_each_name,
            help="Logger that gets every measurement: tensorboard, csv, wandb or trackio; repeatable.",
        ),
        option(config, "tensorboard", help="Write TensorBoard events: --logger tensorboard."),
        option(config, "log_every", help="Updates between two lines of metrics.jsonl."),
        option(config, "evaluate_every", help="Updates between two validations."),
        option(config, "checkpoint_every", help="Updates between two checkpoints."),
        run_option("runs/<data>-<model>"),
        resume_option,
    )  # fmt: skip


def _each_name(context: click.Context, parameter: click.Parameter, typed: tuple[str, ...]) -> tuple[str, ...]:
    """The names in several texts like a,b."""
    return tuple(name for text in typed for name in text.split(","))


def absolute(path: str) -> str:
    """A local path in full; an address as it may be written down."""
    return shown(path) if "://" in path else str(Path(path).absolute())


def check_resume(data: str | None, resume: Path | None, example: str) -> None:
    """Raise InvalidInput unless there is either a data set, like `example`, or a run and nothing else."""
    if resume:
        everything = click.get_current_context().command.params
        kept = ("resume", "device", "until", "json")
        others = [one.name for one in everything if one.name and one.name not in kept]
        refuse(f"--resume takes the settings of {resume} from the run", *others)
    elif data is None:
        raise InvalidInput(
            f"name a data set, e.g. --data {example}, or a run to continue with --resume runs/…"
        )


def run_training(
    command: str, target: Any, device: str, team: Any, train: Callable[..., Any], watched: str
) -> None:
    """Train a run to its end with progress; if a signal stops it, say how to continue and exit.

    Arguments:
        command: e.g. "eigen".
        target: the run.
        train: (run, device, progress, team) → `Stopped`.
        watched: the measurement that lines of progress show.
    """
    from qwell.models.registry import entry_of

    config = target.config
    closed = entry_of(config["model"]).closed_form
    again = f"`qtrain {command} --resume {target.path}`"
    with logged_run(target) if team.leads else nullcontext():
        if team.leads:
            many = f" with {team.world} processes" if team.world > 1 else ""
            name = Path(config["data"]).name
            how = "in closed form" if closed else f"{config['updates']:,} updates{many}"
            tell(f"{target.path}: {config['model']} on {name}, {how}")
        with (
            goes_on_with(again, "qtrain"),
            _progress(0 if closed else config["updates"], watched, not team.leads) as report,
        ):
            stopped = train(target, device, report, team)
        if team.leads and stopped.signal is not None:
            by = f"{signal.Signals(stopped.signal).name} after update {stopped.update}"
            say(f"qtrain: stopped by {by}; continue with {again}")
            raise Failed(128 + stopped.signal)


@contextmanager
def _progress(updates: int, watched: str, quiet: bool) -> Iterator[Any]:
    """What a training reports to: measurements as lines, on a terminal beside a bar instead."""
    shown = ("train_nmse", "loss", watched)
    with stage("updates", updates, resumed=True) as done:

        def report(update: int, row: dict[str, Any]) -> None:
            if quiet:
                return
            measured = "  ".join(f"{_name(k)} {row[k]:.2e}" for k in _one_loss(shown, row))
            done(to=update, note=measured)
            if watched in row:
                when = f"update {update:>7,}  " if update else ""  # 0: fitted in closed form
                tell(f"  {when}{measured}", unless=sys.stderr.isatty())

        yield report


def _one_loss(shown: tuple[str, ...], row: dict[str, Any]) -> list[str]:
    """The first loss and the watched measurement, of those that a row has."""
    there = [key for key in shown if key in row]
    return list(dict.fromkeys([*there[:1], *there[-1:]]))


def _name(key: str) -> str:
    """train_nmse → train NMSE."""
    return key.replace("_", " ").replace("nmse", "NMSE").replace("mae", "MAE")
