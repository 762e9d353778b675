"""The gradient of the GRU emulator's loss, written by hand: products of matrices, and loops over elements.

Recorded operation by operation, an update of `GRUEmulator` spends more time between its products than on
them. With x_t the frames of a window, (b, w·c), and Σ over t understood where a weight is shared,

    e_t = relu(A x_t + a),   p_t = W e_t + u,   q_t = U h_{t−1} + v,   h_0 = 0
    z, r = σ(p + q),   n = relu(p_n + r ⊙ q_n),   h_t = n + z ⊙ (h_{t−1} − n)
    ŷ = (B₁ + B₂) h_T + b,   ℓ = ⟨(ŷ − y)²⟩

and, backwards, with g_t = ∂ℓ/∂h_t and g_T = (B₁ + B₂)ᵀ ∂ℓ/∂ŷ,

    δn = g ⊙ (1 − z) ⊙ [n > 0],   δz = g ⊙ (h_{t−1} − n) ⊙ z ⊙ (1 − z),   δr = δn ⊙ q_n ⊙ r ⊙ (1 − r)
    ∂ℓ/∂p_t = (δz, δr, δn),   ∂ℓ/∂q_t = (δz, δr, δn ⊙ r),   g_{t−1} = g_t ⊙ z + Uᵀ ∂ℓ/∂q_t

Source: Cho et al. 2014, arXiv:1406.1078, with the reset after the product; the derivative is ours.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qwell.models.emulators import GRUEmulator, size_of
from qwell.physics.waves import PARTS

Array = np.ndarray


@cache
def _forward_loops() -> Any:
    """The loops over elements of the way forwards, compiled when a network first learns: relu, add, forwards.

    Every loop writes one array, so that the compiler can tell that it may take eight elements at a time.
    """
    from qwell.physics.compiled import compiled

    zero = np.float32(0)

    @compiled()
    def relu(rows: Array, bias: Array) -> None:
        for i in range(rows.shape[0]):
            row = rows[i]
            for j in range(row.shape[0]):
                row[j] = max(row[j] + bias[j], zero)

    @compiled()
    def add(projected: Array, back: Array, frame: int, gates: Array, bias: Array) -> None:
        for i in range(gates.shape[0]):
            g, p, q = gates[i], projected[i, frame], back[i]
            for j in range(g.shape[0]):
                g[j] = p[j] + q[j] + bias[j]

    @compiled()
    def forwards(
        projected: Array, back: Array, frame: int, gates: Array, before: Array, fresh: Array, state: Array,
        in_bias: Array, back_bias: Array,
    ) -> None:  # fmt: skip
        rows, k = state.shape
        for i in range(rows):
            z, r, h, n, new = gates[i, :k], gates[i, k:], before[i], fresh[i], state[i]
            p, q = projected[i, frame, 2 * k :], back[i, 2 * k :]
            for j in range(k):
                q[j] += back_bias[j]
            for j in range(k):
                n[j] = max(p[j] + in_bias[j] + r[j] * q[j], zero)
            for j in range(k):
                new[j] = n[j] + z[j] * (h[j] - n[j])

    return relu, add, forwards


@cache
def _backward_loop() -> Any:
    """The loop over elements of a frame on the way back."""
    from qwell.physics.compiled import compiled

    zero, one = np.float32(0), np.float32(1)

    @compiled()
    def backwards(
        slope: Array, back: Array, frame: int, gates: Array, before: Array, fresh: Array,
        to_projected: Array, to_back: Array,
    ) -> None:  # fmt: skip
        rows, k = slope.shape
        for i in range(rows):
            g, z, r, n, h, q = slope[i], gates[i, :k], gates[i, k:], fresh[i], before[i], back[i, 2 * k :]
            p = to_projected[i, frame]
            dz, dr, dn, drn, both = p[:k], p[k : 2 * k], p[2 * k :], to_back[i, 2 * k :], to_back[i, : 2 * k]
            for j in range(k):
                dn[j] = g[j] * (one - z[j]) if n[j] > zero else zero
            for j in range(k):
                dz[j] = g[j] * (h[j] - n[j]) * z[j] * (one - z[j])
            for j in range(k):
                dr[j] = dn[j] * q[j] * r[j] * (one - r[j])
            for j in range(k):
                drn[j] = dn[j] * r[j]
            for j in range(2 * k):
                both[j] = p[j]
            for j in range(k):
                g[j] *= z[j]

    return backwards


class HandGradient:
    """ℓ of batches, and its gradient in the `grad` of the parameters, which stay the same tensors.

    Arguments:
        model: float32, in main memory. Its parameters are read where they lie.
    """

    def __init__(self, model: GRUEmulator) -> None:
        self.config = model.config
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self._weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
        self._slopes = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
        self._rows = 0

    def _make_room(self, rows: int) -> None:
        """Arrays for batches of so many windows."""
        frames, k, inputs = self.config.history, self.config.k, self.config.inputs

        def room(*shape: int) -> Array:
            return np.zeros(shape, np.float32)

        self._rows = rows
        self._seen, self._embedded, self._to_embedded = (
            room(rows, frames, inputs), room(rows * frames, k), room(rows * frames, k)
        )  # fmt: skip
        self._projected, self._to_projected = room(rows, frames, 3 * k), room(rows, frames, 3 * k)
        self._back, self._to_back = room(frames, rows, 3 * k), room(frames, rows, 3 * k)
        self._gates, self._fresh = room(frames, rows, 2 * k), room(frames, rows, k)
        self._states, self._slope = room(frames + 1, rows, k), room(rows, k)
        self._torch_gates = torch.from_numpy(self._gates)

    def __call__(self, seen: Tensor, target: Tensor) -> Tensor:
        """ℓ of windows (b, h, w, c) and next frames (b, w, 2), as a detached scalar."""
        if len(seen) != self._rows:
            self._make_room(len(seen))
        size = None
        if self.config.normalised:  # ŷ = s f(ψ/s, V)
            size = size_of(seen)
            seen = torch.cat([seen[..., :PARTS] / size[..., None], seen[..., PARTS:]], dim=-1)
        deviation = self._forwards(seen.numpy())
        if size is not None:
            deviation *= size[..., 0].numpy()
        deviation -= target.numpy().reshape(deviation.shape)
        loss = np.vdot(deviation, deviation) / deviation.size
        deviation *= np.float32(2 / deviation.size)
        if size is not None:
            deviation *= size[..., 0].numpy()
        self._backwards(deviation)
        return torch.tensor(loss)

    def _forwards(self, seen: Array) -> Array:
        w, k = self._weights, self.config.k
        relu, add, forwards = _forward_loops()
        self._seen.reshape(seen.shape)[...] = seen
        np.matmul(self._seen.reshape(len(self._embedded), -1), w["embed.weight"].T, out=self._embedded)
        relu(self._embedded, w["embed.bias"])
        p = self._projected
        np.matmul(self._embedded, w["from_input.weight"].T, out=p.reshape(len(self._embedded), -1))
        in_bias, back_bias = w["from_input.bias"], w["from_state.bias"]
        both, in_bias, back_bias = (in_bias + back_bias)[: 2 * k], in_bias[2 * k :], back_bias[2 * k :]
        for t, q in enumerate(self._back):
            if t:
                np.matmul(self._states[t], w["from_state.weight"].T, out=q)
            else:
                q[...] = 0
            g, h = self._gates[t], self._states
            add(p, q, t, g, both)
            self._torch_gates[t].sigmoid_()
            forwards(p, q, t, g, h[t], self._fresh[t], h[t + 1], in_bias, back_bias)
        return np.asarray(self._states[-1] @ self._head().T + w["head.bias"])

    def _head(self) -> Array:
        """B₁ + B₂: output and state are one vector."""
        weight = self._weights["head.weight"]
        return np.asarray(weight[:, : self.config.k] + weight[:, self.config.k :])

    def _backwards(self, slope: Array) -> None:
        w, to, k = self._weights, self._slopes, self.config.k
        backwards = _backward_loop()
        np.matmul(slope.T, self._states[-1], out=to["head.weight"][:, :k])
        to["head.weight"][:, k:] = to["head.weight"][:, :k]
        slope.sum(0, out=to["head.bias"])
        g, h = self._slope, self._states
        np.matmul(slope, self._head(), out=g)
        for t in range(self.config.history - 1, -1, -1):
            backwards(
                g,
                self._back[t],
                t,
                self._gates[t],
                h[t],
                self._fresh[t],
                self._to_projected,
                self._to_back[t],
            )
            if t:
                g += self._to_back[t] @ w["from_state.weight"]
        to_back = self._to_back.reshape(-1, 3 * k)
        np.matmul(self._to_back[1:].reshape(-1, 3 * k).T, h[1:-1].reshape(-1, k), out=to["from_state.weight"])
        to_back.sum(0, out=to["from_state.bias"])
        to_projected = self._to_projected.reshape(-1, 3 * k)
        np.matmul(to_projected.T, self._embedded, out=to["from_input.weight"])
        to_projected.sum(0, out=to["from_input.bias"])
        to_embedded = np.matmul(to_projected, w["from_input.weight"], out=self._to_embedded)
        to_embedded *= self._embedded > 0
        np.matmul(to_embedded.T, self._seen.reshape(len(to_embedded), -1), out=to["embed.weight"])
        to_embedded.sum(0, out=to["embed.bias"])
