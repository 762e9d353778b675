"""What the eigensolver of `hamiltonian` costs, alone and in an update: torch's and ours, by least CPU time.

    python benchmarks/eigensolver.py

One thread, float32, potentials of m3; matrices are those of an untrained model, 24 × 24, ten levels.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from common import report
from torch import Tensor, nn

from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.models.eigenvalues import lowest_eigenvalues
from qwell.models.registry import create_model
from qwell.physics.symmetric import lowest

BATCHES = (100, 1000)


def least(function: Callable[[], object], repeats: int = 30) -> float:
    """The least CPU time of some calls [ms]."""
    function()
    times = []
    for _ in range(repeats):
        clock = time.process_time()
        function()
        times.append(time.process_time() - clock)
    return min(times) * 1e3


def measured(v: Tensor, e: Tensor) -> dict[str, float]:
    """CPU time [ms] of solvers and updates, by what was done."""
    model = create_model("hamiltonian")
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    levels, matrices = model.config.levels, model.matrix(v).detach()

    def update(energies: Callable[[Tensor], Tensor]) -> None:
        optimizer.zero_grad()
        nn.functional.mse_loss(energies(model.matrix(v)), e).backward()
        optimizer.step()

    rows = {
        "eigh of torch": least(lambda: torch.linalg.eigh(matrices)),
        "ours, with eigenvectors": least(lambda: lowest(matrices.numpy(), levels)),
        "eigvalsh of torch": least(lambda: torch.linalg.eigvalsh(matrices)),
        "ours, eigenvalues alone": least(lambda: lowest(matrices.numpy(), levels, vectors=False)),
        "update with torch's": least(lambda: update(lambda m: torch.linalg.eigvalsh(m)[:, :levels])),
        "update with ours": least(lambda: update(lambda m: lowest_eigenvalues(m, levels))),
        "update without any": least(lambda: update(lambda m: m[:, :, :levels].sum(1))),
    }
    ideal = rows["update without any"] + rows["ours, with eigenvectors"]
    return {f"{what} [CPU ms]": took for what, took in rows.items()} | {
        "update with ours / (update without any + one solve)": rows["update with ours"] / ideal
    }


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = SpectraRecipe("m3", n=max(BATCHES), validation=0, solver="lanes").rows("train", 0, max(BATCHES))
    v, e = (torch.as_tensor(data[name]).float() for name in ("potential", "energy"))
    rows: dict[str, object] = {"torch": torch.__version__}
    for batch in BATCHES:
        for what, number in measured(v[:batch], e[:batch] / 100).items():
            rows[f"batch {batch:,}: {what}"] = number
    report("eigensolver", "python benchmarks/eigensolver.py", rows)


if __name__ == "__main__":
    main()
