"""Work on a GPU, recorded once as a CUDA graph and launched as a whole instead of kernel by kernel.

Small networks leave a GPU waiting for launches: an update of weights is some hundred kernels of microseconds.
What is recorded runs the same kernels on the same numbers, so that its results are those of eager execution.
A recording reads and writes the same memory every time: arguments are copied into tensors of its own, answers
out of them; whatever else it reads (weights, moments, a learning rate) must be tensors that stay where they
are, and no result may be asked for by the processor within it.

Source: the CUDA graphs of torch, https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from qwell.errors import warn

DEVICES = ("cuda",)  # kinds of devices on which work can be recorded
WARM_UP = 3  # calls before the recording, in which libraries choose kernels and take memory


def records_on(device: torch.device) -> bool:
    """Whether work on a device can be recorded."""
    return device.type in DEVICES


def recorded(
    function: Callable[..., Any],
    name: str,
    device: torch.device,
    *parts: object,
    state: Callable[[], Iterable[Tensor]] = tuple,
) -> Callable[..., Any]:
    """A function that is recorded at its first call and replayed afterwards; as it is where that cannot be.

    Arguments:
        function: from tensors to a tensor, or a tuple of tensors; the shapes stay the same.
        name: what to call it when it cannot be recorded, e.g. "an update".
        device: on which it works.
        parts: what it uses; one with `recordable = False` says that it cannot be recorded.
        state: the tensors that it changes in place. Recording leaves them as they were; those that first
            calls make are set to zero, as Adam's moments begin.

    If recording fails, a warning says why, and the function is called as it is from then on.
    """
    if records_on(device) and all(getattr(part, "recordable", True) for part in parts):
        return _Recorded(function, name, device, state)
    return function


def training_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """What an update changes: weights, buffers, and then moments, which the first update makes."""
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return [*model.parameters(), *model.buffers(), *moments]


class _Recorded:
    """See `recorded`."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        device: torch.device,
        state: Callable[[], Iterable[Tensor]],
    ) -> None:
        self._function, self._name, self._device, self._state = function, name, device, state
        self._call: Callable[..., Any] | None = None  # once it is decided: the replay, or the function

    def __call__(self, *given: Tensor) -> Any:
        if self._call is None:
            self._call = self._record(given)
        return self._call(*given)

    def _record(self, given: tuple[Tensor, ...]) -> Callable[..., Any]:
        """The replay of a recording, with the state as it was; or the function, if it cannot be recorded."""
        inputs = [tensor.clone() for tensor in given]
        random, stream = torch.cuda.get_rng_state(self._device), torch.cuda.current_stream(self._device)
        before = [tensor.detach().clone() for tensor in self._state()]
        graph, side = torch.cuda.CUDAGraph(), torch.cuda.Stream(self._device)
        try:
            try:
                side.wait_stream(stream)
                with torch.cuda.stream(side):
                    for _ in range(WARM_UP):
                        self._function(*inputs)
            finally:
                stream.wait_stream(side)
                self._put_back(before)
                torch.cuda.set_rng_state(random, self._device)
            # other threads may go on asking for memory meanwhile
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                output = self._function(*inputs)
        except RuntimeError as error:
            _leave_capture(self._device, stream, random)
            cause = error.__context__ or error  # the end of a broken recording raises once more
            reason = str(cause).strip().partition("\n")[0]
            warn(f"{self._name} cannot be recorded as a CUDA graph and goes on eagerly: {reason}")
            return self._function

        def replay(*given: Tensor) -> Any:
            _copy(inputs, given)
            graph.replay()
            return output.clone() if isinstance(output, Tensor) else tuple(one.clone() for one in output)

        return replay

    @torch.no_grad()
    def _put_back(self, before: list[Tensor]) -> None:
        """Make the state what it was."""
        for number, tensor in enumerate(self._state()):
            if number < len(before):
                tensor.copy_(before[number])
            else:
                tensor.zero_()


def _copy(inputs: list[Tensor], given: tuple[Tensor, ...]) -> None:
    """Put arguments where a recording reads them."""
    for own, one in zip(inputs, given, strict=True):
        own.copy_(one, non_blocking=True)


def _leave_capture(device: torch.device, stream: torch.cuda.Stream, random: Tensor) -> None:
    """What the end of a broken recording leaves undone.

    It keeps its own stream, and the generator of random numbers refuses to draw outside of it: the generator
    gets a new state with the same numbers to come.
    """
    torch.cuda.set_stream(stream)
    fresh = torch.Generator(device)
    fresh.set_state(random)
    index = torch.cuda.current_device() if device.index is None else device.index
    torch.cuda.default_generators[index].graphsafe_set_state(fresh)
