"""How long an update of the recurrent emulator takes on one core, and how long its products alone.

    python benchmarks/gru_update.py

128 windows of (4, 23, 3): the gradient by hand and by autograd, and the whole update with clipping and AdamW,
without the gathering of windows. `floor` is the time of the products of matrices that a gradient consists of,
made alone, one after the other, by numpy.
"""

# ruff: noqa: E402  (threads must be limited before numpy is loaded)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import report

from qwell.models.emulators import GRUEmulator
from qwell.models.registry import create_model
from qwell.train.config import DynamicsConfig
from qwell.train.dynamics import make_optimizer, make_step, window_loss
from qwell.train.gru_gradient import HandGradient
from qwell.train.team import Team

BATCH, REPEATS, CALLS = 128, 7, 200


def milliseconds(call: Callable[[], Any]) -> float:
    """CPU time of a call: the least of some means."""
    for _ in range(20):
        call()
    means = []
    for _ in range(REPEATS):
        clock = time.process_time()
        for _ in range(CALLS):
            call()
        means.append((time.process_time() - clock) / CALLS)
    return 1e3 * min(means)


def products(model: GRUEmulator) -> Callable[[], None]:
    """The products of matrices of one gradient, into arrays that are there."""
    c = model.config
    rows, k, inputs, outputs = BATCH * c.history, c.k, c.inputs, c.outputs
    later = BATCH * (c.history - 1)  # the first frame has no state before it
    shapes = [
        (rows, inputs, k), (rows, k, 3 * k), *[(BATCH, k, 3 * k)] * (c.history - 1), (BATCH, k, outputs),
        (outputs, BATCH, k), (BATCH, outputs, k), *[(BATCH, 3 * k, k)] * (c.history - 1), (3 * k, later, k),
        (3 * k, rows, k), (rows, 3 * k, k), (k, rows, inputs),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    pairs = [
        tuple(rng.standard_normal(s).astype(np.float32) for s in ((n, m), (m, p), (n, p)))
        for n, m, p in shapes
    ]

    def run() -> None:
        for a, b, out in pairs:
            np.matmul(a, b, out=out)

    return run


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = create_model("emulator_gru")
    assert isinstance(model, GRUEmulator)
    windows = 0.1 * torch.randn(BATCH, model.config.history + 1, model.config.width, 3)
    seen, target = windows[:, :-1], windows[:, -1, :, :2]
    config = DynamicsConfig(data="none", digest="", first_rate=1e-3)
    step = make_step(model, make_optimizer(model, config), config, Team())
    by_hand = HandGradient(model)

    def recorded() -> None:
        model.zero_grad(set_to_none=True)
        window_loss(model, seen, target).backward()

    whole = milliseconds(lambda: step(seen, target))
    rows = {
        "floor, products alone: ms": milliseconds(products(model)),
        "gradient by hand: ms": milliseconds(lambda: by_hand(seen, target)),
        "gradient by autograd: ms": milliseconds(recorded),
        "whole update, by hand: ms": whole,
    }
    rows["whole update / floor"] = whole / rows["floor, products alone: ms"]
    report("gru-update", "python benchmarks/gru_update.py", rows)


if __name__ == "__main__":
    main()
