"""What doing the introspective paper again takes (arXiv:1901.11103; the numerical choices are ours)."""

from __future__ import annotations

from dataclasses import dataclass

from qwell.papers.reproduce import Stage


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is.

    Arguments:
        data: options of `qdata densities`.
        learn: options of `qtrain introspect`.
        seeds: whole pipelines, each from data of its own.
        noise: relative noise of the densities of the curve.
    """

    data: tuple[str, ...] = ()
    learn: tuple[str, ...] = ()
    seeds: int = 3
    noise: tuple[str, ...] = ("0.001", "0.01", "0.1")


SCALES = {
    "demo": Scale(
        data=("--n", "1000", "--cells", "30"),
        learn=(
            "--translator-steps", "1000", "--distiller-steps", "400", "--starts", "2",
            "--dimensions", "1,2,3",
        ),
        seeds=1,
        noise=("0.01",),
    ),
    "cpu": Scale(noise=("0.01",)),
    "paper": Scale(),
}  # fmt: skip


def stages(scale: Scale) -> list[Stage]:
    """Everything, in order: pipelines, the complex control, noise."""
    plan: list[Stage] = []

    def learn(name: str, *options: str, seed: int = 0) -> None:
        path = f"store/{name}.zarr"
        command = ["qdata", "densities", *scale.data, *options, "--seed", str(seed), "--out", path]
        plan.append(Stage(command, f"{path}/manifest.json", f"{path}.partial", [*command, "--resume"]))
        run = f"probes/{name}"
        command = ["qtrain", "introspect", "--data", path, *scale.learn, "--seed", str(seed), "--out", run]
        resume = ["qtrain", "introspect", "--resume", run]
        plan.append(Stage(command, f"{run}/report.json", f"{run}/config.json", resume))

    for seed in range(scale.seeds):
        learn(f"real-{seed}", seed=seed)
    learn("complex", "--current", "1.5")
    for noise in scale.noise:
        learn(f"noise-{noise}", "--noise", noise)
    return plan
