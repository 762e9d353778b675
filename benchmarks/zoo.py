"""The zoo on the same data with as many updates; error against data-set size; the loss on densities.

    python benchmarks/zoo.py [--folder bench-zoo] [--n 500000] [--updates 20000] [--threads 1] [--res-sa]

Everything is made in the folder by the commands people type; what is there is not made again, so that the
script can be interrupted. Errors are NMSE on the 10,000 validation potentials of each kernel.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from common import report

KERNELS = ("rbf", "m5", "m3", "exp")
MODELS = ("hamiltonian", "spectral", "transformer", "mlp", "linear")
SIZES = (1000, 10_000, 100_000)


def call(folder: Path, product: str, command: str, resume: str | None = None) -> None:
    """Run a command in the folder unless its product is there; `resume` instead if it was begun."""
    if (folder / product).exists():
        return
    begun = resume and (folder / product).parent.exists()
    group, *rest = shlex.split(resume if begun else command)  # type: ignore[arg-type]
    print(f"$ {resume if begun else command}", flush=True)
    subprocess.run([sys.executable, "-m", f"qwell.cli.{group}", *rest], cwd=folder, check=True)


def generate(folder: Path, name: str, kernel: str, n: int, *options: str) -> str:
    command = (
        f"qdata generate --kernel {kernel} --n {n} --solver lanes {' '.join(options)} --out store/{name}.zarr"
    )
    call(folder, f"store/{name}.zarr/manifest.json", command)
    return f"store/{name}.zarr"


def train(folder: Path, name: str, data: str, model: str, updates: int, *options: str) -> Path:
    every = f"--checkpoint-every 1000 --evaluate-every {max(updates // 10, 1)}"
    command = f"qtrain eigen --data {data} --model {model} --updates {updates} {every} {' '.join(options)}"
    run = f"runs/{name}"
    call(folder, f"{run}/report.md", f"{command} --out {run}", f"qtrain eigen --resume {run}")
    return folder / run


def main() -> None:
    """Make, train, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("bench-zoo"))
    parser.add_argument("--n", type=int, default=500_000)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--res-sa", action="store_true", help="the paper's network too; hours on a CPU")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    folder, n, updates = options.folder, options.n, options.updates
    folder.mkdir(parents=True, exist_ok=True)

    sets = {kernel: generate(folder, kernel, kernel, n) for kernel in KERNELS}
    runs = {f"{m}, m3": train(folder, f"m3-{m}", sets["m3"], m, updates) for m in MODELS}
    for model in ("hamiltonian", "mlp"):
        for size in SIZES:
            data = generate(folder, f"m3-{size}", "m3", size)
            runs[f"{model}, m3, {size:,} potentials"] = train(
                folder, f"{data[6:-5]}-{model}", data, model, updates
            )
    data = generate(folder, "m3-densities", "m3", 50_000, "--densities")
    for model in ("hamiltonian", "mlp"):
        for weight in ("0", "1"):
            name = f"{model}, m3, 50,000 potentials, density weight {weight}"
            runs[name] = train(
                folder, f"m3-{model}-w{weight}", data, model, updates, "--density-weight", weight
            )
    if options.res_sa:
        runs["res_sa, m3"] = train(folder, "m3-res_sa", sets["m3"], "res_sa", updates)

    import torch

    from qwell import load_model, open_dataset
    from qwell.studies.problem import exact, solvers
    from qwell.train.eigen import gradient_densities, predict, predict_split
    from qwell.train.metrics import nmse

    torch.set_num_threads(options.threads)
    opened = {kernel: open_dataset(folder / path) for kernel, path in sets.items()}
    potential = opened["m3"]["validation"]["potential"][:10_000]
    waves = exact(opened["m3"]).states(potential[:200].astype(float))[1]
    rows: dict[str, float | int] = {}
    for name, run in runs.items():
        model = load_model(run)
        rows[f"{name}: parameters"] = sum(p.numel() for p in model.parameters())
        for kernel, data in opened.items():
            rows[f"{name}: NMSE on {kernel}"] = nmse(*predict_split(model, data, "validation"))
        slope = gradient_densities(model, potential[:200].astype(float))
        error = np.linalg.norm(slope - waves, axis=2) / np.linalg.norm(waves, axis=2)
        rows[f"{name}: relative L2 error of densities on m3"] = float(error.mean())
        clock = time.perf_counter()
        predict(model, potential)
        rows[f"{name}: potentials/s, batches of 1,000"] = len(potential) / (time.perf_counter() - clock)
    for name, (solve, count) in solvers(opened["m3"]).items():
        solve(potential[:10].astype(float))
        clock = time.perf_counter()
        solve(potential[:count].astype(float))
        rows[f"{name}: potentials/s"] = min(count, len(potential)) / (time.perf_counter() - clock)
    command = f"python benchmarks/zoo.py --n {n} --updates {updates} --threads {options.threads}"
    command += " --res-sa" if options.res_sa else ""
    report("zoo", command, rows)


if __name__ == "__main__":
    main()
