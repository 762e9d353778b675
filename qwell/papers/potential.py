"""What doing the potential paper again takes (Hong et al., potentials by Metropolis sampling)."""

from __future__ import annotations

from dataclasses import dataclass

from qwell.papers.reproduce import Stage

SYSTEMS = ("hydrogen-1s", "oscillator-2")
METHODS = ("qpnn", "qpnn-ms", "mpnn")


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the defaults are the released scripts' sizes.

    Arguments:
        seeds: beginnings of everything.
        epochs: of the paper's methods; None for the scripts'.
        ours: options of our own recipe.
        penalties: λ of Fig. 3.
        sweep_epochs: of every point of it.
    """

    seeds: int = 5
    epochs: int | None = None
    ours: tuple[str, ...] = ()
    penalties: str = "0,1e-5,1e-4,1e-3,1e-2,1e-1,1"
    sweep_epochs: int = 2000


SCALES = {
    "demo": Scale(
        seeds=1, epochs=10, ours=("--adam-steps", "500", "--newton-steps", "15"), penalties="0,1e-3,1e-1",
        sweep_epochs=3,
    ),
    "cpu": Scale(seeds=3, epochs=100, penalties="0,1e-4,1e-3,1e-2,1", sweep_epochs=40),
    "paper": Scale(),
}  # fmt: skip
ABLATION = (
    ("relu-paper", ("--method", "mpnn", "--recipe", "scripts")),
    ("no-newton", ("--newton-steps", "0")),
    ("no-tails", ("--temper", "0")),
    ("tanh", ("--activation", "Tanh")),
    ("radius", ("--field", "radius")),
    ("coulomb", ("--field", "coulomb")),
)


def stages(scale: Scale) -> list[Stage]:
    """Everything, in order: Table I, Fig. 2, Fig. 3, our own recipe, and what helps."""
    seeds = ("--seeds", str(scale.seeds))
    epochs = () if scale.epochs is None else ("--epochs", str(scale.epochs))

    def ask(folder: str, *options: str, product: str = "report") -> Stage:
        command = ["qtrain", "potential", *options, "--out", f"probes/{folder}"]
        return Stage(command, f"probes/{folder}/{product}.json")

    plan = [
        ask(
            f"{system}-{method}-{recipe}", "--system", system, "--method", method, "--recipe", recipe,
            *epochs, *seeds,
        )
        for system in SYSTEMS
        for method in METHODS
        for recipe in ("text", "scripts")
    ]  # fmt: skip
    one = ("--system", "hydrogen-1s", "--method", "mpnn", *epochs)
    plan.append(ask("fig-2-unshrunk", *one, "--shrink", "1"))
    plan.append(ask("fig-2-free", *one, "--lambda", "0"))
    sweep = (*one[:4], "--epochs", str(scale.sweep_epochs), "--lambda", scale.penalties, *seeds)
    plan.append(ask("fig-3", *sweep, product="sweep"))
    plan += [ask(f"{system}-ours", "--system", system, *scale.ours, *seeds) for system in SYSTEMS]
    for name, options in ABLATION:
        kept = epochs if "mpnn" in options else scale.ours
        plan.append(ask(f"ablation-{name}", "--system", "hydrogen-1s", *kept, *options))
    return plan
