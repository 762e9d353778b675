"""How long derivatives of networks take, ours and by automatic differentiation (derivatives paper, Fig. 7).

double backward      torch.autograd.grad of torch.autograd.grad, a row of the Hessian at a time
jacfwd(grad)         forward over reverse by torch.func, mapped over points
jvp of grad          the same along every direction, mapped over directions and points
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import grad, jacfwd, jacrev, jvp, vmap

from qwell.errors import InvalidInput, unknown
from qwell.figures.variational import timing_figure
from qwell.models.fields import perceptron
from qwell.models.jets import ORDERS, derivatives
from qwell.papers.stated import DERIVATIVE_TIMES
from qwell.progress import track
from qwell.studies.finding import Finding
from qwell.studies.variational.config import TimesConfig

Method = Callable[[nn.Module, Tensor, str], tuple[Tensor, ...]]


def of_full(full: Tensor, order: str) -> Tensor:
    """What of a full Hessian (…, a, a) was asked for."""
    if order == "hessian":
        return full
    diagonal = full.diagonal(dim1=-2, dim2=-1)
    return diagonal if order == "diagonal" else diagonal.sum(-1)


def double_backward(network: nn.Module, x: Tensor, order: str) -> tuple[Tensor, ...]:
    """y, ∂y, ∂²y by reverse mode twice, row by row."""
    x = x.detach().requires_grad_()
    y = network(x)
    firsts, seconds = [], []
    for k in range(y.shape[1]):
        (first,) = torch.autograd.grad(y[:, k].sum(), x, create_graph=True)
        firsts.append(first)
        if order == "first":
            continue
        rows = [torch.autograd.grad(first[:, a].sum(), x, create_graph=True)[0] for a in range(x.shape[1])]
        if order == "hessian":
            seconds.append(torch.stack(rows, 1))
        else:
            diagonal = torch.stack([row[:, a] for a, row in enumerate(rows)], 1)
            seconds.append(diagonal if order == "diagonal" else diagonal.sum(1))
    first = torch.stack(firsts, 1)
    return (y, first) if order == "first" else (y, first, torch.stack(seconds, 1))


def jacfwd_of_grad(network: nn.Module, x: Tensor, order: str) -> tuple[Tensor, ...]:
    """y, ∂y, ∂²y by torch.func: jacfwd over reverse mode."""

    def value(p: Tensor) -> Tensor:
        found: Tensor = network(p[None])[0]
        return found

    def slope(p: Tensor) -> tuple[Tensor, Tensor]:
        found = jacrev(value)(p) if many else grad(lambda q: value(q)[0])(p)[None]
        return found, found

    many = bool(network(x[:1]).shape[1] > 1)

    def one(p: Tensor) -> tuple[Tensor, ...]:
        if order == "first":
            return value(p), slope(p)[0]
        pair: Any = jacfwd(slope, has_aux=True)(p)
        full, first = pair
        return value(p), first, of_full(full, order)

    return vmap(one)(x)


def jvp_of_grad(network: nn.Module, x: Tensor, order: str) -> tuple[Tensor, ...]:
    """The same of one output, direction by direction in one map."""
    directions = torch.eye(x.shape[-1], dtype=x.dtype)

    def value(p: Tensor) -> Tensor:
        found: Tensor = network(p[None])[0, 0]
        return found

    def one(p: Tensor) -> tuple[Tensor, ...]:
        if order == "first":
            return value(p)[None], grad(value)(p)[None]
        pair: Any = vmap(lambda v: jvp(grad(value), (p,), (v,)))(directions)
        first, full = pair
        return value(p)[None], first[:1], of_full(full, order)[None]

    return vmap(one)(x)


def ours(method: str) -> Method:
    """`derivatives` by one of its methods."""

    def run(network: nn.Module, x: Tensor, order: str) -> tuple[Tensor, ...]:
        return tuple(part for part in derivatives(network, x, order, method) if part is not None)

    return run


METHODS: dict[str, Method] = {
    "qwell": ours("auto"),
    "recursion": ours("recursion"),
    "factorised": ours("factorised"),
    "double backward": double_backward,
    "jacfwd(grad)": jacfwd_of_grad,
    "jvp of grad": jvp_of_grad,
}


def seconds(
    method: Method, network: nn.Module, x: Tensor, order: str, gradient: bool, patience: float
) -> float:
    """The least time of an evaluation, with the gradient of a random linear functional of it if wanted."""
    weights = [torch.randn_like(part) for part in method(network, x, order)]

    def run() -> None:
        parts = method(network, x, order)
        if gradient:
            network.zero_grad()
            total = sum((w * part).sum() for w, part in zip(weights, parts, strict=True))
            total.backward()  # type: ignore[union-attr]

    run()
    best, begin = np.inf, time.perf_counter()
    for done in range(200):
        clock = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - clock)
        if done >= 2 and time.perf_counter() - begin > patience:
            break
    return float(best)


def fit(points: Sequence[tuple[int, float]]) -> tuple[float, ...]:
    """a, b, c of log t = a x + b √x + c (Eq. 43), by least squares."""
    x, t = np.array(points, float).T
    found = np.linalg.lstsq(np.stack([x, np.sqrt(x), np.ones_like(x)], 1), np.log(t), rcond=None)[0]
    return tuple(float(v) for v in found)


def fitted(found: Sequence[float], sizes: Sequence[int]) -> list[tuple[int, float]]:
    """(size, seconds) by a fit of Eq. 43."""
    a, b, c = found
    return [(size, math.exp(a * size + b * math.sqrt(size) + c)) for size in sizes]


def derivative_times(config: TimesConfig) -> Finding:
    """Times of evaluation against inputs (one output) and against outputs (four inputs), with fits.

    Arguments:
        config: of what, and how.

    Raises InvalidInput for sizes below 1, an unknown order, or fewer than three sizes.
    """
    if len(config.sizes) < 3 or min(*config.sizes, config.batch, config.threads) < 1:
        raise InvalidInput("at least three sizes are needed, and all numbers must be at least 1")
    if alien := sorted(set(config.orders) - set(ORDERS)):
        raise InvalidInput(unknown("order", alien[0], ORDERS))
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        return _measured(config)
    finally:
        torch.set_num_threads(before)


def _measured(config: TimesConfig) -> Finding:
    sizes, orders, batch = config.sizes, config.orders, config.batch
    rows, panels, numbers = [], [], {}
    for side, label in (("inputs", "inputs N₀, one output"), ("outputs", "outputs N_L, four inputs")):
        curves: dict[str, list[tuple[int, float]]] = {}
        for size in track(sizes, f"numbers of {side}"):
            inputs, outputs = (size, 1) if side == "inputs" else (4, size)
            network = perceptron(inputs, (10,) * 5, outputs)
            x = torch.randn(batch, inputs, dtype=torch.float64)
            for order in orders:
                for name, method in METHODS.items():
                    if name not in ("recursion", "factorised") and (outputs == 1 or name != "jvp of grad"):
                        took = seconds(method, network, x, order, False, config.patience)
                        curves.setdefault(f"{name}, {order}", []).append((size, took))
        fits = {f"qwell, {order}": fit(curves[f"qwell, {order}"]) for order in orders}
        for name, points in curves.items():
            stated = DERIVATIVE_TIMES[side].get(name.removeprefix("qwell, "))
            rows.append(
                [
                    side, name, f"{points[0][1] * 1e6:.0f}", f"{points[-1][1] * 1e6:.0f}",
                    " ".join(f"{v:+.3f}" for v in fits[name]) if name in fits else "–",
                    " ".join(f"{v:+.3f}" for v in stated) if stated and name in fits else "–",
                ]
            )  # fmt: skip
        paper = {
            order: fitted(DERIVATIVE_TIMES[side][order], sizes)
            for order in orders
            if order in DERIVATIVE_TIMES[side]
        }
        rows += [
            [
                side,
                f"{order}, the paper's C by its fit",
                f"{t[0][1] * 1e6:.0f}",
                f"{t[-1][1] * 1e6:.0f}",
                "–",
                "–",
            ]
            for order, t in paper.items()
        ]
        panels.append((label, curves, fits, paper))
        numbers[side] = {"curves": curves, "fits": fits, "paper": paper}
    head = (
        "against", "method", f"µs at {sizes[0]}", f"µs at {sizes[-1]}", "a, b, c of Eq. 43",
        "the paper's a, b, c (C, one point, another machine)",
    )  # fmt: skip
    threads = torch.get_num_threads()
    title = f"Derivatives of a network of 5 × 10 neurons; points an evaluation: {batch}, threads: {threads}"
    about = {"sizes": list(sizes), "batch": batch, "threads": threads, **numbers}
    return Finding("derivatives", title, head, rows, about, {"": timing_figure(panels)})
