"""Put a trained run among the models that come with the package, with its errors measured.

    python benchmarks/pretrained.py RUN NAME --store store [--half]

For eigenvalue networks STORE holds rbf.zarr, m5.zarr, m3.zarr and exp.zarr, made by `qdata generate --kernel
KERNEL --n 500000 --solver lanes`; errors are measured on their validation splits. For emulators it holds
paper-tests-rect.zarr, paper-tests-shaped.zarr and paper-tests-free.zarr, made by `qdata simulate --preset …`;
400 frames are predicted. All with the weights as they are kept.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from common import machine

from qwell import load_model, open_dataset
from qwell.models.layers import Network
from qwell.models.registry import PRETRAINED, create_model, load_pretrained, save_pretrained
from qwell.train.config import DynamicsConfig
from qwell.train.eigen import predict_split
from qwell.train.metrics import nmse, waves_compared
from qwell.train.rollout import predict_frames
from qwell.train.runs import Run, trained_on

KERNELS = ("rbf", "m5", "m3", "exp")
TESTS = ("rect", "shaped", "free")


def commands(run: Run) -> list[str]:
    """What to type to make the run again."""
    config = run.config
    recipe, fresh = config["recipe"], create_model(config["model"]).config
    data = f"store/{Path(config['data']).name}"
    trained = ["qtrain", config["command"], "--data", data, "--model", config["model"]]
    trained += [f"--set={k}={v}" for k, v in config["options"].items() if getattr(fresh, k) != v]
    trained += ["--updates", str(config["updates"])]
    if config["command"] == "dynamics":
        fresh_config = DynamicsConfig(data="", digest="")
        for name in ("schedule", "warm_up", "first_rate", "last_rate", "noise", "unroll", "start_from"):
            if config.get(name) is not None and config[name] != getattr(fresh_config, name):
                trained += [f"--{name.replace('_', '-')}", str(config[name])]
        start = config.get("start_from")
        then = f"  # {start} as it was after {trained_on(start)['updates']:,} updates" if start else ""
        return [f"qdata simulate --preset {recipe['name']}", shlex.join(trained) + then]
    made = ["qdata", "generate", "--kernel", recipe["kernel"], "--n", str(recipe["n"])]
    made += ["--solver", recipe["solver"]]
    made += ["--matter", recipe["matter"]] if recipe.get("matter") else []
    trained += ["--batch", str(config["batch"]), "--first-rate", f"{config['first_rate']:g}"]
    trained += ["--optimizer", config["optimizer"]] if config.get("optimizer", "adam") != "adam" else []
    return [shlex.join(made), shlex.join([*trained, *(["--mirror"] if config.get("mirror") else [])])]


def measure(model: Network, about: dict[str, Any], store: Path) -> dict[str, float]:
    """NMSE on four kernels, or correlation and errors on the paper's test cases."""
    if model.task == "spectra":
        return {
            f"NMSE on {kernel}": nmse(
                *predict_split(model, open_dataset(store / f"{kernel}.zarr"), "validation")
            )
            for kernel in KERNELS
        }
    found = {}
    for name in TESTS:
        part = open_dataset(store / f"paper-tests-{name}.zarr")["test"]
        potential = part["potential"][:]
        if getattr(model.config, "channels", 3) == 2 and potential.any():
            continue
        pair = predict_frames(model, float(about["v_scale"]), part["psi"][:], potential, 400)
        compared = waves_compared(*pair)
        found[f"C on {name}"] = float(compared.correlation.mean())
        found[f"MAE on {name}"] = float(compared.mae.mean())
    return found


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
    if start := run.config.get("start_from"):
        first = trained_on(start)  # its commands are part of the recipe
        kept = {key: first[key] for key in ("updates", "commands", "began_with") if key in first}
        about |= {"began_with": {"model": start, **kept}}
    save_pretrained(model, folder, about, half=options.half)
    about |= {"measured": measure(load_pretrained(folder), about, options.store)}
    about |= {"commands": commands(run), "machine": machine()}
    save_pretrained(model, folder, about, half=options.half)
    print(options.name, about["measured"])


if __name__ == "__main__":
    main()
