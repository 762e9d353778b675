"""What doing the spectra paper again takes (N. Ogure, arXiv:2201.06676)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from qwell.papers.reproduce import Stage

KERNELS = ("rbf", "m5", "m3", "exp")


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; the defaults are the paper's sizes.

    Arguments:
        sizes: potentials in N1, N2, N5.
        validation: potentials to validate on.
        updates: of the paper's network; zoo_updates: of the others.
        generate: options of `qdata generate`.
        network, channels: options of `res_sa`.
        curves, ablations, media: kernels for which learning curves, ablations and matter effects are made.
    """

    sizes: tuple[int, int, int] = (100_000, 200_000, 500_000)
    validation: int = 10_000
    updates: int = 100_000
    zoo_updates: int = 100_000
    generate: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    curves: tuple[str, ...] = KERNELS
    ablations: tuple[str, ...] = KERNELS
    media: tuple[str, ...] = KERNELS


SCALES = {
    "demo": Scale(
        sizes=(2000, 4000, 10_000),
        validation=1000,
        updates=400,
        zoo_updates=1000,
        generate=("--workers", "0"),
        network=("hidden=64",),
        channels=(8, 8, 16, 16, 32),
        curves=("rbf",),
        ablations=("exp",),
        media=("exp",),
    ),
    "cpu": Scale(
        updates=10_000, zoo_updates=20_000, curves=("rbf",), ablations=("exp",), media=("rbf", "exp")
    ),
    "paper": Scale(),
}


def stages(scale: Scale) -> list[Stage]:
    """Everything, in order: data, trainings, experiments."""
    plan: list[Stage] = []

    def data(kernel: str, n: int, *options: str, name: str = "") -> str:
        path = f"store/{name or kernel}.zarr"
        command = ["qdata", "generate", "--kernel", kernel, "--n", str(n), "--solver", "lanes"]
        command += ["--validation", str(scale.validation), *scale.generate, *options, "--out", path]
        plan.append(Stage(command, f"{path}/manifest.json", f"{path}.partial", [*command, "--resume"]))
        return path

    def train(
        name: str, path: str, *options: str, model: str = "res_sa", updates: int = scale.updates
    ) -> str:
        run = f"runs/{name}"
        every = max(updates // 20, 1)
        command = ["qtrain", "eigen", "--data", path, "--model", model, "--updates", str(updates)]
        command += ["--log-every", str(max(every // 10, 1)), "--evaluate-every", str(every)]
        command += [*options, "--out", run]
        resume = ["qtrain", "eigen", "--resume", run]
        plan.append(Stage(command, f"{run}/report.md", f"{run}/config.json", resume))
        return run

    def network(channels: tuple[int, ...] = scale.channels, *options: str) -> list[str]:
        chosen = [f"channels={json.dumps(channels)}", *scale.network, *options]
        return [part for option in chosen for part in ("--set", option)]

    def ask(experiment: str, *arguments: str, out: str = "") -> None:
        folder = f"probes/{out or experiment}"
        command = ["qtrain", "probe", experiment, *arguments, "--out", folder]
        plan.append(Stage(command, f"{folder}/{experiment}.json"))

    def on(paths: list[str], option: str = "--data") -> list[str]:
        return [part for path in paths for part in (option, path)]

    n1, n2, n5 = scale.sizes
    sets = [data(kernel, n5) for kernel in KERNELS]
    watch = on(sets[1:], "--watch")
    main = [
        train(kernel, path, *network(), *(watch if kernel == "rbf" else []))
        for kernel, path in zip(KERNELS, sets, strict=True)
    ]
    of = dict(zip(KERNELS, main, strict=True))
    curves = []
    for kernel in scale.curves:
        for name, n in (("n1", n1), ("n2", n2)):
            curves.append(train(f"{kernel}-{name}", data(kernel, n, name=f"{kernel}-{name}"), *network()))
        curves.append(of[kernel])
    ask("learning-curves", *curves, *(run for run in main if run not in curves))
    ask("cross-kernel", *main, *on(sets))
    wide = [data(kernel, n5, "--sigma", "1000", name=f"{kernel}-1000") for kernel in KERNELS]
    wide_runs = [train(f"{k}-1000", path, *network()) for k, path in zip(KERNELS, wide, strict=True)]
    ask("cross-kernel", *wide_runs, *on(wide), out="cross-kernel-1000")
    ask("similarity", *main, *on(sets, "--train"), *on(sets))
    parts = []
    for kernel in scale.ablations:
        path = sets[KERNELS.index(kernel)]
        for depth in range(1, len(scale.channels)):
            parts.append(train(f"{kernel}-depth-{depth}", path, *network(scale.channels[:depth])))
        parts.append(train(f"{kernel}-no-attention", path, *network(scale.channels, "attention=0")))
        parts.append(of[kernel])
    ask("ablation", *parts, *on(sets))
    ask("attention", of["exp"], "--data", sets[0])
    ask("densities", of["exp"], "--data", sets[0])
    zoo = [
        train(f"m3-{model}", sets[2], model=model, updates=scale.zoo_updates)
        for model in ("hamiltonian", "transformer", "spectral", "mlp", "linear")
    ]
    ask("cross-kernel", *zoo, of["m3"], *on(sets), out="zoo")
    ask("densities", zoo[0], "--data", sets[0], out="zoo")
    ask("crossing", zoo[0], "--data", sets[0], out="zoo")
    ask("crossing", of["exp"], "--data", sets[0])
    for case in ("case1", "case2"):
        media = [data(k, n5, "--matter", case, name=f"{k}-{case}") for k in KERNELS]
        taught = [train(f"{k}-{case}", media[KERNELS.index(k)], *network()) for k in scale.media]
        ask("matter", *taught, *on(media), out=case)
    return plan
