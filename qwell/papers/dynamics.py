"""The dynamics paper: emulators of wave packets (Yao et al., arXiv:2203.10200)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from qwell.papers.plan import Answer, Numbers, Paper, Plan, Stage, repeated
from qwell.papers.stated import EMULATOR_TRAINING, EMULATORS

NETWORKS = ("linear", "dense", "conv", "gru")
TESTS = ("paper-tests-rect", "paper-tests-shaped", "paper-tests-free")


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the defaults are the paper's sizes.

    Arguments:
        barrier, free: options of `qdata simulate` for the two training sets.
        simulate: further options for all sets.
        updates: of emulators that see windows, by network; None for the released recipe's.
        ring: updates of emulators on the ring.
        seeds: of the recurrent networks that the sweeps average over.
        hyper: options of the networks of Fig. S7, and their updates; None for the released recipe's.
        frames: predicted.
        samples: windows whose gradients are averaged.
    """

    barrier: tuple[str, ...] = ("--preset", "paper-barrier")
    free: tuple[str, ...] = ("--preset", "paper-free")
    simulate: tuple[str, ...] = ()
    updates: int | None = None
    ring: int = 12_000
    seeds: int = 5
    hyper: tuple[str, ...] = (
        "history=1", "history=2", "history=3", "width=11", "width=17", "width=29",
        "hidden=23", "hidden=46", "hidden=92", "hidden=115",
    )  # fmt: skip
    hyper_updates: int | None = None
    frames: int = 400
    samples: int = 200


LATTICE = ("--hamiltonian", "lattice")
SCALES = {
    "demo": Scale(
        barrier=("--preset", "demo"),
        free=("--x0", "10,40,70", "--s0", "1,2.5,4", "--e0", "1,5,9", "--validation", "3", *LATTICE),
        updates=4000,
        ring=3000,
        seeds=1,
        hyper=("history=1", "history=2", "width=11", "hidden=23"),
        hyper_updates=2000,
        frames=200,
    ),
    "cpu": Scale(updates=400_000, seeds=2, hyper_updates=100_000),
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

    def data(self, name: str, *options: str) -> str:
        """A data set of trajectories. Returns its path."""
        return self.plan.data(name, "qdata", "simulate", *options, *self.scale.simulate)

    def train(self, name: str, data: str, model: str, updates: int | None, *options: str) -> str:
        """An emulator. Returns its run."""
        command = ("qtrain", "dynamics", "--data", data, "--model", f"emulator_{model}")
        learn = () if updates is None else ("--updates", str(updates))
        rollout = ("--rollout", str(min(100, self.scale.frames)))
        run = f"runs/{name}"
        return self.plan.training(run, "model/config.json", *command, *learn, *options, *rollout).out

    def probe(self, experiment: str, *arguments: str, folder: str = "") -> Stage:
        """An experiment on emulators."""
        return self.plan.experiment(
            folder or experiment, experiment, "qtrain", "probe", experiment, *arguments
        )

    def rollout(self, folder: str, run: str, *tests: str) -> Stage:
        """An emulator fed with its own predictions, beside the truth."""
        return self.plan.experiment(folder, "rollout", "qtrain", "rollout", run, *tests, *self.frames)


def plan(scale: Scale) -> Plan:
    """Data, trainings, experiments, and the statements of the paper."""
    steps = Steps(scale)
    barrier, free = steps.data("barrier", *scale.barrier), steps.data("free", *scale.free)
    tests = [steps.data(name, "--preset", name) for name in TESTS]
    gru = _architectures(steps, barrier, free, tests)
    _generalisation(steps, gru, barrier, tests)
    _options(steps, barrier, tests)
    _ring(steps, gru, barrier, tests)
    return steps.plan


def _architectures(steps: Steps, barrier: str, free: str, tests: Sequence[str]) -> str:
    """Tables I and III, and rollouts of the recurrent network, whose run is returned."""
    on, full = repeated("--data", tests), steps.scale.updates is None
    runs = [steps.train(f"barrier-{n}", barrier, n, steps.scale.updates) for n in NETWORKS]
    steps.plan.claim(
        steps.probe("emulators", *runs, *on, *steps.frames, folder="table-1"),
        "Architectures, with a barrier",
        f"MAE and C over 37 cases: {_listed(EMULATORS['barrier'])} (Table I).",
        partial(_said_of_emulators, stated=EMULATORS["barrier"], full=full),
        _size(steps.scale.updates),
    )
    without = [steps.train(f"free-{n}", free, n, steps.scale.updates) for n in NETWORKS]
    steps.plan.claim(
        steps.probe("emulators", *without, "--data", tests[2], *steps.frames, folder="table-3"),
        "Architectures, free packets",
        f"MAE and C over 12 cases: {_listed(EMULATORS['free'])} (Table III).",
        partial(_said_of_emulators, stated=EMULATORS["free"], full=full),
        _size(steps.scale.updates, "free"),
    )
    steps.plan.claim(
        steps.rollout("rollout", runs[-1], *on),
        "Rollouts of the recurrent network",
        "Even after 350 steps the error is negligible, also on potentials never seen (Fig. 2).",
        partial(_said_of_rollout, full=full),
        _size(steps.scale.updates),
    )
    return runs[-1]


def _generalisation(steps: Steps, gru: str, barrier: str, tests: Sequence[str]) -> None:
    full = steps.scale.updates is None
    seeds = [
        steps.train(f"barrier-gru-{seed}", barrier, "gru", steps.scale.updates, "--seed", str(seed))
        for seed in range(1, steps.scale.seeds)
    ]
    steps.plan.claim(
        steps.probe("sweep", gru, *seeds, *steps.frames),
        "Generalisation",
        "Unchanged for all spreads and widths, worse for energies outside those taught and for high barriers"
        " (Fig. 4).",
        partial(_said_of_sweep, full=full),
        _size(steps.scale.updates),
    )
    steps.plan.claim(
        steps.probe("gradients", gru, "--data", tests[0], "--samples", str(steps.scale.samples)),
        "What predictions depend on",
        "Free waves are extrapolated from the last two frames, near barriers earlier ones matter; the mean"
        " gradients obey Cauchy and Riemann (Figs. 5, S8).",
        partial(_said_of_gradients, full=full),
        _size(steps.scale.updates),
    )
    steps.plan.claim(
        steps.probe("packets", gru, "--data", tests[0], *steps.frames),
        "Other packets",
        "The triangle is on a par with the Gaussian, the square noticeably worse (Fig. S5).",
        partial(_said_of_packets, full=full),
        _size(steps.scale.updates),
    )


def _options(steps: Steps, barrier: str, tests: Sequence[str]) -> None:
    updates = steps.scale.hyper_updates
    runs = [
        steps.train(f"barrier-gru-{option.replace('=', '-')}", barrier, "gru", updates, "--set", option)
        for option in steps.scale.hyper
    ]
    steps.plan.claim(
        steps.probe("hyper", *runs, "--data", tests[0], *steps.frames),
        "Options",
        "Two frames are enough, a window of 23 and 69 to 92 hidden numbers are best (Fig. S7).",
        partial(_said_of_hyper, full=updates is None),
        _size(updates),
    )


def _ring(steps: Steps, gru: str, barrier: str, tests: Sequence[str]) -> None:
    """What the paper does not have: emulators of the whole ring."""
    on = repeated("--data", tests)
    ring = [steps.train(f"barrier-{n}", barrier, n, steps.scale.ring) for n in ("unitary", "spectral")]
    size = f"{steps.scale.ring:,} updates on the ring"
    steps.plan.claim(
        steps.probe("emulators", *ring, gru, *on, *steps.frames, folder="beyond"),
        "Beyond the paper: emulators on the ring",
        "No such comparison.",
        _said_of_emulators,
        f"{size}; gru: {_size(steps.scale.updates)}",
    )
    steps.plan.claim(
        steps.rollout("beyond-rollout", ring[0], *on),
        "Beyond the paper: rollouts of the best",
        "As above.",
        _measured_on_rollout,
        size,
    )


def _size(updates: int | None, kind: str = "barrier") -> str:
    """How much networks that see windows learned, and how much in the paper."""
    recipe = f"the released recipe: {EMULATOR_TRAINING[kind]}"
    return recipe if updates is None else f"{updates:,} updates; {recipe}"


def _listed(table: Mapping[str, tuple[float, float]]) -> str:
    return "; ".join(f"{name} {mae:.4f}, {c:.4f}" for name, (mae, c) in table.items())


def _number(value: float | None, digits: int = 4) -> str:
    """A number, or that there is none because a rollout grew beyond all numbers."""
    return "diverged" if value is None else f"{value:.{digits}f}" if value < 1e3 else f"{value:.0e}"


def _said_of_emulators(
    n: Numbers, stated: Mapping[str, tuple[float, float]] | None = None, full: bool = False
) -> Answer:
    measured = {entry["run"].split("-")[-1]: entry for entry in n["emulators"]}
    means = "; ".join(f"{name} {_number(e['mae'])}, {e['C']:.4f}" for name, e in measured.items())
    rect = ", ".join(
        f"{name} {e['C_by_data'][TESTS[0]]:.4f}" for name, e in measured.items() if TESTS[0] in e["C_by_data"]
    )
    only = f" C over the {TESTS[0]} cases alone: {rect}." if rect else ""
    sentence = f"MAE and C over {n['cases']} cases and {n['frames']} frames: {means}.{only}"
    if stated is None:
        return Answer(sentence)
    correlation = {name: entry["C"] for name, entry in measured.items()}
    near = {
        f"C of {k} at most .01 below the paper's": correlation[k] >= c - 0.01 for k, (_, c) in stated.items()
    }
    best = {"gru has the largest C": correlation["gru"] == max(correlation.values())}
    return Answer(sentence, near | best, full or all(near.values()))


def _measured_on_rollout(n: Numbers) -> Answer:
    m = n["mean"]
    return Answer(
        f"Mean over {len(n['cases'])} cases: MAE {_number(m['mae'])} (of parts {_number(m['mae_parts'])}),"
        f" C {m['C']:.5f}; largest drift of a norm {_number(m['norm_drift'], 6)} and of an energy"
        f" {_number(m['energy_drift'])}, largest error of transmission {_number(m['transmission_error'])},"
        " each averaged over cases."
    )


def _said_of_rollout(n: Numbers, full: bool) -> Answer:
    criteria = {"mean C at least .99": n["mean"]["C"] >= 0.99}
    return Answer(_measured_on_rollout(n).sentence, criteria, full or all(criteria.values()))


def _said_of_sweep(n: Numbers, full: bool) -> Answer:
    parts, spread = [], {}
    for key, curve in n["curves"].items():
        mean = [sum(column) / len(column) for column in zip(*curve["C"], strict=True)]
        worst = min(range(len(mean)), key=mean.__getitem__)
        spread[key] = max(mean) - mean[worst]
        parts.append(f"{key.upper()}: {max(mean):.3f} to {mean[worst]:.3f} (at {curve['values'][worst]:g})")
    sentence = f"Mean C over {len(n['models'])} networks, largest and least: {'; '.join(parts)}."
    flat = {f"C varies by at most .02 over {key.upper()}": spread[key] <= 0.02 for key in ("s0", "wb")}
    worse = {
        f"and by more over {k.upper()}": spread[k] > max(spread["s0"], spread["wb"]) for k in ("e0", "hb")
    }
    return Answer(sentence, flat | worse, full)


def _said_of_gradients(n: Numbers, full: bool) -> Answer:
    kinds = {k: v for k, v in n.items() if isinstance(v, dict) and "windows" in v}
    parts = [
        f"{kind}: relations broken by {v['cauchy_riemann_violation']:.3f} (0: never, 0.71: at random),"
        f" the last frame has {100 * v['share_of_frames'][-1]:.0f} % of the gradient, the two before"
        f" {100 * sum(v['share_of_frames'][-3:-1]):.0f} %"
        for kind, v in kinds.items()
    ]
    violations = [v["cauchy_riemann_violation"] for v in kinds.values()]
    return Answer(f"{'; '.join(parts)}.", {"relations broken by at most .2": max(violations) <= 0.2}, full)


def _said_of_packets(n: Numbers, full: bool) -> Answer:
    parts = [f"{kind}: MAE {_number(v['mae'])}, C {v['C']:.4f}" for kind, v in n["packets"].items()]
    c = {kind: v["C"] for kind, v in n["packets"].items()}
    criteria = {
        "C of the triangle within .01 of the Gaussian's": abs(c["triangle"] - c["gaussian"]) <= 0.01,
        "C of the square lower by more than .01": c["gaussian"] - c["square"] > 0.01,
    }
    return Answer(f"{', '.join(parts)}.", criteria, full)


def _said_of_hyper(n: Numbers, full: bool) -> Answer:
    best = {option: max(points, key=lambda p: p[2])[0] for option, points in n["points"].items()}
    listed = ", ".join(f"{option} {value:g}" for option, value in best.items())
    stated = {"history": (2, 4), "width": (23, 23), "hidden": (69, 92)}
    criteria = {
        f"best {option} {a:g} to {b:g}": a <= best[option] <= b
        for option, (a, b) in stated.items()
        if option in best
    }
    return Answer(f"Largest C with {listed} (each changed alone).", criteria, full)


def _introduction(scale: Scale) -> list[str]:
    return [
        "Atomic units; MAE is ⟨|ψ̂ − ψ|⟩ (Eq. 12), C = |⟨ψ̂, ψ⟩|/(‖ψ̂‖ ‖ψ‖).",
        f"Training data: `qdata simulate {' '.join(scale.barrier)}` and `{' '.join(scale.free)}`.",
    ]


DYNAMICS = Paper("dynamics", "Yao et al., arXiv:2203.10200", SCALES, plan, _introduction)
