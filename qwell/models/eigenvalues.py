"""The lowest eigenvalues of symmetric matrices, as a differentiable function, fast for many small ones.

    A u_i = λ_i u_i,   ∂/∂A Σ_i w_i λ_i = Σ_i w_i u_i u_iᵀ

Levels that are equal need orthonormal eigenvectors and nothing else, if their w are equal, too; w that differ
ask for a derivative that there is not, as of every eigensolver.

Many matrices on a processor go to `qwell.physics.symmetric`; few of them, other devices and types, what is
being compiled or traced, and second derivatives go to torch.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

FEWEST = 64  # matrices side by side in a lane each
FEWEST_ALONE = 1000  # without gradients the first call, half a second of loading, is to be earned, too


def lowest_eigenvalues(matrix: Float[Tensor, "*batch n n"], levels: int) -> Float[Tensor, "*batch {levels}"]:
    """λ_1 ≤ … ≤ λ_levels of symmetric matrices, (…, levels), as often differentiable as torch's own.

    Arguments:
        matrix: A, (…, n, n); only the lower triangles are read. Its gradient is symmetric.
        levels: how many, at most n.

    Raises torch's LinAlgError where A is not finite.
    """
    needed = FEWEST if torch.is_grad_enabled() and matrix.requires_grad else FEWEST_ALONE
    few = matrix.shape[:-2].numel() < needed
    ours = type(matrix) is Tensor and matrix.device.type == "cpu" and matrix.dtype.is_floating_point
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[no-untyped-call]
    if few or traced or not ours or matrix.dtype not in (torch.float32, torch.float64):
        values: Tensor = torch.linalg.eigvalsh(matrix)
        return values[..., :levels]
    found: Tensor = _Lowest.apply(matrix, levels)[0]  # type: ignore[no-untyped-call]
    return found


class _Lowest(torch.autograd.Function):
    """λ and u of many matrices on a processor; u is kept for the gradient and not differentiable itself."""

    @staticmethod
    def forward(matrix: Tensor, levels: int) -> tuple[Tensor, Tensor]:
        from qwell.physics.symmetric import lowest  # numba is loaded only where it is used

        flat = matrix.detach().reshape(-1, *matrix.shape[-2:])
        found = lowest(flat.numpy(), levels, vectors=matrix.requires_grad)
        if found is None:  # torch says why
            values, vectors = torch.linalg.eigh(matrix.detach())
            return values[..., :levels], vectors[..., :levels]
        values, vectors = map(torch.from_numpy, found)
        size = (*matrix.shape[:-1], levels if matrix.requires_grad else 0)
        return values.reshape(*matrix.shape[:-2], levels), vectors.reshape(size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], output[1])
        ctx.save_for_forward(inputs[0])
        ctx.levels = inputs[1]
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, weights: Tensor, _: Tensor) -> tuple[Tensor, None]:
        matrix, vectors = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated: by way of torch's eigenvectors
            vectors = torch.linalg.eigh(matrix)[1][..., : weights.shape[-1]]
        return (vectors * weights.unsqueeze(-2)) @ vectors.mT, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor, None]:
        (matrix,) = ctx.saved_tensors
        vectors = torch.linalg.eigh(matrix)[1][..., : ctx.levels]
        return (vectors * (tangent @ vectors)).sum(-2), None

    @staticmethod
    def vmap(_: Any, in_dims: tuple[int, None], matrix: Tensor, levels: int) -> tuple[Any, tuple[int, int]]:
        return _Lowest.apply(matrix.movedim(in_dims[0], 0), levels), (0, 0)  # type: ignore[no-untyped-call]
