"""The derivatives paper: ground states by networks (S. Rodini, Analytical derivatives of neural networks)."""

from __future__ import annotations

from dataclasses import dataclass

from qwell.papers.plan import Numbers, Paper, Plan, Stage
from qwell.papers.stated import GROUND_STATES


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is.

    Arguments:
        search: options of our own searches for ground states.
        seeds: beginnings of each.
        paper_steps: of Adam, in the paper's own set-up.
        sampled: options of Monte Carlo.
        sizes: numbers of inputs and outputs of the times.
        patience: seconds for each time measured.
    """

    search: tuple[str, ...] = ()
    seeds: int = 5
    paper_steps: int = 40_000
    sampled: tuple[str, ...] = ()
    sizes: str = "1,2,4,8,16,32,64"
    patience: float = 0.5


SCALES = {
    "demo": Scale(
        search=("--adam-steps", "200", "--lbfgs-steps", "400", "--linear-steps", "40"),
        seeds=1,
        paper_steps=100,
        patience=0.05,
    ),
    "cpu": Scale(paper_steps=1000),
    "paper": Scale(),
}


def plan(scale: Scale) -> Plan:
    """The six wells, ours and as in the paper, more than the paper, and the times."""
    todo = Plan()

    def search(folder: str, potential: str, *options: str) -> Stage:
        command = ("qtrain", "variational", "--potential", potential)
        return todo.experiment(folder, "report", *command, *options)

    ours = (*scale.search, "--seeds", str(scale.seeds))
    paper = ("--setup", "paper", "--adam-steps", str(scale.paper_steps))
    size = f"{scale.paper_steps:,} steps of Adam; the paper does not say how many"
    for well, stated in GROUND_STATES.items():
        todo.claim(search(well, well, *ours), f"The well {well}", stated, _said_of_well)
        as_in = search(f"{well}-paper", well, *paper)
        todo.claim(as_in, f"{well}, set up as in the paper", stated, _said_of_well, size)
    todo.claim(
        search("excited", "quartic-strong", "--levels", "3", *scale.search),
        "Beyond the paper: excited states",
        "None.",
        _said_of_excited,
    )
    todo.claim(
        search("coupled", "coupled-3d", *scale.sampled),
        "Three dimensions",
        "Monte Carlo would be needed (section 5, not done).",
        _said_of_sampled,
    )
    times = ("qtrain", "derivatives", "--sizes", scale.sizes, "--patience", str(scale.patience))
    todo.claim(
        todo.experiment("times", "derivatives", *times),
        "Times",
        "Time grows fastest for full Hessians; first derivatives are two orders of magnitude faster at many"
        " inputs (Fig. 7, Table 1).",
        _said_of_times,
    )
    return todo


def _said_of_well(n: Numbers) -> str:
    ground = [run[0] for run in n["runs"]]
    errors = [run[0] for run in n["errors"]]
    return (
        f"Exact E₀ = {n['exact'][0]:.10f}; Ē − E₀ from {min(errors):+.1e} to {max(errors):+.1e},"
        f" |⟨φ|φ⟩ − 1| up to {max(abs(g['norm'] - 1) for g in ground):.0e}, G up to"
        f" {max(g['residual'] for g in ground):.1e}, {len(ground)} beginnings,"
        f" {sum(g['restarts'] for g in ground)} begun again, {max(g['seconds'] for g in ground):.0f} CPU"
        " seconds at most."
    )


def _said_of_excited(n: Numbers) -> str:
    levels = enumerate(zip(n["exact"], n["errors"][0], strict=True))
    return "; ".join(f"E{k} = {e:.8f}, Ē − E {d:+.1e}" for k, (e, d) in levels) + "."


def _said_of_sampled(n: Numbers) -> str:
    run = n["runs"][0]
    return f"Exact {n['exact']:.8f}, found {run['energy']:.8f} ± {run['error']:.0e}."


def _said_of_times(n: Numbers) -> str:
    def longest(method: str) -> float:
        return float(n["inputs"]["curves"][method][-1][1])

    parts = [
        f"{order} {longest(f'double backward, {order}') / longest(f'qwell, {order}'):.1f}"
        for order in ("hessian", "diagonal", "first")
    ]
    return (
        f"At {n['sizes'][-1]} inputs and one point, double backward takes this many times ours:"
        f" {', '.join(parts)}."
    )


def _introduction(scale: Scale) -> list[str]:
    return [
        "ħ = m = 1; Ē is the Rayleigh quotient, G the mean square of (H − Ē)φ (Eq. 30), both on finer rules"
        " than those of the search.",
        "E₀ is that of an independent solver (spectral elements). The paper's set-up integrates φHφ over"
        " its Ω by rectangles with free ends: that functional has no lower bound, and Ē may lie below E₀.",
    ]


DERIVATIVES = Paper(
    "derivatives", "S. Rodini, Analytical derivatives of neural networks", SCALES, plan, _introduction
)
