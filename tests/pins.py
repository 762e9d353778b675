"""Small data sets and short trainings whose numbers are pinned: what a move of the code must not change.

    python tests/pins.py            # say what differs from the pins, to the bit
    python tests/pins.py --record   # pin what the code gives now; say why in CHANGELOG.md

Digests are the same bits on the same machine only, for rounding differs between processors: `test_pins.py`
compares rows and losses with a tolerance. Everything is made by commands, so that moved code cannot hide.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "fixtures"
ROWS, SUMS = FOLDER / "pins.npz", FOLDER / "pins.json"
SPECTRA = "--n 12 --validation 4 --mesh 40 --levels 5"
WAVES = "--x0 20,30 --hb 2,6 --points 128 --frames 6 --validation 1 --v-scale 6"
DATASETS = {
    "rbf.zarr": f"generate --kernel rbf {SPECTRA} --densities",
    "m5.h5": f"generate --kernel m5 {SPECTRA}",
    "m3-1000.zarr": f"generate --kernel m3 {SPECTRA} --sigma 1000 --solver lanes",
    "exp.h5": f"generate --kernel exp {SPECTRA} --dtype float64",
    "m3-case1.zarr": f"generate --kernel m3 {SPECTRA} --matter case1",
    "waves.zarr": f"simulate {WAVES}",
    "waves.h5": f"simulate {WAVES} --hamiltonian lattice --propagator space-splitting --dtype float64",
    "densities.zarr": "densities --n 6 --validation 2 --test 2 --cells 20 --potential m3",
}
EIGEN = "eigen --data rbf.zarr --batch 6 --updates 30 --seed 3"
DYNAMICS = "dynamics --data waves.zarr --updates 20 --batch 8 --rollout 3 --seed 3"
TRAININGS = {
    "mlp": f"{EIGEN} --model mlp --set hidden=[16,16]",
    "res_sa": f"{EIGEN} --set channels=[8,8] --set hidden=16",
    "hamiltonian": f"{EIGEN} --model hamiltonian --set states=12 --set fold=12",
    "emulator_gru": f"{DYNAMICS} --set hidden=8",
    "emulator_unitary": f"{DYNAMICS} --model emulator_unitary",
}


def command(name: str, words: str) -> None:
    """Run one of our commands in this process and say nothing."""
    from importlib import import_module

    group = import_module(f"qwell.cli.{name}").cli
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        group.main(words.split(), prog_name=name, standalone_mode=False)


@contextlib.contextmanager
def orders_of(digests: dict[str, str]) -> Iterator[None]:
    """Data sets of these names have these digests inside, and with them the order of batches.

    The last bit of a row, and so its digest and the order, may differ between processors; losses are to be
    compared in one order.
    """
    from qwell.store.dataset import Dataset

    own = Dataset.digest
    Dataset.digest = property(lambda self: digests.get(self.name, self.manifest.digest))  # type: ignore
    try:
        yield
    finally:
        Dataset.digest = own  # type: ignore[method-assign]


def make(orders: dict[str, str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Make everything in the working directory: rows by data set, split and field; digests; last losses.

    Arguments:
        orders: the digests whose orders of batches are trained in; by default those of the data.
    """
    from qwell import open_dataset

    rows, digests, losses = {}, {}, {}
    for name, words in DATASETS.items():
        command("qdata", f"{words} --workers 0 --out {name}")
        data = open_dataset(name)
        digests[name] = data.digest
        for split in data.splits:
            for field in data[split].fields if len(data[split]) else ():
                rows[f"{name}/{split}/{field}"] = np.asarray(data[split][field][:])
    for name, words in TRAININGS.items():
        with orders_of(orders or {}):
            command("qtrain", f"{words} --device cpu --out runs/{name}")
        lines = Path(f"runs/{name}/metrics.jsonl").read_text().splitlines()
        losses[name] = json.loads(lines[-1])["loss"]
    return rows, {"digests": digests, "losses": losses}


def main() -> None:
    """Record, or compare to the bit."""
    record = "--record" in sys.argv
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        rows, sums = make()
    if record:
        FOLDER.mkdir(exist_ok=True)
        np.savez_compressed(ROWS, **rows)
        SUMS.write_text(json.dumps(sums, indent=1) + "\n")
    pinned = json.loads(SUMS.read_text())
    differ = [f"{kind} {k}: {v} was {pinned[kind].get(k)}" for kind in sums for k, v in sums[kind].items()
              if pinned[kind].get(k) != v]  # fmt: skip
    print("\n".join(differ) or f"{len(DATASETS)} data sets and {len(TRAININGS)} trainings: the same bits")
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
