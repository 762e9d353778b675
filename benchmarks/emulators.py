"""The emulators that come with the package on the dynamics paper's test cases, 400 frames.

    python benchmarks/emulators.py [--store store]

STORE holds paper-tests-rect.zarr, paper-tests-shaped.zarr and paper-tests-free.zarr, made by `qdata simulate
--preset …`. The paper has C = .9953 and MAE of parts = .0051 over its 25 cases with a potential (Table I),
and .9984 and .0014 over the free ones without a potential channel (Table III). Nine shaped ones are ours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import report

from qwell import open_dataset
from qwell.models.registry import load_pretrained, pretrained
from qwell.train.metrics import waves_compared
from qwell.train.rollout import predict_frames
from qwell.train.runs import trained_on

TESTS = ("rect", "shaped", "free")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=Path("store"))
    options = parser.parse_args()
    rows: dict[str, float | int] = {}
    for name in pretrained():
        model = load_pretrained(name)
        if model.task != "dynamics":
            continue
        about = trained_on(name)
        rows[f"{name}: parameters"] = sum(p.numel() for p in model.parameters())
        rows[f"{name}: updates"] = about["updates"]
        total = {"C": 0.0, "MAE": 0.0, "MAE of parts": 0.0}
        count = 0
        for test in TESTS:
            part = open_dataset(options.store / f"paper-tests-{test}.zarr")["test"]
            potential = part["potential"][:]
            if getattr(model.config, "channels", 3) == 2 and potential.any():
                continue
            found = waves_compared(*predict_frames(model, about["v_scale"], part["psi"][:], potential, 400))
            means = {"C": found.correlation, "MAE": found.mae, "MAE of parts": found.mae_parts}
            for key, values in means.items():
                rows[f"{name}: {key} on {len(part)} {test}"] = float(values.mean())
                total[key] += float(values.mean()) * len(part)
            count += len(part)
        for key, value in total.items():
            rows[f"{name}: {key} on all {count}"] = value / count
    report("emulators", "python benchmarks/emulators.py", rows)


if __name__ == "__main__":
    main()
