"""Put a trained run among the models that come with the package, with its errors on all four kernels.

    python benchmarks/pretrained.py RUN NAME --store store [--half]

STORE holds rbf.zarr, m5.zarr, m3.zarr and exp.zarr, made by `qdata generate --kernel KERNEL --n 500000
--solver lanes`; errors are measured on their validation splits, with the weights as they are kept.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from common import machine

from qwell import load_model, open_dataset
from qwell.models.registry import PRETRAINED, create_model, load_pretrained, save_pretrained
from qwell.train.eigen import predict_split
from qwell.train.metrics import nmse
from qwell.train.runs import Run, trained_on

KERNELS = ("rbf", "m5", "m3", "exp")


def commands(run: Run) -> list[str]:
    """What to type to make the run again."""
    config = run.config
    recipe, fresh = config["recipe"], create_model(config["model"]).config
    made = [
        "qdata",
        "generate",
        "--kernel",
        recipe["kernel"],
        "--n",
        str(recipe["n"]),
        "--solver",
        recipe["solver"],
    ]
    made += ["--matter", recipe["matter"]] if recipe.get("matter") else []
    trained = ["qtrain", "eigen", "--data", f"store/{Path(config['data']).name}", "--model", config["model"]]
    trained += [f"--set={k}={v}" for k, v in config["options"].items() if getattr(fresh, k) != v]
    trained += ["--updates", str(config["updates"]), "--first-rate", f"{config['first_rate']:g}"]
    return [shlex.join(made), shlex.join(trained)]


def main() -> None:
    """Measure, save, say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--store", type=Path, default=Path("store"))
    parser.add_argument("--half", action="store_true")
    options = parser.parse_args()
    run, folder = Run.open(options.run), PRETRAINED / options.name
    model, about = load_model(run.path), trained_on(run.path)
    save_pretrained(model, folder, half=options.half)
    kept = load_pretrained(folder)
    errors = {
        kernel: nmse(*predict_split(kept, open_dataset(options.store / f"{kernel}.zarr"), "validation"))
        for kernel in KERNELS
    }
    about |= {"nmse": errors, "commands": commands(run), "machine": machine()}
    save_pretrained(model, folder, about, half=options.half)
    print(options.name, errors)


if __name__ == "__main__":
    main()
