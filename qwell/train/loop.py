"""The training loop. One file, one loop."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from qwell.errors import TrainingDiverged
from qwell.train.averaging import Average
from qwell.train.beginning import warn_of_changes
from qwell.train.checkpoint import load_checkpoint, save_checkpoint
from qwell.train.config import TrainingConfig, known
from qwell.train.runs import Run
from qwell.train.schedules import rate
from qwell.train.team import Team

Step = Callable[..., Tensor]  # from a batch to its loss
AGREE_EVERY = 20  # updates between asking the other processes whether to stop


class BatchStream(Protocol):
    """Endless batches, with a place that can be taken up again."""

    device: torch.device

    def __next__(self) -> tuple[Tensor, ...]: ...
    def state_dict(self) -> dict[str, int]: ...
    def load_state_dict(self, state: dict[str, int]) -> None: ...


@dataclass(frozen=True)
class Stopped:
    """How a training ended: after which update, and by which signal if any."""

    update: int
    signal: int | None = None


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: Step,
    stream: BatchStream,
    config: TrainingConfig,
    run: Run,
    *,
    describe: Callable[[float], dict[str, float]],
    evaluate: Callable[[], dict[str, float]],
    team: Team,
    progress: Callable[[int, dict[str, Any]], object] = lambda update, row: None,
) -> Stopped:
    """Train until `config.updates`, from the last checkpoint of the run if there is one.

    Interrupted at any moment and called again, it gives the weights of an undisturbed training, bit for
    bit on the same machine. SIGINT, SIGTERM and SIGHUP finish the update, save a checkpoint and return.

    Long because a training should be seen whole in one place; half of the lines say what it is given.

    Arguments:
        model: on its device; changed in place. In the end it has the averaged weights, if there are any.
        optimizer: of its parameters.
        step: an update, from a batch to its loss.
        stream: of training batches; its place is part of the checkpoint.
        config: the recipe, resolved.
        run: where metrics and checkpoints go.
        describe: what else to say of a mean loss.
        evaluate: measures the model; its numbers go to `metrics.jsonl`.
        team: the processes that train together; only its leader writes and reports.
        progress: called after each measurement with the update and its row, which is logged by then.

    Raises:
        TrainingDiverged: the loss is no longer finite.
        MissingExtra, TransferError: a logger cannot be opened.
    """
    average = Average(model, config.ema) if config.ema else None
    state = load_checkpoint(run.checkpoints, model, optimizer, average)
    update, before = 0, 0.0
    loss_sum = torch.zeros((), dtype=torch.float64, device=stream.device)
    if state is not None:
        update, before = state["update"], state["seconds"]
        stream.load_state_dict(state["stream"])
        loss_sum.fill_(state["loss_sum"])
        if team.leads:
            warn_of_changes(run)
    if team.leads:
        run.rewind(update)
    model.train()
    clock = time.perf_counter() - before

    def save() -> None:
        state = {
            "update": update,
            "stream": stream.state_dict(),
            "loss_sum": team.mean(loss_sum),
            "seconds": time.perf_counter() - clock,
        }
        if team.leads:
            save_checkpoint(run.checkpoints, model, optimizer, state, average)

    updates, log_every = known(config.updates), known(config.log_every)
    evaluate_every, checkpoint_every = known(config.evaluate_every), known(config.checkpoint_every)
    with run.logging_to(config.loggers if team.leads else ()), _signals() as caught:
        while update < updates:
            set_rate(optimizer, rate(config, update))
            loss_sum += step(*next(stream))
            update += 1
            if average:
                average.add(update)
            last = update == updates
            if update % log_every == 0 or last:
                loss = team.mean(loss_sum) / ((update - 1) % log_every + 1)
                loss_sum.zero_()
                row = {"update": update, "loss": loss, **describe(loss)}
                row["seconds"] = round(time.perf_counter() - clock, 3)
                if not math.isfinite(loss):
                    if team.leads:
                        run.log(row)
                    raise TrainingDiverged(
                        f"the loss is {loss} at update {update}; lower --first-rate and start a new run"
                    )
                if team.leads:
                    if update % evaluate_every == 0 or last:
                        with average.applied() if average else nullcontext():
                            row |= evaluate()
                        model.train()
                    run.log(row)
                    progress(update, row)
            together = team.world == 1 or update % AGREE_EVERY == 0
            stop = together and team.any(bool(caught), stream.device)
            if update % checkpoint_every == 0 or last or stop:
                save()
            if stop:
                return Stopped(update, caught[0] if caught else signal.SIGTERM)
    if average:
        average.settle()
    return Stopped(update)


def set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate, in place where it is a tensor."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT, SIGTERM and SIGHUP in a list instead of dying of them (in the main thread only).

    Those that whoever started us lets us ignore, as `nohup` does, stay ignored.
    """
    caught: list[int] = []
    wanted = [s for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
              if signal.getsignal(s) is not signal.SIG_IGN]  # fmt: skip
    try:
        before = {s: signal.signal(s, lambda number, _: caught.append(number)) for s in wanted}
    except ValueError:  # not the main thread: signals stay as they are
        yield caught
        return
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
