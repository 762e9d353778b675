"""Translators: training, and the metric in which their hidden states are to be compared.

History that influences no density pollutes hidden states. What matters is how states move future densities:
G = ⟨Σ_{k ≤ 20} J_kᵀJ_k⟩, J_k = ∂ρ_{i+k}/∂h_i, the observability Gramian; y = √Λ Qᵀ h with G = QΛQᵀ, and one
scale for all of y.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from qwell.models.introspective import TRANSLATORS, Translator
from qwell.physics.cells import HIGHEST
from qwell.progress import track

AHEAD = 20
Report = Callable[[str, int, float], None]


def train_translator(
    kind: str, potential: Tensor, density: Tensor, seed: int, steps: int, report: Report
) -> Translator:
    """Train a translator: Adam, one cycle of 5e-3, batches of 128, sequences of 8 cells growing to all.

    Arguments:
        kind: of `TRANSLATORS`.
        potential, density: (rows, t) float32.
        seed: of weights and batches.
        steps: of Adam.
        report: called with stage, step, loss.

    The loss is MSE/var(ρ).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TRANSLATORS[kind]()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=max(steps, 2))
    cells, scale = potential.shape[1], float(density.var())
    for step in track(range(steps), "updates of the translator"):
        length = min(cells, 8 + int((cells - 8) * min(1.0, 2 * step / steps)))
        some = torch.randint(len(potential), (128,), generator=generator)
        loss = ((model(potential[some, :length]) - density[some, :length]) ** 2).mean() / scale
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        cycle.step()
        if step % 100 == 0 or step == steps - 1:
            report("translator", step, loss.item())
    return model.eval()


@torch.no_grad()
def relative_error(model: Translator, potential: Tensor, density: Tensor) -> float:
    """MSE/var(ρ) of a split."""
    return float(((model(potential) - density) ** 2).mean() / density.var())


@torch.no_grad()
def hidden_states(model: Translator, potential: Tensor) -> tuple[Tensor, Tensor]:
    """First states (rows, n), and states after each cell (rows, t, n)."""
    first = model.start(len(potential))
    return first, model.run(first, potential / HIGHEST)


def metric(model: Translator, potential: Tensor, samples: int = 400, seed: int = 0) -> Tensor:
    """The factor F (n, n) with y = h F, in units in which y has unit variance in all.

    Arguments:
        potential: (rows, t), of which random places are taken.
    """
    _, states = hidden_states(model, potential)
    generator = torch.Generator().manual_seed(seed)
    ahead = min(AHEAD, potential.shape[1] - 1)
    row = torch.randint(len(potential), (samples,), generator=generator)
    place = torch.randint(potential.shape[1] - ahead, (samples,), generator=generator)
    h = states[row, place].double()
    v = torch.stack([potential[r, p + 1 : p + 1 + ahead] for r, p in zip(row, place, strict=True)]).double()
    exact = model.double()

    def future(state: Tensor, cells: Tensor) -> Tensor:
        later = exact.run(state[None], cells[None] / HIGHEST)[0]
        return exact.read(torch.cat([state[None], later]))

    jacobian = vmap(jacrev(future))(h, v).detach()  # (samples, ahead + 1, n)
    model.float()
    gramian = torch.einsum("ska,skb->ab", jacobian, jacobian) / samples
    values, vectors = torch.linalg.eigh(gramian)
    factor = vectors * values.clamp_min(0).sqrt()
    y = states.double().flatten(0, 1) @ factor
    return (factor / y.std(0).square().sum().sqrt()).float().detach()
