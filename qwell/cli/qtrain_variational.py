"""`qtrain variational` and `derivatives`: networks that solve the Schrödinger equation, and their speed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from qwell.cli.common import as_json, echo_json, parse_numbers

NAMES = "harmonic, linear, quartic, quartic-strong, exponential, morse"


@click.command()
@click.option(
    "--potential", required=True,
    help=f"One of {NAMES}; oscillator-2d, oscillator-3d, coupled-2d, coupled-3d (Monte Carlo); or a formula"
    " in x [y, z], e.g. 'x**2/2 + 0.1*x**4'.",
)  # fmt: skip
@click.option("--setup", default="ours", show_default=True, help="ours, or paper: its Ω, rectangles, Adam.")
@click.option("--layers", help="Hidden widths, e.g. 10,10,10.  [default: the paper's; 32,32 by Monte Carlo]")
@click.option("--region", help="Where φ lives, e.g. --region=-6,6.  [default: the well's; formulas need it]")
@click.option("--kinks", help="Where V' jumps, e.g. 0 for abs(x).  [default: the well's]")
@click.option("--points", type=int, help="Of the rule of integration.  [default: 400]")
@click.option("--rule", help="legendre or rectangle.  [default: legendre]")
@click.option(
    "--form", help="Of the functional: gradient, ½∫φ'², or laplacian, −½∫φφ''.  [default: gradient]"
)
@click.option(
    "--walls/--free", default=None, help="Whether φ vanishes at the region's ends.  [default: walls]"
)
@click.option("--optimizer", help="adam, adam+lbfgs or adam+lbfgs+linear.  [default: the last]")
@click.option("--adam-steps", type=int, help="[default: 300]")
@click.option("--lbfgs-steps", type=int, help="[default: 800]")
@click.option("--linear-steps", type=int, help="[default: 350]")
@click.option("--rate", type=float, help="Adam's learning rate.  [default: 1e-2]")
@click.option("--dtype", help="float64 or float32.  [default: float64]")
@click.option("--levels", type=int, default=1, show_default=True, help="States, from the lowest.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the first weights.")
@click.option("--seeds", type=int, default=1, show_default=True, help="How many beginnings.")
@click.option("--dimensions", type=int, default=1, show_default=True, help="Of a formula: 1, 2 or 3.")
@click.option("--walkers", type=int, default=500, show_default=True, help="Of Monte Carlo.")
@click.option("--steps", type=int, default=200, show_default=True, help="Of Monte Carlo.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/<potential>]")
@as_json
def variational(
    potential: str, setup: str, seeds: int, dimensions: int, walkers: int, steps: int, out: Path | None,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Ground and excited states by the variational principle, with a network as the trial function.

    Writes a run: networks, report.md with energies, norms, residuals and an independent solver's answer, and
    figures of the wave function, its error and the energy on the way.
    """
    from qwell.errors import InvalidInput

    if seeds < 1:
        raise InvalidInput(f"seeds is {seeds}; it must be at least 1")
    given = {k: v for k, v in options.items() if v is not None}
    if given.get("layers"):
        given["layers"] = tuple(int(v) for v in parse_numbers(given["layers"], "--layers"))
    if dimensions > 1 or potential.endswith(("-2d", "-3d")):
        _sampled(potential, dimensions, given, seeds, walkers, steps, out, as_json)
        return
    from qwell.studies.variational.states import VariationalConfig

    for name in ("region", "kinks"):
        if name in given:
            given[name] = parse_numbers(given[name], f"--{name}")
    if len(given.get("region", (0, 0))) != 2:
        raise InvalidInput(f"the region is {options['region']!r}; write two numbers: --region=-6,6")
    if setup not in ("ours", "paper"):
        raise InvalidInput(f"unknown setup {setup!r}; choose ours or paper")
    if setup == "paper":
        config = VariationalConfig.paper(potential, **given)
    else:
        config = VariationalConfig(potential, **given)
    _searched(config, seeds, out, as_json)


def _searched(config: Any, seeds: int, out: Path | None, as_json: bool) -> None:
    from qwell.studies.variational.report import search, warnings_of
    from qwell.train.runs import Run, free_run_path

    path = out or free_run_path(Path("runs"), config.well.name)
    run = Run.create(path, {"command": "variational", "variational": asdict(config), "seeds": seeds})
    states, finding = search(config, seeds, run.log)
    states.save(run)
    print_finding(finding, run.path, as_json)
    errors = [level.energy - e for level, e in zip(states.levels, finding.numbers["exact"], strict=True)]
    for line in warnings_of(states, errors):
        click.echo(f"qtrain: {line}", err=True)


def _sampled(
    potential: str, dimensions: int, given: dict[str, Any], seeds: int, walkers: int, steps: int,
    out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    import time

    from qwell.errors import InvalidInput
    from qwell.studies.variational.report import sampled_finding
    from qwell.studies.variational.sampled import problem_of, solve_sampled
    from qwell.train.runs import Run, free_run_path

    alien = sorted(set(given) - {"layers", "seed", "levels"})
    if alien or given["levels"] != 1:
        raise InvalidInput(f"Monte Carlo has no option --{(alien or ['levels'])[0].replace('_', '-')}")
    problem = problem_of(potential, dimensions)
    layers, first = given.get("layers", (32, 32)), given["seed"]
    path = out or free_run_path(Path("runs"), problem.name)
    about = {"potential": potential, "layers": layers, "walkers": walkers, "steps": steps, "seeds": seeds}
    run = Run.create(path, {"command": "variational", "sampled": about})
    states, seconds = {}, {}
    for seed in range(first, first + seeds):
        clock = time.process_time()

        def note(step: int, energy: float, seed: int = seed) -> None:
            run.log({"update": step, "seed": seed, "energy": energy})

        states[seed] = solve_sampled(problem, layers, steps, walkers, seed=seed, report=note)
        seconds[seed] = round(time.process_time() - clock, 1)
    states[first].save(run)
    print_finding(sampled_finding(problem, states, seconds), run.path, as_json)


def print_finding(finding: Any, folder: Path, as_json: bool) -> None:
    """Write what was found into a folder, and print its table."""
    finding.write(folder)
    if as_json:
        echo_json(finding.numbers)
        return
    click.echo(finding.title)
    click.echo(finding.markdown())
    click.echo(f"figures: {'  '.join(str(folder / f'{name}.png') for name in finding.figure_names())}")


@click.command()
@click.option(
    "--sizes", default="1,2,4,8,16,32,64", show_default=True, help="Numbers of inputs, and outputs."
)
@click.option("--orders", default="hessian,diagonal,first", show_default=True, help="Also laplacian.")
@click.option("--batch", type=int, default=1, show_default=True, help="Points an evaluation.")
@click.option("--patience", type=float, default=0.2, show_default=True, help="Seconds for each number.")
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/derivatives"), show_default=True)
@as_json
def derivatives(
    sizes: str, orders: str, batch: int, patience: float, threads: int, out: Path, as_json: bool
) -> None:
    """Time derivatives of networks, ours and by automatic differentiation (Fig. 7, Eq. 43)."""
    from qwell.studies.derivative_times import derivative_times

    numbers = [int(v) for v in parse_numbers(sizes, "--sizes")]
    finding = derivative_times(numbers, orders.split(","), batch, patience, threads)
    print_finding(finding, out, as_json)


COMMANDS = (variational, derivatives)
