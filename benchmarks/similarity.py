"""Nearest training potentials of 10,000 validation potentials among 500,000 (spectra paper, Figs. 6 and 7).

    python benchmarks/similarity.py [--data store/rbf.zarr]

DATA is made by `qdata generate --kernel rbf --n 500000 --solver lanes`. `deviation` compares 20 distances
with a direct computation in float64; targets are 60 s on 2 cores, 2 GiB and 1e-10.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from common import report

from qwell import open_dataset
from qwell.studies.probes.similarity import nearest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("store/rbf.zarr"))
    data = open_dataset(parser.parse_args().data)
    potential = data["validation"]["potential"][:].astype(float)
    clock = time.perf_counter()
    found = nearest(potential, data)
    seconds = time.perf_counter() - clock
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    best = np.full(20, np.inf)
    for rows in data["train"]:
        for i, v in enumerate(potential[:20]):
            difference = v - rows["potential"].astype(float)
            best[i] = min(best[i], difference.std(axis=1).min())
    rows_out: dict[str, float | int] = {
        "validation potentials": len(potential),
        "training potentials": len(data["train"]),
        "seconds (target 60)": seconds,
        "largest memory of the process, GiB (target 2)": memory,
        "deviation, relative (target 1e-10)": float(np.abs(found.distance[:20] / best - 1).max()),
    }
    report("similarity", "python benchmarks/similarity.py", rows_out)


if __name__ == "__main__":
    main()
