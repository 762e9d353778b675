"""The training of a potential, and the potential that comes of it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from qwell.errors import CheckpointError
from qwell.models.jets import parameter_jacobian
from qwell.models.tensors import read_tensors, write_tensors
from qwell.progress import stage
from qwell.studies.inverse.config import FinderConfig
from qwell.studies.inverse.fields import Field, PaperField, SmoothField
from qwell.studies.inverse.losses import equation_loss, gradient_loss, pin_loss, variance_loss
from qwell.studies.inverse.systems import System, check
from qwell.studies.metropolis import Chain
from qwell.train.config import known
from qwell.train.directory import EXAMPLES, Run

WALKERS = 500
TEMPER = 0.25  # β of the points that look after the tails


class Potential:
    """U(r) that was found: call it with points (n, d) for (n,).

    Arguments:
        field: the network.
        shift: added to it, so that U = V at the pinned points.
        config: how it was found.
    """

    def __init__(self, field: Field, shift: float, config: FinderConfig, shape: dict[str, Any]) -> None:
        self.field, self.shift, self.config, self.shape = field, shift, config, shape

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        return self.field(x) + self.shift

    def save(self, run: Run) -> None:
        """Write the network and what it is into a run."""
        about = {"config": self.config.to_json(), "shape": self.shape, "shift": self.shift}
        write_tensors(run.model / "model.safetensors", self.field.state_dict(), about)
        run.write("model/potential.json", json.dumps(about, indent=1) + "\n")


def load_potential(path: str | Path) -> Potential:
    """Load a potential that `qtrain potential` found.

    Raises:
        RunNotFound: nothing there.
        CheckpointError: damaged files, or a run of another kind or without a potential.
    """
    run = Run.open(path, "potential")
    if not (run.model / "model.safetensors").is_file():
        raise CheckpointError(
            f"{path} holds no potential: it is not finished, or a sweep or study of noise, which keeps none;"
            f" make one, e.g. with `{EXAMPLES['potential']}`"
        )
    try:
        weights, about = read_tensors(run.model / "model.safetensors")
        about = about or json.loads((run.model / "potential.json").read_text())  # of version 0.1.0
        config = FinderConfig.from_json(about["config"])
        field = _build(config, about["shape"])
        field.load_state_dict(weights)
        return Potential(field, float(about["shift"]), config, about["shape"])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the potential in {path} is damaged: {error}; make it again") from error


@dataclass(frozen=True)
class Found:
    """A potential and how it was found.

    Arguments:
        potential: U.
        history: rows of loss and energy.
        chain: the points from |ψ|² it learned from, None if there were none.
        seconds: of the processor.
    """

    potential: Potential
    history: list[dict[str, float]]
    chain: Chain | None
    seconds: float


def find(
    config: FinderConfig, system: System, log: Callable[[dict[str, float]], None] = lambda row: None
) -> Found:
    """Find the potential of which a system's state is an eigenstate.

    Arguments:
        config: how; what it leaves open is filled in for the system.
        system: the state, and V at the pinned points.
        log: takes rows of measurements on the way.

    Raises InvalidInput for a zero wave function, or pinned points on nodes or singularities.
    """
    config = config.resolved(system)
    check(system, known(config.pins))
    pins = torch.tensor(config.pins, dtype=torch.float64)
    values = system.potential(pins)
    clock, begun = time.process_time(), time.perf_counter()
    history: list[dict[str, float]] = []

    def note(step: int, loss: float, energy: float) -> None:
        done(to=step + 1, note=f"loss {loss:.1e}")
        history.append({"update": step + 1, "loss": loss, "energy": energy})
        log({**history[-1], "seed": config.seed, "seconds": round(time.perf_counter() - begun, 3)})

    exact = config.method == "variance"
    train = _by_variance if exact else _as_in_the_paper
    with stage("steps" if exact else "epochs", config.steps) as done:
        field, chain, shape = train(config, system, pins, values, note)
    with torch.no_grad():
        shift = float((values - field(pins)).mean()) if exact else 0.0
    seconds = time.process_time() - clock
    return Found(Potential(field, shift, config, shape), history, chain, seconds)


Note = Callable[[int, float, float], None]


def _build(config: FinderConfig, shape: dict[str, Any]) -> Field:
    if config.field == "paper":
        return PaperField(shape["dimensions"], config.shrink, shape["ceiling"], config.seed)
    return SmoothField(
        known(config.field),
        layers=known(config.layers),
        activation=config.activation,
        seed=config.seed,
        **shape,
    )


def _by_variance(
    config: FinderConfig, system: System, pins: Tensor, values: Tensor, note: Note
) -> tuple[Field, Chain | None, dict[str, Any]]:
    """Least variance of the local energy: Adam on fresh points, then Gauss–Newton on a fixed set."""
    sweeps = 40 * max(1, config.samples // WALKERS)
    bulk = system.walk(WALKERS, sweeps, config.seed)
    pool = bulk.flat()
    if config.temper > 0:
        tails = system.walk(WALKERS, sweeps, config.seed + 1, TEMPER).flat()
        generator = torch.Generator().manual_seed(config.seed)
        count = int(config.temper * len(pool))
        order = torch.randperm(len(pool), generator=generator)
        pool = torch.cat([tails[order[:count]], pool[order[count:]]])
    kinetic = system.kinetic(pool)
    sound = torch.isfinite(kinetic)  # a point may have hit a node or singularity
    pool, kinetic = pool[sound], kinetic[sound]
    middle = kinetic.median()
    shape = {
        "dimensions": system.dimensions,
        "centre": float((pool.max() + pool.min()) / 2) if system.dimensions == 1 else 0.0,
        "width": float(pool.std()),
        "height": float((kinetic - middle).abs().mean()) or 1.0,
    }
    field = _build(config, shape)
    assert isinstance(field, SmoothField)
    optimiser = torch.optim.Adam(field.parameters(), lr=10 * config.rate)
    steps = max(config.adam_steps, 2)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 10 * config.rate, total_steps=steps)
    generator = torch.Generator().manual_seed(config.seed)
    for step in range(config.adam_steps):
        some = torch.randint(len(pool), (500,), generator=generator)
        optimiser.zero_grad(set_to_none=True)
        loss = variance_loss(field, kinetic[some], pool[some])
        loss.backward()
        optimiser.step()
        cycle.step()
        if step % 50 == 0:
            note(step, loss.item(), _energy(field, kinetic[some], pool[some], pins, values))
    keen = 1 + ((kinetic - middle) / shape["height"]) ** 2
    some = torch.multinomial(keen, min(2 * config.samples, len(pool)), generator=generator)
    kinetic, pool, weight = kinetic[some], pool[some], 1 / keen[some]

    weight = weight / weight.mean()

    def report(step: int, loss: float) -> None:
        note(config.adam_steps + step, loss, _energy(field, kinetic, pool, pins, values, weight))

    _gauss_newton(field, kinetic, pool, weight, known(config.newton_steps), report)
    return field, bulk, shape


@torch.no_grad()
def _energy(
    field: Field, kinetic: Tensor, x: Tensor, pins: Tensor, values: Tensor, weight: Tensor | None = None
) -> float:
    """Ē over points, of weights of mean 1 if there are some."""
    local = kinetic + field(x)
    return float((local if weight is None else weight * local).mean() + (values - field(pins)).mean())


@torch.no_grad()
def _gauss_newton(
    field: SmoothField,
    kinetic: Tensor,
    x: Tensor,
    weight: Tensor,
    steps: int,
    report: Callable[[int, float], None],
) -> None:
    """Levenberg–Marquardt on the residuals r_n = √w_n (E(r_n) − Ē): (JᵀJ + μ)δ = −Jᵀr."""
    parameters = list(field.parameters())
    theta = parameters_to_vector(parameters)
    features, factor = field.features(x), field.factor(x)[:, None]
    damping, loss = 1e-3, float(variance_loss(field, kinetic, x, weight))
    column, root = weight[:, None], weight.sqrt()
    for step in range(steps):
        residual = kinetic + field(x)
        residual = root * (residual - (weight * residual).mean())
        jacobian = factor * parameter_jacobian(field.network, features)[:, 0]
        jacobian = root[:, None] * (jacobian - (column * jacobian).mean(0))
        normal, slope = jacobian.mT @ jacobian / len(x), jacobian.mT @ residual / len(x)
        size = float(normal.diagonal().mean())
        for _ in range(12):
            damped = normal.clone()
            damped.diagonal().add_(damping * size + 1e-300)
            vector_to_parameters(theta - torch.linalg.solve(damped, slope), parameters)
            if (found := float(variance_loss(field, kinetic, x, weight))) < loss:
                break
            damping *= 5
        else:
            vector_to_parameters(theta, parameters)
            return
        theta, loss, damping = parameters_to_vector(parameters), found, damping / 3
        report(step, loss)


def _as_in_the_paper(
    config: FinderConfig, system: System, pins: Tensor, values: Tensor, note: Note
) -> tuple[Field, Chain | None, dict[str, Any]]:
    """Adam, 2,500 fixed points at which ψ and the kinetic part are computed once, batches of 32."""
    chain = None
    if config.method == "qpnn":
        points = system.uniform(config.samples, config.seed)
    elif config.recipe == "scripts":
        points = accepted_only(system, config.samples, config.seed)
    else:
        walkers = min(100, config.samples)
        chain = system.walk(walkers, -(-config.samples // walkers), config.seed, thin=20)
        points = chain.flat()[: config.samples]
    shape = {"dimensions": system.dimensions, "ceiling": 12.5 if system.dimensions == 1 else 0.0}
    field = _build(config, shape)
    optimiser = torch.optim.Adam(field.parameters(), lr=config.rate, fused=True)
    generator = torch.Generator().manual_seed(config.seed)
    epochs, penalty = known(config.epochs), known(config.penalty)
    kinetic, wave = system.kinetic(points), system.wave(points)
    slope = system.kinetic_slope(points) if config.method != "mpnn" else torch.empty(0)
    for epoch in range(epochs):
        order = torch.randperm(len(points), generator=generator)
        total = 0.0
        batches = order.split(32)
        for some in batches:
            x = points[some]
            if config.method == "mpnn":
                guess = field(torch.cat([x, pins]))
                energy = kinetic[some] + guess[: len(x)]
                loss = equation_loss(energy, wave[some], root=config.recipe == "text")
                loss = loss + penalty * pin_loss(guess[len(x) :], values)
            else:
                loss = gradient_loss(field, slope[some], x) + pin_loss(field(pins), values)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += loss.item()
        if epoch % max(1, epochs // 200) == 0 or epoch == epochs - 1:
            with torch.no_grad():
                mean = float((kinetic + field(points)).mean())
            note(epoch, total / len(batches), mean)
    return field, chain, shape


def accepted_only(system: System, samples: int, seed: int) -> Tensor:
    """The released scripts' sampling: one walker, steps of ±.2, no burning in, accepted moves only.

    Not distributed as |ψ|²: where moves are refused, repeats are missing. Kept to compare with.
    """
    generator = torch.Generator().manual_seed(seed)
    here = torch.tensor([system.pin], dtype=torch.float64)
    height = system.log_density(here)
    found: list[Tensor] = []
    while len(found) < samples:
        step = 0.4 * torch.rand(1, system.dimensions, dtype=torch.float64, generator=generator) - 0.2
        there = here + step
        level = system.log_density(there)
        if math.log(float(torch.rand(1, generator=generator)) + 1e-300) < float(level - height):
            here, height = there, level
            found.append(here[0])
    return torch.stack(found)
