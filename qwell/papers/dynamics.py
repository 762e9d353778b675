"""The dynamics paper: emulators of wave packets (Yao et al., arXiv:2203.10200)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qwell.papers.dynamics_answers import (
    TESTS,
    measured_on_rollout,
    said_of_emulators,
    said_of_gradients,
    said_of_hyper,
    said_of_packets,
    said_of_rollout,
    said_of_sweep,
)
from qwell.papers.plan import Command, Paper, Plan, Stage, repeated
from qwell.papers.stated import EMULATOR_TRAINING, EMULATORS

NETWORKS = ("linear", "dense", "conv", "gru")
RINGS = ("unitary", "spectral")


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the defaults are the paper's sizes.

    Arguments:
        barrier, free: options of `qdata simulate` for the two training sets.
        simulate: further options for all sets.
        updates: of emulators that see windows; None for the released recipe's.
        pretrained: whether networks that come with the package stand in for the recurrent ones and for those
            on the ring.
        taught: simulations that the other networks learn from; None for all.
        ring: updates of emulators on the ring.
        seeds: of the recurrent networks that the sweeps average over.
        hyper: options of the networks of Fig. S7, each changed alone.
        hyper_updates: of those; None for the released recipe's. hyper_seeds: of each.
        frames: predicted.
        samples: windows whose gradients are averaged.
    """

    barrier: tuple[str, ...] = ("--preset", "paper-barrier")
    free: tuple[str, ...] = ("--preset", "paper-free")
    simulate: tuple[str, ...] = ()
    updates: int | None = None
    pretrained: bool = False
    taught: int | None = None
    ring: int = 12_000
    seeds: int = 5
    hyper: tuple[str, ...] = (
        "history=1", "history=2", "history=3", "width=11", "width=17", "width=29",
        "hidden=23", "hidden=46", "hidden=92", "hidden=115",
    )  # fmt: skip
    hyper_updates: int | None = None
    hyper_seeds: int = 5
    frames: int = 400
    samples: int = 200


LATTICE = ("--hamiltonian", "lattice")
# What fewer updates than the released recipe's are made with, of windows and on the ring.
FEW: tuple[Command, Command] = (("--schedule", "cosine", "--first-rate", "0.002"), ())
SCALES = {
    "demo": Scale(
        barrier=("--preset", "demo"),
        free=("--x0", "10,40,70", "--s0", "1,2.5,4", "--e0", "1,5,9", "--validation", "3", *LATTICE),
        updates=4000,
        ring=3000,
        seeds=1,
        hyper=("history=1", "history=2", "width=11", "hidden=23"),
        hyper_updates=2000,
        hyper_seeds=1,
        frames=200,
    ),
    "cpu": Scale(
        updates=60_000,
        pretrained=True,
        taught=400,
        seeds=1,
        hyper=("history=1", "history=2", "width=11", "hidden=46"),
        hyper_updates=20_000,
        hyper_seeds=1,
    ),
    "paper": Scale(),
}


@dataclass(frozen=True)
class Steps:
    """The plan at a scale, with the kinds of stages that this paper repeats."""

    scale: Scale
    plan: Plan = field(default_factory=Plan)

    @property
    def frames(self) -> tuple[str, str]:
        return "--frames", str(self.scale.frames)

    def size(self, updates: int | None, data: str) -> str:
        """How much networks learned that are trained here, in words."""
        much = "the released recipe" if updates is None else f"{updates:,} updates of 128 windows"
        return f"{much} on {data}"

    def barriers(self) -> str:
        """What networks learn from that see a potential, in words."""
        return f"{self.scale.taught:,} of 2,646 simulations" if self.scale.taught else "the barriers"

    def stand_in(self, otherwise: str) -> str:
        """The size of what the package's networks may stand in for."""
        return "as the package has it" if self.scale.pretrained else otherwise

    def data(self, name: str, *options: str) -> str:
        """A data set of trajectories. Returns its path."""
        return self.plan.data(name, "qdata", "simulate", *options, *self.scale.simulate)

    def train(self, name: str, data: str, model: str, updates: int | None, *options: str) -> str:
        """An emulator. Returns its run."""
        command = ("qtrain", "dynamics", "--data", data, "--model", f"emulator_{model}")
        learn: Command = ()
        if updates is not None:
            learn = ("--updates", str(updates), *FEW[model in RINGS])
            learn += ("--evaluate-every", str(max(updates // 4, 1)))
        rollout = ("--rollout", str(min(100, self.scale.frames)))
        run = f"runs/{name}"
        return self.plan.training(run, "model/config.json", *command, *learn, *options, *rollout).out

    def recurrent(self, name: str, data: str, updates: int | None, option: str = "", seed: int = 0) -> str:
        """A recurrent network with an option changed, or a seed. Returns its run."""
        changed = (option.replace("=", "-"), str(seed or ""))
        options = (*(("--set", option) if option else ()), *(("--seed", str(seed)) if seed else ()))
        return self.train("-".join([name, "gru", *filter(None, changed)]), data, "gru", updates, *options)

    def asked(self, name: str, data: str, model: str, updates: int | None, *options: str) -> str:
        """An emulator of those that come with the package, if they stand in. Returns its run or its name."""
        if self.scale.pretrained:
            return {"barrier-gru": "emulator-gru", "free-gru": "emulator-gru-free"}.get(
                name, f"emulator-{model}"
            )
        return self.train(name, data, model, updates, *options)

    def probe(self, experiment: str, *arguments: str, folder: str = "") -> Stage:
        """An experiment on emulators."""
        return self.plan.experiment(
            folder or experiment, experiment, "qtrain", "probe", experiment, *arguments
        )

    def rollout(self, folder: str, run: str, tests: Sequence[str], *options: str) -> Stage:
        """An emulator fed with its own predictions, beside the truth of test sets."""
        name = "rollout" if len(tests) > 1 else f"rollout-{Path(tests[0]).stem}"
        asked = (*repeated("--data", tests), *options, *self.frames)
        return self.plan.experiment(folder, name, "qtrain", "rollout", run, *asked)


def plan(scale: Scale) -> Plan:
    """Data, trainings, experiments, and the statements of the paper."""
    steps = Steps(scale)
    barrier, free = steps.data("barrier", *scale.barrier), steps.data("free", *scale.free)
    if scale.taught:
        few = ("qdata", "subset", barrier, "--n", str(scale.taught))
        barrier = steps.plan.data("barrier-taught", *few)
    tests = [steps.data(name, "--preset", name) for name in TESTS]
    others = steps.data("beyond", "--preset", "beyond")
    seeds = [
        steps.asked("barrier-gru", barrier, "gru", scale.updates),
        *(steps.recurrent("barrier", barrier, scale.updates, seed=seed) for seed in range(1, scale.seeds)),
    ]
    _options(steps, seeds, barrier, tests)
    _architectures(steps, seeds[0], barrier, free, tests)
    _generalisation(steps, seeds, tests, others)
    _ring(steps, seeds[0], barrier, tests)
    return steps.plan


def _architectures(steps: Steps, gru: str, barrier: str, free: str, tests: Sequence[str]) -> None:
    """Tables I and III, and rollouts of the recurrent network."""
    on, updates = repeated("--data", tests), steps.scale.updates
    learned = steps.size(updates, steps.barriers())
    runs = [steps.train(f"barrier-{n}", barrier, n, updates) for n in NETWORKS[:-1]]
    steps.plan.claim(
        steps.probe("emulators", *runs, gru, *on, *steps.frames, folder="table-1"),
        "Architectures, with a barrier",
        f"MAE of parts and C over 25 cases with a potential: {_listed(EMULATORS['barrier'])} (Table I,"
        f" Fig. 3), after {EMULATOR_TRAINING['barrier']}.",
        partial(said_of_emulators, kind="barrier"),
        f"{learned}; gru {steps.stand_in('likewise')}",
    )
    without = [steps.train(f"free-{n}", free, n, updates) for n in NETWORKS[:-1]]
    without.append(steps.asked("free-gru", free, "gru", updates))
    steps.plan.claim(
        steps.probe("emulators", *without, "--data", tests[2], *steps.frames, folder="table-3"),
        "Architectures, free packets",
        f"MAE of parts and C over 12 cases: {_listed(EMULATORS['free'])} (Table III, Figs. S3, S6), after"
        f" {EMULATOR_TRAINING['free']}.",
        partial(said_of_emulators, kind="free"),
        f"{steps.size(updates, 'the free packets')}; gru {steps.stand_in('likewise')}",
    )
    steps.plan.claim(
        steps.rollout("rollout", gru, tests),
        "Rollouts of the recurrent network",
        "Even after 350 steps the error is negligible, also on potentials never seen (Figs. 2, S4).",
        said_of_rollout,
        steps.stand_in(steps.size(steps.scale.updates, steps.barriers())),
    )
    steps.plan.claim(
        steps.rollout("half-circle", gru, tests[1:2], "--row", "1"),
        "Rollouts in shapes never seen",
        "The step pyramid and the half circle, taught by rectangles alone, are predicted as well (Fig. 2).",
        said_of_rollout,
        steps.stand_in(steps.size(steps.scale.updates, steps.barriers())),
    )


def _generalisation(steps: Steps, seeds: Sequence[str], tests: Sequence[str], others: str) -> None:
    gru = seeds[0]
    steps.plan.claim(
        steps.probe("sweep", *seeds, *steps.frames),
        "Generalisation",
        "Unchanged for all spreads and widths, worse for energies outside those taught and for high barriers"
        " (Fig. 4).",
        said_of_sweep,
        steps.stand_in(steps.size(steps.scale.updates, steps.barriers())),
    )
    steps.plan.claim(
        steps.probe("gradients", gru, "--data", tests[0], "--samples", str(steps.scale.samples)),
        "What predictions depend on",
        "Free waves are extrapolated from the last two frames, near barriers earlier ones matter; the mean"
        " gradients obey Cauchy and Riemann (Figs. 5, S8).",
        said_of_gradients,
        steps.stand_in(steps.size(steps.scale.updates, steps.barriers())),
    )
    steps.plan.claim(
        steps.probe("packets", gru, "--data", tests[0], *steps.frames),
        "Other packets",
        "The triangle is on a par with the Gaussian, the square noticeably worse (Fig. S5).",
        said_of_packets,
        steps.stand_in(steps.size(steps.scale.updates, steps.barriers())),
    )
    steps.plan.claim(
        steps.rollout("beyond-taught", gru, [others]),
        "Beyond the paper: outside what is taught",
        "No such cases: wells below zero, a barrier of 20 Hartree, faster, narrower and wider packets.",
        measured_on_rollout,
        steps.stand_in(steps.size(steps.scale.updates, steps.barriers())),
    )


def _options(steps: Steps, seeds: Sequence[str], barrier: str, tests: Sequence[str]) -> None:
    scale = steps.scale
    same = scale.hyper_updates == scale.updates and not scale.pretrained
    runs = list(seeds[: scale.hyper_seeds]) if same else []
    runs += [
        steps.recurrent("options", barrier, scale.hyper_updates, option, seed)
        for option in (*(() if same else ("",)), *scale.hyper)
        for seed in range(scale.hyper_seeds)
    ]
    steps.plan.claim(
        steps.probe("hyper", *runs, "--data", tests[0], *steps.frames),
        "Options",
        "Two frames are enough, a window of 23 and 69 to 92 hidden numbers are best; five seeds, each after"
        f" {EMULATOR_TRAINING['barrier']} (Fig. S7).",
        partial(said_of_hyper, full=scale.hyper_updates is None),
        steps.size(scale.hyper_updates, steps.barriers()),
    )


def _ring(steps: Steps, gru: str, barrier: str, tests: Sequence[str]) -> None:
    """What the paper does not have: emulators of the whole ring."""
    on = repeated("--data", tests)
    ring = [steps.asked(f"barrier-{n}", barrier, n, steps.scale.ring) for n in RINGS]
    steps.plan.claim(
        steps.probe("emulators", *ring, gru, *on, *steps.frames, folder="beyond"),
        "Beyond the paper: emulators on the ring",
        "No such comparison.",
        said_of_emulators,
        steps.stand_in(steps.size(steps.scale.updates, steps.barriers())),
    )
    steps.plan.claim(
        steps.rollout("beyond-rollout", ring[0], tests),
        "Beyond the paper: rollouts of the best",
        "As above.",
        measured_on_rollout,
        steps.stand_in(steps.size(steps.scale.updates, steps.barriers())),
    )


def _listed(table: Mapping[str, tuple[float, float]]) -> str:
    return "; ".join(f"{name} {mae:.4f}, {c:.4f}" for name, (mae, c) in table.items())


STAND_IN = (
    "Networks that come with the package stand in for the recurrent ones and for those on the ring; how they"
    " were made is in their `config.json`."
)


def _introduction(scale: Scale) -> list[str]:
    return [
        "Atomic units; MAE is ⟨|ψ̂ − ψ|⟩ (Eq. 12), that of parts the mean of |Δ Re ψ| and |Δ Im ψ|, which the"
        " paper's tables hold; C = |⟨ψ̂, ψ⟩|/(‖ψ̂‖ ‖ψ‖).",
        f"Training data: `qdata simulate {' '.join(scale.barrier)}` and `{' '.join(scale.free)}`"
        + (f", of which {scale.taught:,} simulations chosen at random." if scale.taught else "."),
        *([STAND_IN] if scale.pretrained else []),
    ]


DYNAMICS = Paper(
    "dynamics",
    "Yao et al., arXiv:2203.10200",
    SCALES,
    plan,
    _introduction,
    {
        "demo": "some minutes on 2 cores",
        "cpu": "64 minutes on 2 cores beside other work, two commands at a time (measured)",
        "paper": "about 60 core-hours without a GPU (estimated)",
    },
)
