"""What doing the dynamics paper again takes (Yao et al., arXiv:2203.10200)."""

from __future__ import annotations

from dataclasses import dataclass

from qwell.papers.reproduce import Stage

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


def stages(scale: Scale) -> list[Stage]:
    """Everything, in order: data, trainings, experiments."""
    plan: list[Stage] = []

    def data(name: str, *options: str) -> str:
        path = f"store/{name}.zarr"
        command = ["qdata", "simulate", *options, *scale.simulate, "--out", path]
        plan.append(Stage(command, f"{path}/manifest.json", f"{path}.partial", [*command, "--resume"]))
        return path

    def train(name: str, path: str, model: str, updates: int | None, *options: str) -> str:
        run = f"runs/{name}"
        command = ["qtrain", "dynamics", "--data", path, "--model", f"emulator_{model}"]
        command += [] if updates is None else ["--updates", str(updates)]
        command += [*options, "--out", run]
        resume = ["qtrain", "dynamics", "--resume", run]
        plan.append(Stage(command, f"{run}/model/config.json", f"{run}/config.json", resume))
        return run

    def ask(folder: str, experiment: str, *arguments: str) -> None:
        command = ["qtrain", "probe", experiment, *arguments, "--out", f"probes/{folder}"]
        plan.append(Stage(command, f"probes/{folder}/{experiment}.json"))

    frames = ("--frames", str(scale.frames))
    barrier, free = data("barrier", *scale.barrier), data("free", *scale.free)
    tests = [data(name, "--preset", name) for name in TESTS]
    on = [part for path in tests for part in ("--data", path)]
    rollout = ("--rollout", str(min(100, scale.frames)))
    runs = [train(f"barrier-{n}", barrier, n, scale.updates, *rollout) for n in NETWORKS]
    ask("table-1", "emulators", *runs, *on, *frames)
    without = [train(f"free-{n}", free, n, scale.updates, *rollout) for n in NETWORKS]
    ask("table-3", "emulators", *without, "--data", tests[2], *frames)
    gru = runs[-1]
    command = ["qtrain", "rollout", gru, *on, *frames, "--out", "probes/rollout"]
    plan.append(Stage(command, "probes/rollout/rollout.json"))
    seeds = [
        train(f"barrier-gru-{seed}", barrier, "gru", scale.updates, "--seed", str(seed), *rollout)
        for seed in range(1, scale.seeds)
    ]
    ask("sweep", "sweep", gru, *seeds, *frames)
    ask("gradients", "gradients", gru, "--data", tests[0], "--samples", str(scale.samples))
    ask("packets", "packets", gru, "--data", tests[0], *frames)
    other = [
        train(f"barrier-gru-{o.replace('=', '-')}", barrier, "gru", scale.hyper_updates, "--set", o, *rollout)
        for o in scale.hyper
    ]
    ask("hyper", "hyper", *other, "--data", tests[0], *frames)
    ring = [train(f"barrier-{n}", barrier, n, scale.ring, *rollout) for n in ("unitary", "spectral")]
    ask("beyond", "emulators", *ring, gru, *on, *frames)
    command = ["qtrain", "rollout", ring[0], *on, *frames, "--out", "probes/beyond-rollout"]
    plan.append(Stage(command, "probes/beyond-rollout/rollout.json"))
    return plan
