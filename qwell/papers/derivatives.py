"""The derivatives paper: ground states by networks (S. Rodini, Analytical derivatives of neural networks)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from qwell.papers.plan import Answer, Numbers, Paper, Plan, Stage, setting
from qwell.papers.stated import GROUND_STATE_NUMBERS, GROUND_STATES
from qwell.studies.variational.config import SampledConfig, VariationalConfig

FULL = "our own recipe at its full length"
ORDERS = ("hessian", "diagonal", "first")
SAMPLED_OFF = 1e-4  # of the energy by Monte Carlo, the largest that agrees
LEVELS_OFF = 1e-6  # of each of three levels


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is.

    Arguments:
        search: options of our own searches for ground states.
        seeds: beginnings of each.
        paper_steps: of Adam, in the paper's own set-up.
        paper_points: rectangles in the paper's own set-up.
        sampled: options of Monte Carlo.
        sizes: numbers of inputs and outputs of the times.
        patience: seconds for each time measured.
    """

    search: tuple[str, ...] = ()
    seeds: int = 5
    paper_steps: int = 40_000
    paper_points: int = 10_000
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
    "cpu": Scale(paper_points=1000),
    "paper": Scale(),
}


def plan(scale: Scale) -> Plan:
    """The six wells, ours and as in the paper, more than the paper, and the times."""
    todo = Plan()

    def search(folder: str, potential: str, *options: str) -> Stage:
        command = ("qtrain", "variational", "--potential", potential)
        return todo.experiment(folder, "report", *command, *options)

    ours = (*scale.search, "--seeds", str(scale.seeds))
    paper = ("--setup", "paper", "--adam-steps", str(scale.paper_steps), "--points", str(scale.paper_points))
    size = (
        f"{scale.paper_steps:,} steps of Adam on {scale.paper_points:,} rectangles, one beginning; the paper:"
        f" {SCALES['paper'].paper_points:,} rectangles, and it does not say how many steps"
    )
    paper_steps = f"{SCALES['paper'].paper_steps:,} steps of Adam, for the paper does not say how many"
    enough = scale.paper_steps >= SCALES["paper"].paper_steps
    for well, stated in GROUND_STATES.items():
        said = partial(_said_of_well, well, enough=not scale.search, needs=FULL)
        todo.claim(search(well, well, *ours), f"The well {well}", stated, said, _searched(scale))
        as_in = search(f"{well}-paper", well, *paper)
        said = partial(_said_of_well, well, enough=enough, needs=paper_steps)
        todo.claim(as_in, f"{well}, set up as in the paper", stated, said, size)
    todo.claim(
        search("excited", "quartic-strong", "--levels", "3", *scale.search),
        "Beyond the paper: excited states",
        "None.",
        partial(_said_of_excited, enough=not scale.search),
        _searched(scale, 1),
    )
    todo.claim(
        search("coupled", "coupled-3d", *scale.sampled),
        "Three dimensions",
        "Monte Carlo would be needed (section 5, not done).",
        partial(_said_of_sampled, enough=not scale.sampled),
        f"{setting(scale.sampled, SampledConfig, 'steps'):,} steps of"
        f" {setting(scale.sampled, SampledConfig, 'walkers'):,} walkers, one beginning",
    )
    times = ("qtrain", "derivatives", "--sizes", scale.sizes, "--patience", str(scale.patience))
    todo.claim(
        todo.experiment("times", "derivatives", *times),
        "Times",
        "Time grows fastest for full Hessians; first derivatives are two orders of magnitude faster at many"
        " inputs (Fig. 7, Table 1).",
        _said_of_times,
        f"sizes {scale.sizes}; one point an evaluation, 5 layers of 10, one thread, the best of"
        f" {scale.patience:g} s each",
    )
    return todo


def _searched(scale: Scale, seeds: int | None = None) -> str:
    """How long our own recipe searched, and how often it began."""
    names = {"adam_steps": "Adam", "lbfgs_steps": "L-BFGS", "linear_steps": "the linear method"}
    steps = [f"{setting(scale.search, VariationalConfig, name)} of {who}" for name, who in names.items()]
    beginnings = scale.seeds if seeds is None else seeds
    return f"at most so many steps: {', '.join(steps)}; {beginnings} beginning{'s' * (beginnings > 1)}"


def _said_of_well(well: str, n: Numbers, enough: bool, needs: str) -> Answer:
    ground = [run[0] for run in n["runs"]]
    errors = [run[0] for run in n["errors"]]
    exact, residual = n["exact"][0], max(g["residual"] for g in ground)
    stated, off, stated_residual = GROUND_STATE_NUMBERS[well]
    misses = [abs(error if stated is None else exact + error - stated) for error in errors]
    criteria = {f"every |Ē − {'E₀' if stated is None else f'{stated:g}'}| ≤ {off:g}": max(misses) <= off}
    if stated_residual is not None:
        criteria[f"every G at most twice {stated_residual:g}"] = residual <= 2 * stated_residual
    return Answer(
        f"Exact E₀ = {exact:.10f}; Ē − E₀ from {min(errors):+.1e} to {max(errors):+.1e},"
        f" |⟨φ|φ⟩ − 1| up to {max(abs(g['norm'] - 1) for g in ground):.0e}, G up to {residual:.1e},"
        f" {len(ground)} beginnings, {sum(g['restarts'] for g in ground)} begun again,"
        f" {max(g['seconds'] for g in ground):.0f} CPU seconds at most.",
        criteria,
        enough or all(criteria.values()),
        needs,
    )


def _said_of_excited(n: Numbers, enough: bool) -> Answer:
    errors = n["errors"][0]
    levels = enumerate(zip(n["exact"], errors, strict=True))
    criteria = {f"every |Ē − E| ≤ {LEVELS_OFF:g} (our own bar)": max(map(abs, errors)) <= LEVELS_OFF}
    said = "; ".join(f"E{k} = {e:.8f}, Ē − E {d:+.1e}" for k, (e, d) in levels)
    return Answer(f"{said}; one beginning.", criteria, enough or all(criteria.values()), FULL)


def _said_of_sampled(n: Numbers, enough: bool) -> Answer:
    run = n["runs"][0]
    off = abs(run["energy"] - n["exact"])
    criteria = {f"|Ē − E| ≤ {SAMPLED_OFF:g} (our own bar)": off <= SAMPLED_OFF}
    said = f"Exact {n['exact']:.8f}, found {run['energy']:.8f} ± {run['error']:.0e}; one beginning."
    return Answer(said, criteria, enough or all(criteria.values()), FULL)


def _said_of_times(n: Numbers) -> Answer:
    def seconds(method: str) -> list[float]:
        return [float(point[1]) for point in n["inputs"]["curves"][method]]

    ours = {order: seconds(f"qwell, {order}") for order in ORDERS}
    times = [f"{o} {seconds(f'double backward, {o}')[-1] / ours[o][-1]:.1f}" for o in ORDERS]
    growth = {order: curve[-1] / curve[0] for order, curve in ours.items()}
    fast = ours["hessian"][-1] / ours["first"][-1]
    theirs = [float(point[1]) for point in n["inputs"]["paper"]["hessian"]]
    beaten = [size for size, c, t in zip(n["sizes"], theirs, ours["hessian"], strict=True) if c < t]
    listed = ", ".join(
        f"{size} inputs: {c * 1e6:,.0f} and {t * 1e6:,.0f} µs"
        for size, c, t in zip(n["sizes"], theirs, ours["hessian"], strict=True)
    )
    return Answer(
        f"At {n['sizes'][-1]} inputs and one point, double backward takes this many times ours:"
        f" {', '.join(times)}; our Hessian takes {fast:.0f} times our first derivatives. One point's Hessian"
        f" by the paper's C (its own fits, Eq. 43, another machine) and ours: {listed}. For single points its"
        f" C wins {'at ' + ', '.join(map(str, beaten)) + ' inputs' if beaten else 'at none of these sizes'};"
        " what a call costs in Python does not shrink with the network.",
        {
            "the Hessian's time grows most": growth["hessian"] == max(growth.values()),
            "first derivatives 100 times faster than the Hessian": fast >= 100,
        },
        n["sizes"][-1] >= 64,
        "64 inputs",
    )


def _introduction(scale: Scale) -> list[str]:
    return [
        "ħ = m = 1; Ē is the Rayleigh quotient, G the mean square of (H − Ē)φ (Eq. 30), both on finer rules"
        " than those of the search.",
        "E₀ is that of an independent solver (spectral elements). The paper's set-up integrates φHφ over"
        " its Ω by rectangles with free ends: that functional has no lower bound, and Ē may lie below E₀.",
    ]


DERIVATIVES = Paper(
    "derivatives",
    "S. Rodini, Analytical derivatives of neural networks",
    SCALES,
    plan,
    _introduction,
    {
        "demo": "some minutes on 2 cores",
        "cpu": "43 minutes beside other work, 23 of one core (measured)",
        "paper": "about 2.5 core-hours (estimated)",
    },
)
