"""SOAP: Adam in the slowly turning eigenbasis of the gradients' covariances, for weights that are matrices.

Of the gradient G (m, n) of a matrix, L = ⟨G Gᵀ⟩ and R = ⟨Gᵀ G⟩ are running averages, Q_L and Q_R their
eigenvectors, brought up to date every some updates by one step of the power method. In that basis the entries
of G hardly depend on each other, so that Adam's step for each of them fits:

    M ← β₁ M + (1 − β₁) G,   G' = Q_Lᵀ G Q_R,   V ← β₂ V + (1 − β₂) G'²,
    W ← W − rate · Q_L [ (Q_Lᵀ M Q_R) / (1 − β₁ᵗ) / (√(V/(1 − β₂ᵗ)) + ε) ] Q_Rᵀ.

Vectors get Adam's step itself. A regression is badly conditioned, and needs far fewer updates so.

Source: N. Vyas, D. Morwani, R. Zhao, I. Shapira, D. Brandfonbrener, L. Janson, S. Kakade, "SOAP: Improving
and Stabilizing Shampoo using Adam", arXiv:2409.11321, Algorithm 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 4096  # longer sides of a matrix are left as they are: their covariance would be too large


class SOAP(torch.optim.Optimizer):
    """The optimizer; the first step only begins the averages, and changes nothing.

    Arguments:
        parameters: to be changed.
        lr: the rate.
        betas: β₁ and β₂; β₂ is also that of L and R.
        eps: ε.
        every: updates from one change of the basis to the next.
    """

    recordable = False  # whether the basis turns is decided by a count, which no CUDA graph can do

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        every: int = 40,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "every": every})

    @staticmethod
    def shapes(parameter: Tensor) -> dict[str, torch.Size]:
        """Names and shapes of what is kept of a parameter."""
        kept = {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
        for side, size in _sides(parameter).items():
            square = torch.Size((size, size))
            kept |= {f"{side}_covariance": square, f"{side}_basis": square}
        return kept

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Change every parameter by its gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._change(parameter, parameter.grad, group)

    def _change(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            self._begin(state, parameter, gradient)
            return
        state["step"] += 1
        count = float(state["step"])
        state["exp_avg"].lerp_(gradient, 1 - first)
        turned = _turned(gradient, state)
        state["exp_avg_sq"].mul_(second).addcmul_(turned, turned, value=1 - second)
        size = (state["exp_avg_sq"] / (1 - second**count)).sqrt_().add_(group["eps"])
        change = _turned_back(_turned(state["exp_avg"], state).div_(size), state)
        parameter.sub_(change * (group["lr"] / (1 - first**count)))
        for side in _sides(parameter):
            state[f"{side}_covariance"].lerp_(_square(gradient, side), 1 - second)
            if count % group["every"] == 0:
                self._turn(state, side)

    def _begin(self, state: dict[str, Any], parameter: Tensor, gradient: Tensor) -> None:
        state["step"] = torch.zeros(())
        state["exp_avg"] = torch.zeros_like(parameter)
        state["exp_avg_sq"] = torch.zeros_like(parameter)
        for side in _sides(parameter):
            covariance = _square(gradient, side)
            state[f"{side}_covariance"] = covariance
            if covariance.isfinite().all():
                state[f"{side}_basis"] = torch.linalg.eigh(covariance)[1].flip(1).contiguous()
            else:  # which has no eigenvectors; that it diverges is seen by the loss
                state[f"{side}_basis"] = torch.eye(len(covariance)).to(covariance)

    def _turn(self, state: dict[str, Any], side: str) -> None:
        """One step of the power method, with the directions in the order of their eigenvalues."""
        basis = state[f"{side}_basis"]
        image = state[f"{side}_covariance"] @ basis
        order = (basis * image).sum(0).argsort(descending=True, stable=True)
        axis = 0 if side == "left" else 1
        state["exp_avg_sq"].copy_(state["exp_avg_sq"].index_select(axis, order))
        state[f"{side}_basis"] = torch.linalg.qr(image[:, order])[0].contiguous()


def _sides(parameter: Tensor) -> dict[str, int]:
    """The sides of a matrix that have a basis of their own, and their lengths; none of a vector."""
    if parameter.ndim != 2 or min(parameter.shape) < 2:
        return {}
    return {side: n for side, n in zip(("left", "right"), parameter.shape, strict=True) if n <= LARGEST}


def _square(gradient: Tensor, side: str) -> Tensor:
    return gradient @ gradient.T if side == "left" else gradient.T @ gradient


def _turned(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """Q_Lᵀ matrix Q_R."""
    if "left_basis" in state:
        matrix = state["left_basis"].T @ matrix
    return matrix @ state["right_basis"] if "right_basis" in state else matrix.clone()


def _turned_back(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """Q_L matrix Q_Rᵀ."""
    if "left_basis" in state:
        matrix = state["left_basis"] @ matrix
    return matrix @ state["right_basis"].T if "right_basis" in state else matrix
