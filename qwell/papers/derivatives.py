"""What doing the derivatives paper again takes (Rodini, Analytical derivatives of neural networks)."""

from __future__ import annotations

from dataclasses import dataclass

from qwell.papers.reproduce import Stage

WELLS = ("harmonic", "linear", "quartic", "quartic-strong", "exponential", "morse")


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


def stages(scale: Scale) -> list[Stage]:
    """Everything, in order: the six wells ours and as in the paper, more than the paper, and the times."""

    def search(folder: str, *options: str) -> Stage:
        command = ["qtrain", "variational", *options, "--out", f"probes/{folder}"]
        return Stage(command, f"probes/{folder}/report.json")

    seeds = ("--seeds", str(scale.seeds))
    plan = [search(well, "--potential", well, *scale.search, *seeds) for well in WELLS]
    paper = ("--setup", "paper", "--adam-steps", str(scale.paper_steps))
    plan += [search(f"{well}-paper", "--potential", well, *paper) for well in WELLS]
    plan.append(search("excited", "--potential", "quartic-strong", "--levels", "3", *scale.search))
    plan.append(search("coupled", "--potential", "coupled-3d", *scale.sampled))
    command = ["qtrain", "derivatives", "--sizes", scale.sizes, "--patience", str(scale.patience)]
    command += ["--out", "probes/times"]
    plan.append(Stage(command, "probes/times/derivatives.json"))
    return plan
