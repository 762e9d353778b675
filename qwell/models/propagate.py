"""Exact motion in torch, with gradients to the wave function, the potential, and all that drives it.

    i ∂ψ/∂t = (T + V(x) + D(x, t)) ψ,   ħ = m = 1, on a ring

by symmetric compositions (`physics/propagators/compositions.py`). Their steps are unitary, so that the
gradient needs no stored steps: it goes the way back, undoing each step of ψ beside each step of its adjoint,
and is the exact gradient of what was computed, to rounding. Shapes: b batch, n points, t times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from qwell.errors import InvalidInput, unknown
from qwell.physics.propagators.compositions import composition
from qwell.physics.propagators.settings import HAMILTONIANS, kinetic_energy
from qwell.physics.ring import Ring

Drive = Callable[[Float[Tensor, "times"]], Float[Tensor, "times *v n"]]
SMALL = 2**14  # numbers of ψ up to which it pays to transform it together with the adjoint
TOGETHER = 2**17  # numbers of the potential that are made at once: a few MB
MOST_STEPS = 2**16  # a frame
REAL = (torch.float32, torch.float64)
FASTEST = 0.5  # atomic units of time: the longest step that a search for enough steps begins with


def propagate(
    psi: Complex[Tensor, "*b n"],
    potential: Float[Tensor, "*v n"],
    drive: Drive | None = None,
    *,
    ring: Ring,
    dt: float,
    frames: int = 1,
    substeps: int | None = None,
    order: int = 6,
    hamiltonian: str = "spectral",
    start: float = 0.0,
    parameters: Sequence[Float[Tensor, "..."]] | Float[Tensor, "..."] | None = None,
    tolerance: float = 1e-10,
) -> Complex[Tensor, "*b {frames}+1 n"]:
    """ψ(0), ψ(Δt) … ψ(frames·Δt) of wave functions in V(x) + D(x, t), differentiable.

    Gradients reach `psi`, `potential` and the parameters of the drive. The memory of forward and backward
    does not depend on the number of steps, only on that of frames, which are the answer. A gradient costs
    about four propagations. There are no gradients of gradients.

    Arguments:
        psi: complex128, or complex64 for a quarter of the digits.
        potential: V, Hartree; its shape without n broadcasts to that of psi.
        drive: D: times (t,) in float64 → Hartree, (t, …, n), each row of a time broadcasting like V: a
            module, or any function.
        ring: the box.
        dt: Δt between frames, atomic units.
        frames: steps Δt; one frame more is the answer.
        substeps: steps a frame. Without them, as many as `enough_substeps` finds, at the cost of some
            propagations: find them once and give them where propagations are many.
        order: of the error in the step: 2, 4 or 6.
        hamiltonian: "spectral", T = k²/2; or "lattice", second-order differences.
        start: the time of the first frame.
        parameters: tensors that D depends on, for gradients; of a module its parameters. Of another function
            they must be named if they want gradients.
        tolerance: asked of `enough_substeps`.

    Raises:
        InvalidInput: shapes that do not fit, numbers out of range, or a tolerance out of reach.
    """
    plan = _plan(psi, potential, drive, ring, dt, frames, order, hamiltonian, start, parameters)
    if substeps is None:
        substeps = _enough(psi.detach(), potential.detach(), plan, tolerance)
    if not 1 <= substeps <= MOST_STEPS:
        raise InvalidInput(f"substeps is {substeps}; it must be from 1 to {MOST_STEPS:,}")
    found: Tensor = _Propagate.apply(psi, potential, plan.of(substeps), *plan.parameters)  # type: ignore[no-untyped-call]
    return found


def enough_substeps(
    psi: Complex[Tensor, "*b n"],
    potential: Float[Tensor, "*v n"],
    drive: Drive | None = None,
    *,
    ring: Ring,
    dt: float,
    frames: int = 1,
    order: int = 6,
    hamiltonian: str = "spectral",
    start: float = 0.0,
    tolerance: float = 1e-10,
) -> int:
    """Steps a frame after which all frames are within the tolerance, by comparing with twice as many steps.

    Arguments as of `propagate`; tolerance is that of ‖ψ − ψ_exact‖/‖ψ‖, the largest of the batch in any
    frame.

    Raises InvalidInput if rounding, or the most steps allowed, stand in the way.
    """
    plan = _plan(psi, potential, drive, ring, dt, frames, order, hamiltonian, start, ())
    return _enough(psi.detach(), potential.detach(), plan, tolerance)


@dataclass(frozen=True)
class _Plan:
    """What is asked of a propagation; `substeps` is 0 until it is known."""

    ring: Ring
    dt: float
    frames: int
    order: int
    hamiltonian: str
    start: float
    drive: Drive | None
    parameters: tuple[Tensor, ...]
    substeps: int = 0

    def of(self, substeps: int) -> _Plan:
        return replace(self, substeps=substeps)


def _plan(
    psi: Tensor,
    potential: Tensor,
    drive: Drive | None,
    ring: Ring,
    dt: float,
    frames: int,
    order: int,
    hamiltonian: str,
    start: float,
    parameters: Sequence[Tensor] | Tensor | None,
) -> _Plan:
    """The plan; InvalidInput unless it can be carried out."""
    if psi.dtype not in (torch.complex64, torch.complex128) or potential.dtype not in REAL:
        raise InvalidInput(
            f"psi is {psi.dtype} and potential {potential.dtype}; psi must be complex and the potential real,"
            " of single or double precision"
        )
    if (
        not _fits(potential.shape, psi.shape)
        or psi.shape[-1] != ring.points
        or potential.shape[-1] != ring.points
    ):
        raise InvalidInput(
            f"psi has the shape {tuple(psi.shape)} and potential {tuple(potential.shape)}; expected"
            f" (…, {ring.points}) of both, and the potential's to broadcast to psi's"
        )
    if hamiltonian not in HAMILTONIANS:
        raise InvalidInput(unknown("hamiltonian", hamiltonian, HAMILTONIANS))
    if not (math.isfinite(dt) and dt > 0 and math.isfinite(start)):
        raise InvalidInput(f"dt is {dt} and start {start}; dt must be positive, both finite")
    if frames < 1:
        raise InvalidInput(f"frames is {frames}; it must be at least 1")
    composition(order, hamiltonian)
    return _Plan(ring, dt, frames, order, hamiltonian, start, drive, _of_drive(parameters, drive, psi, start))


def _of_drive(
    parameters: Sequence[Tensor] | Tensor | None, drive: Drive | None, psi: Tensor, start: float
) -> tuple[Tensor, ...]:
    """The tensors that gradients of a drive go to; InvalidInput if these would be lost."""
    if parameters is None and isinstance(drive, nn.Module):
        return tuple(drive.parameters())
    if parameters is None and drive is not None and torch.is_grad_enabled():
        once = drive(torch.tensor([start], dtype=torch.float64, device=psi.device))
        if isinstance(once, Tensor) and once.requires_grad:
            raise InvalidInput(
                "the drive depends on tensors that want gradients; name them in parameters, or detach them"
            )
    given = (parameters,) if isinstance(parameters, Tensor) else tuple(parameters or ())
    if not all(isinstance(one, Tensor) for one in given):
        raise InvalidInput("parameters are the tensors that a drive depends on; give a list of tensors")
    if drive is None and given:
        raise InvalidInput("parameters are those of a drive, and there is no drive")
    return given


def _fits(shape: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether a shape broadcasts to a whole one."""
    try:
        return tuple(torch.broadcast_shapes(shape, whole)) == tuple(whole)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return False


class _Steps:
    """The factors of one frame's steps, in the order in which they act: a kick, then drift and kick in turn.

    Those that undo them, if they are for the way back (sign 1 instead of −1).
    """

    def __init__(self, psi: Tensor, potential: Tensor, plan: _Plan, sign: int = -1) -> None:
        step = plan.dt / plan.substeps
        once = composition(plan.order, plan.hamiltonian)
        all_steps = once.repeated(plan.substeps)
        self.plan, self.potential, self.kind = plan, potential, psi.dtype
        self.shape, self.dims, self.sign = psi.shape, psi.dim(), sign
        self.together = max(TOGETHER // max(psi.numel(), 1), 1)
        kinetic = torch.from_numpy(kinetic_energy(plan.ring, plan.hamiltonian)).to(psi.device)
        angles = torch.from_numpy(once.drifts * step).to(psi.device)[:, None] * kinetic
        self.drifts = torch.polar(torch.ones_like(angles), sign * angles).to(psi.dtype)
        self.weights = torch.from_numpy(all_steps.kicks * step)
        self.times = torch.from_numpy(all_steps.times * step)
        if plan.drive is None:  # few different kicks, all known
            weights, which = torch.unique(self.weights.round(decimals=15), return_inverse=True)
            self.known, self.which = self._phases(weights, potential[None]), which.tolist()

    def _phases(self, weights: Tensor, potential: Tensor) -> Tensor:
        """e^{∓iwV} of (t,) weights and (t or 1, *v, n) potentials."""
        w = (self.sign * weights).to(potential)
        angles = w.reshape(-1, *(1,) * (potential.dim() - 1)) * potential
        return torch.polar(torch.ones_like(angles), angles).to(self.kind)

    def pieces(self) -> list[range]:
        """Numbers of kicks that are made together."""
        all_kicks = range(len(self.weights))
        return [all_kicks[i : i + self.together] for i in range(0, len(all_kicks), self.together)]

    def driven(self, frame: int, piece: range) -> Tensor:
        """D at the kicks of a piece, (t, *v, n), with as many dimensions v as ψ has, some of them 1."""
        assert self.plan.drive is not None
        begin = self.plan.start + frame * self.plan.dt
        times = (begin + self.times[piece.start : piece.stop]).to(self.potential.device)
        found = self.plan.drive(times)
        fits = isinstance(found, Tensor) and not found.is_complex() and found.dim() > 1
        if (
            not fits
            or not _fits(found.shape[1:], self.shape)
            or (len(found), found.shape[-1]) != (len(times), self.shape[-1])
        ):
            is_ = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise InvalidInput(
                f"the drive gives {is_} at {len(times)} times; expected real numbers ({len(times)}, …,"
                f" {self.potential.shape[-1]}) that broadcast to psi's {tuple(self.shape)}"
            )
        return found.reshape(len(times), *(1,) * (self.dims + 1 - found.dim()), *found.shape[1:])

    def kicks(self, piece: range, driven: Tensor | None) -> Sequence[Tensor]:
        """e^{∓iwV} of a piece, each (*v, n)."""
        if driven is None:
            return [self.known[i] for i in self.which[piece.start : piece.stop]]
        return self._phases(self.weights[piece.start : piece.stop], self.potential + driven).unbind()

    def weight(self, piece: range) -> Tensor:
        """w of a piece, (t, 1s) like slopes of kicks."""
        weights = self.weights[piece.start : piece.stop].to(self.potential)
        return weights.reshape(-1, *(1,) * (self.dims if self.plan.drive else self.potential.dim()))

    def drift(self, kick: int) -> Tensor:
        """e^{∓iTaδ} in Fourier space before a kick that is not the first, (n,)."""
        return self.drifts[(kick - 1) % len(self.drifts)]


def _forwards(psi: Tensor, potential: Tensor, plan: _Plan) -> Tensor:
    """All frames (*b, frames + 1, n)."""
    steps = _Steps(psi, potential, plan)
    frames = psi.new_empty(*psi.shape[:-1], plan.frames + 1, psi.shape[-1])
    frames[..., 0, :] = psi
    for frame in range(plan.frames):
        for piece in steps.pieces():
            kicks = steps.kicks(piece, None if plan.drive is None else steps.driven(frame, piece))
            for number, kick in zip(piece, kicks, strict=True):
                if number:
                    psi = torch.fft.ifft(torch.fft.fft(psi).mul_(steps.drift(number)))
                    psi.mul_(kick)
                else:
                    psi = psi * kick
        frames[..., frame + 1, :] = psi
    return frames


class _Propagate(torch.autograd.Function):
    """All frames of a propagation; backwards, the steps are undone beside those of the adjoint."""

    @staticmethod
    def forward(ctx: Any, psi: Tensor, potential: Tensor, plan: _Plan, *parameters: Tensor) -> Tensor:
        frames = _forwards(psi, potential, plan)
        ctx.plan = plan
        ctx.save_for_backward(frames, potential, *parameters)
        return frames

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """From ∂L/∂frames to those with ψ, V and the parameters: each step of ψ and of its adjoint undone."""
        frames, potential, *parameters = ctx.saved_tensors
        plan: _Plan = ctx.plan
        of_potential, of_drive = ctx.needs_input_grad[1], any(ctx.needs_input_grad[3:])
        steps = _Steps(frames[..., 0, :], potential, plan, sign=1)
        found = potential.new_zeros(potential.shape)
        asked = [p for p, needed in zip(parameters, ctx.needs_input_grad[3:], strict=True) if needed]
        sums = [torch.zeros_like(p) for p in asked]
        adjoint = cotangent[..., -1, :]
        for frame in reversed(range(plan.frames)):
            # ψ is what was found, so that rounding does not add up on the way back; in one if small
            pair = [frames[..., frame + 1, :].clone(), adjoint.clone()]
            pair = [torch.stack(pair)] if adjoint.numel() <= SMALL else pair
            for piece in reversed(steps.pieces()):
                driven = None
                if plan.drive is not None:
                    with torch.set_grad_enabled(of_drive):
                        driven = steps.driven(frame, piece)
                kicks = steps.kicks(piece, None if driven is None else driven.detach())
                slopes = []  # of the kicks, the last first
                for i in reversed(range(len(piece))):
                    if of_potential or of_drive:
                        psi, dual = pair[0] if len(pair) == 1 else pair
                        slopes.append(_slope(psi, dual, kicks[i].shape))
                    for j in range(len(pair)):
                        pair[j].mul_(kicks[i])
                        if piece[i]:
                            pair[j] = torch.fft.ifft(torch.fft.fft(pair[j]).mul_(steps.drift(piece[i])))
                if slopes:
                    slope = torch.stack(slopes[::-1]) * steps.weight(piece)
                    if of_potential:
                        found += slope.sum(0).sum_to_size(found.shape)
                    if driven is not None and driven.requires_grad:
                        slope = slope.sum_to_size(driven.shape).to(driven)
                        shares = torch.autograd.grad(
                            driven, asked, slope, retain_graph=True, allow_unused=True
                        )  # what a drive was built on before is needed for every piece
                        for total, share in zip(sums, shares, strict=True):
                            if share is not None:
                                total += share
            adjoint = (pair[0] if len(pair) == 1 else pair)[1] + cotangent[..., frame, :]
        parts = iter(sums)
        own = [next(parts) if needed else None for needed in ctx.needs_input_grad[3:]]
        return adjoint, found if of_potential else None, None, *own


def _slope(psi: Tensor, adjoint: Tensor, shape: torch.Size) -> Tensor:
    """∂/∂(−wV) of what follows a kick e^{−iwV}, summed to its shape: Im(λ* ψ), with ψ and λ after it."""
    return (adjoint.conj() * psi).imag.sum_to_size(shape)


@torch.no_grad()
def _enough(psi: Tensor, potential: Tensor, plan: _Plan, tolerance: float) -> int:
    """The number of `enough_substeps`."""
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise InvalidInput(f"tolerance is {tolerance}; it must be positive")
    least = torch.finfo(psi.real.dtype).eps
    if tolerance < least:
        raise InvalidInput(
            f"tolerance is {tolerance:g}; {psi.dtype} rounds by {least:.1e}: choose a larger one"
            + ("" if psi.dtype == torch.complex128 else ", or complex128")
        )
    size = (
        psi.abs().square().sum(-1, keepdim=True).sqrt()[..., None].clamp(min=torch.finfo(torch.float32).tiny)
    )
    count, gain = max(math.ceil(plan.dt / FASTEST), 1), 2**plan.order - 1
    coarse, before = _forwards(psi, potential, plan.of(count)), math.inf
    while 2 * count <= MOST_STEPS:
        fine = _forwards(psi, potential, plan.of(2 * count))
        apart = float(((fine - coarse) / size).abs().square().sum(-1).sqrt().max())
        if not math.isfinite(apart):
            raise InvalidInput("psi, the potential or the drive holds values that are infinite or no numbers")
        if apart / gain <= tolerance:
            return 2 * count
        if not apart < before and apart < 1e-3:
            break
        before, coarse, count = apart, fine, 2 * count
    raise InvalidInput(
        f"no number of steps up to {2 * count:,} a frame brings the error below {tolerance:g}: choose a"
        " larger tolerance, complex128, or shorter frames"
    )
