"""Derivatives of ten networks that are no chain of layers, ours and by double backward, 1,000 points each.

The networks are those of `tests/models/foreign_networks.py`; float64, Laplacian and Hessian, without and with
the parameter gradient of a linear functional of (y, ∂y, ∂²y).

    python benchmarks/foreign.py --threads 1
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from common import report
from torch.nn.attention import SDPBackend, sdpa_kernel

from qwell.studies.derivative_times import METHODS, seconds

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/models"))
from foreign_networks import NETWORKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--patience", type=float, default=1.0, help="seconds for each number")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: dict[str, float] = {}
    ratios: dict[str, list[float]] = {}
    with sdpa_kernel(SDPBackend.MATH):  # the kernel of attention that double backward can do
        for name, (make, inputs) in NETWORKS.items():
            torch.manual_seed(0)
            network = make().double().eval()
            x = torch.randn(arguments.points, inputs, dtype=torch.float64)
            for order in ("laplacian", "hessian"):
                for gradient in (False, True):
                    what = f"{order}{', with parameter gradient' if gradient else ''}"
                    took = {
                        method: seconds(METHODS[method], network, x, order, gradient, arguments.patience)
                        for method in ("qwell", "double backward")
                    }
                    for method, t in took.items():
                        rows[f"{name}, {what}: {method}, µs a point"] = t / arguments.points * 1e6
                    ratios.setdefault(what, []).append(took["qwell"] / took["double backward"])
                    print(name, what, {k: f"{t * 1e3:.2f} ms" for k, t in took.items()}, flush=True)
    for what, values in ratios.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        rows[f"{what}: time over double backward's, geometric mean"] = mean
        rows[f"{what}: time over double backward's, largest"] = max(values)
    command = f"python benchmarks/foreign.py --points {arguments.points} --threads {arguments.threads}"
    report("foreign", command, rows)


if __name__ == "__main__":
    main()
