"""Layers of values with derivatives (`carried.Carried`): softmax, normalisations, dropout, attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from qwell.models.carried import Carried
from qwell.models.carried_rules import (
    difference,
    full_of,
    linear_of,
    matmul,
    product,
    refuse,
    scaled,
    sum_of,
)


def _softmax(x: Carried, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Carried:
    """y = e^x/Σe^x; with c = ∂x − Σ y ∂x: ∂y = y c, ∂²y = y (u − Σ y u), u = ∂²x + c c."""
    y = torch.softmax(x.value, dim, dtype)
    axis = _positive(dim, y)
    c = x.first - (y * x.first).sum(axis, keepdim=True)
    return Carried.of(y, y * c, _bent_softmax(x, y, c, axis, y), x.frame)


def _log_softmax(x: Carried, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Carried:
    """ln y; its ∂ is c, and its ∂² is ∂²x − Σ y u."""
    y = torch.softmax(x.value, dim, dtype)
    axis = _positive(dim, y)
    c = x.first - (y * x.first).sum(axis, keepdim=True)
    square = x.frame.square(c)
    if square is None:
        return Carried.of(torch.log_softmax(x.value, dim, dtype), c, None, x.frame)
    u = square if x.second is None else x.second + square
    second = -(y * u).sum(axis, keepdim=True)
    second = second if x.second is None else x.second + second
    return Carried.of(torch.log_softmax(x.value, dim, dtype), c, second, x.frame)


def _bent_softmax(x: Carried, y: Tensor, c: Tensor, axis: int, factor: Tensor) -> Tensor | None:
    u = x.frame.square(c)
    if u is None:
        return None
    u = u if x.second is None else u + x.second
    return factor * (u - (y * u).sum(axis, keepdim=True))


def _positive(dim: int | None, y: Tensor) -> int:
    """An axis of the value, as one of its derivatives."""
    return (-1 if dim is None else dim) if (dim is None or dim < 0) else dim + 1


def _mean(x: Carried, axes: tuple[int, ...]) -> Carried:
    x = full_of(x)
    second = None if x.second is None else x.second.mean(axes, keepdim=True)
    return Carried.of(x.value.mean(axes, keepdim=True), x.first.mean(axes, keepdim=True), second, x.frame)


def _normalised(x: Carried, axes: tuple[int, ...], eps: float, centred: bool = True) -> Carried:
    """(x − x̄)/√(var + ε) over the last axes; without x̄, x/√(mean x² + ε)."""
    c = difference(x, _mean(x, axes)) if centred else x
    spread = _mean(c.curve((c.value**2, 2 * c.value, torch.full_like(c.value, 2.0))), axes)
    z = spread.value + eps
    inverse = torch.rsqrt(z)
    return product(c, spread.curve((inverse, -0.5 * inverse / z, 0.75 * inverse / z**2)))


def _affine(x: Carried, weight: Any, bias: Any) -> Carried:
    x = x if weight is None else product(x, weight)
    return x if bias is None else sum_of(x, bias)


def _layer_norm(
    x: Carried, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Carried:
    return _affine(_normalised(x, tuple(range(-len(normalized_shape), 0)), eps), weight, bias)


def _rms_norm(x: Carried, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Carried:
    eps = torch.finfo(x.value.dtype).eps if eps is None else eps
    return _affine(_normalised(x, tuple(range(-len(normalized_shape), 0)), eps, False), weight, None)


def _group_norm(
    x: Carried, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Carried:
    shape = x.value.shape
    grouped = x.linear(
        lambda d: d.reshape(shape[0], num_groups, -1), x.value.reshape(shape[0], num_groups, -1)
    )
    out = _normalised(grouped, (-1,), eps)
    out = out.linear(lambda d: d.reshape(shape), out.value.reshape(shape))
    broadcast = (1, -1, *(1,) * (len(shape) - 2))
    return _affine(out, *(None if p is None else p.reshape(broadcast) for p in (weight, bias)))


def _batch_norm(
    x: Carried, mean: Any, var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Carried:  # fmt: skip
    if training or mean is None:
        return refuse("BatchNorm in training mixes points; call network.eval()")
    shape = (1, -1, *(1,) * (x.value.dim() - 2))
    scale = torch.rsqrt(var + eps) if weight is None else weight * torch.rsqrt(var + eps)
    shift = -mean * scale if bias is None else bias - mean * scale
    return sum_of(product(x, scale.reshape(shape)), shift.reshape(shape))


def _dropout(x: Carried, p: float = 0.5, training: bool = True, inplace: bool = False) -> Carried:
    if training and p > 0:
        return refuse("Dropout in training is random; call network.eval()")
    return x


def _attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Carried:  # fmt: skip
    """softmax(q kᵀ/√d + mask) v."""
    if dropout_p > 0:
        return refuse("Dropout in training is random; call network.eval()")
    size = query.shape[-1]
    turned = key.linear(lambda d: d.mT, key.value.mT) if isinstance(key, Carried) else key.mT
    scores = matmul(query, turned)
    scores = scaled(scores, 1 / math.sqrt(size) if scale is None else scale)
    if is_causal:
        shape = scores.value.shape[-2:]
        attn_mask = torch.ones(shape, dtype=torch.bool, device=scores.value.device).tril()
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=scores.value.dtype).masked_fill(
                ~attn_mask, -torch.inf
            )
        scores = sum_of(scores, attn_mask)
    return matmul(_softmax(scores, -1), value)


def _heads_of(x: Any, heads: int) -> Any:
    """(l, n, e) as (n, heads, l, e/heads)."""

    def split(t: Tensor) -> Tensor:
        return t.reshape(*t.shape[:2], heads, -1).permute(1, 2, 0, 3)

    return x.linear(split, split(x.value)) if isinstance(x, Carried) else split(x)


def _multi_head(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any,
    in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any,
    out_proj_bias: Any, training: bool = True, key_padding_mask: Any = None, need_weights: bool = True,
    attn_mask: Any = None, use_separate_proj_weight: bool = False, q_proj_weight: Any = None,
    k_proj_weight: Any = None, v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """`nn.MultiheadAttention` of (l, n, e); weights of attention are not given."""
    asked = (bias_k, bias_v, key_padding_mask, static_k, static_v)
    if any(one is not None for one in asked) or add_zero_attn:
        return refuse("MultiheadAttention with padding or added keys has no closed second derivative here")
    if training and dropout_p > 0:
        return refuse("Dropout in training is random; call network.eval()")
    weights = (
        (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else in_proj_weight.chunk(3)
    )
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    alone = query.dim() == 2
    parts = [
        _heads_of(
            _raised(
                linear_of(x, w, b) if isinstance(x, Carried) else x @ w.mT + (0 if b is None else b), alone
            ),
            num_heads,
        )
        for x, w, b in zip((query, key, value), weights, biases, strict=True)
    ]
    q, k, v = parts
    out = full_of(_attention(q, k, v, attn_mask, is_causal=is_causal and attn_mask is None))

    def join(t: Tensor) -> Tensor:
        joined = t.permute(2, 0, 1, 3).flatten(2)
        return joined[:, 0] if alone else joined

    joined = out.linear(join, join(out.value))
    return linear_of(joined, out_proj_weight, out_proj_bias), None


def _raised(x: Any, alone: bool) -> Any:
    """(l, e) as (l, 1, e), where points come one by one."""
    if not alone:
        return x
    return x.linear(lambda d: d[:, None], x.value[:, None]) if isinstance(x, Carried) else x[:, None]


def _variance(x: Carried, dim: Any = None, unbiased: bool = True, correction: float | None = None,
              keepdim: bool = False) -> Carried:  # fmt: skip
    axes = tuple(range(-x.value.dim(), 0)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    axes = tuple(a - x.value.dim() if a >= 0 else a for a in axes)
    c = difference(x, _mean(x, axes))
    out = _mean(c.curve((c.value**2, 2 * c.value, torch.full_like(c.value, 2.0))), axes)
    count = math.prod(x.value.shape[a] for a in axes)
    less = (1.0 if unbiased else 0.0) if correction is None else correction
    out = scaled(out, count / (count - less))
    return out if keepdim else out.linear(lambda d: d.squeeze(axes), out.value.squeeze(axes))


def _length(x: Carried, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Carried:
    """√Σx² over some axes."""
    if ord not in (2, "fro", None):
        return refuse("a norm other than the Euclidean has no closed second derivative here")
    axes = tuple(range(-x.value.dim(), 0)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    square = x.curve((x.value**2, 2 * x.value, torch.full_like(x.value, 2.0)))
    total: Carried = full_of(square).linear(
        lambda d: d.sum(axes, keepdim=keepdim), square.value.sum(axes, keepdim=keepdim)
    )
    root = total.value.sqrt()
    return total.curve((root, 0.5 / root, -0.25 / root**3))


def _norm(x: Carried, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Carried:
    return _length(x, p, dim, keepdim)


LAYERS = {
    "softmax": _softmax, "log_softmax": _log_softmax, "layer_norm": _layer_norm, "rms_norm": _rms_norm,
    "group_norm": _group_norm, "batch_norm": _batch_norm, "dropout": _dropout, "alpha_dropout": _dropout,
    "dropout1d": _dropout, "feature_alpha_dropout": _dropout, "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head, "var": _variance, "vector_norm": _length, "norm": _norm,
}  # fmt: skip
