"""CUDA graphs on the processor: what torch.cuda does when work is recorded and replayed, for tests.

While a graph is recorded every operation of torch is written down. What it does is undone at the end, as a
GPU does nothing then, and its results are no numbers until they are replayed. A replay repeats operations on
the same memory: Python is not asked again, and a number of Python's stays what it was. To wait for a result
is refused, and leaves the generator of random numbers unusable, as on a GPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qwell.train import recording

WAITING = "CUDA error: operation not permitted when stream is capturing\nCompile with `TORCH_USE_CUDA_DSA`"
BROKEN = "CUDA error: operation failed due to a previous error during capture"


def _memory(values: object) -> dict[int, Tensor]:
    """The tensors in something, by where their memory is."""
    return {t.untyped_storage()._cdata: t for t in tree_leaves(values) if isinstance(t, Tensor)}


def _changed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operation changes in place."""
    declared = func._schema.arguments
    given = {one.name: value for one, value in zip(declared, args, strict=False)} | kwargs
    names = [one.name for one in declared if one.alias_info is not None and one.alias_info.is_write]
    return [t for t in tree_leaves([given.get(name) for name in names]) if isinstance(t, Tensor)]


class Graph(TorchDispatchMode):
    """Stands for torch.cuda.CUDAGraph."""

    made: ClassVar[list["Graph"]] = []

    def __init__(self) -> None:
        super().__init__()
        self.tape: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.replays, self._undo, self._own = 0, [], {}  # type: ignore[var-annotated]
        self._random: Tensor | None = None
        self.made.append(self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError(WAITING)
        for tensor in _changed(func, args, kwargs):
            if tensor.untyped_storage()._cdata not in self._own:
                self._undo.append((tensor, tensor.clone()))
        result = func(*args, **kwargs)
        known = _memory((args, kwargs))
        self._own |= {place: t for place, t in _memory(result).items() if place not in known}
        self.tape.append((func, args, kwargs, result))
        return result

    def end(self) -> None:
        """Nothing has happened."""
        assert self._random is not None
        torch.set_rng_state(self._random)
        with torch.no_grad():
            for tensor, before in reversed(self._undo):
                tensor.copy_(before)
            for tensor in self._own.values():
                if tensor.is_floating_point():
                    tensor.fill_(torch.nan)

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, result in self.tape:
            if _changed(func, args, kwargs):
                func(*args, **kwargs)
            elif not _memory(result).keys() <= _memory((args, kwargs)).keys():
                for place, new in zip(tree_leaves(result), tree_leaves(func(*args, **kwargs)), strict=True):
                    if isinstance(place, Tensor):
                        place.copy_(new)


@contextmanager
def capture(graph: Graph, stream: object, capture_error_mode: str) -> Iterator[None]:
    """Stands for torch.cuda.graph."""
    graph._random = torch.get_rng_state()
    try:
        with graph:
            yield
    except RuntimeError as error:
        graph.end()
        Generator.usable = False
        raise RuntimeError(BROKEN) from error
    graph.end()


class Generator:
    """Stands for the generator of random numbers of a GPU: after a broken recording it wants a new state."""

    usable = True

    def graphsafe_set_state(self, fresh: torch.Generator) -> None:
        torch.set_rng_state(fresh.get_state())
        Generator.usable = True


@contextmanager
def graphs_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Graph]]:
    """Let work on the processor be recorded. Yields the graphs that are made."""
    stream = mock.Mock()
    stand_ins = {
        "CUDAGraph": Graph,
        "graph": capture,
        "Stream": lambda device: stream,
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda device: stream,
        "set_stream": lambda stream: None,
        "get_rng_state": lambda device: torch.get_rng_state(),
        "set_rng_state": lambda state, device: torch.set_rng_state(state),
        "current_device": lambda: 0,
        "default_generators": (Generator(),),
    }
    with monkeypatch.context() as patch:
        patch.setattr(recording, "DEVICES", ("cpu", "cuda"))
        for name, stand_in in stand_ins.items():
            patch.setattr(torch.cuda, name, stand_in)
        Graph.made, Generator.usable = [], True
        yield Graph.made
        assert Generator.usable, "random numbers could no longer be drawn"
