"""Batches for training loops of others: fresh, whole, resumable, and the same whoever asks."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

import qwell
from qwell.errors import InvalidInput
from qwell.store.dataset import Dataset
from qwell.store.interop import Row, Travelling
from qwell.train.loader import Loader, loader


def rows_of(batches: list[tuple[torch.Tensor, ...]]) -> np.ndarray:
    """The first numbers of all rows, which tell rows apart."""
    return np.concatenate([np.asarray(batch[0][:, 0]) for batch in batches])


@pytest.mark.parametrize("stream", ["resident", "mirror", "pool"])
def test_an_epoch_that_is_kept_is_every_row_once(dataset: Dataset, stream: str) -> None:
    """Batches do not share memory: the stream's own buffer would give one batch many times."""
    kept = list(loader(dataset, batch=70, epochs=1, stream=stream))
    assert sorted(rows_of(kept)) == sorted(dataset["train"]["potential"][:, 0])
    potential, energy = kept[3]
    assert potential.is_contiguous() and energy.is_contiguous() and energy.shape == (70, 10)


def test_length_epochs_and_passes(dataset: Dataset) -> None:
    """Passes differ, `set_epoch` chooses their order, and an endless loader goes on where it was."""
    twice = loader(dataset, batch=1000, epochs=2)
    assert len(twice) == len(list(twice)) == 6
    once = loader(dataset, batch=1000, epochs=1)
    first, second = rows_of(list(once)), rows_of(list(once))
    assert not np.array_equal(first, second)
    once.set_epoch(0)
    np.testing.assert_array_equal(rows_of(list(once)), first)
    next(iter(once))  # a pass that is broken off: the next one is whole again
    assert len(list(once)) == 3

    endless = loader(dataset, batch=1000)
    assert endless and len(list(itertools.islice(endless, 2))) == 2
    with pytest.raises(TypeError, match="epochs=1"):
        len(endless)
    rest = rows_of(list(itertools.islice(endless, 1)))
    np.testing.assert_array_equal(rest, first[2000:3000])


def test_a_loader_goes_on_with_the_very_next_batch(dataset: Dataset) -> None:
    whole = list(loader(dataset, batch=500, epochs=2, stream="pool"))
    begun = loader(dataset, batch=500, epochs=2, stream="pool")
    for _ in zip(range(9), begun, strict=False):
        pass
    again = loader(dataset, batch=500, epochs=2, stream="pool")
    again.load_state_dict(begun.state_dict())
    rest = list(again)
    assert len(rest) == len(whole) - 9
    for ours, theirs in zip(rest, whole[9:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_two_passes_at_once_are_refused(dataset: Dataset) -> None:
    one = loader(dataset, batch=500, epochs=1)
    first = iter(one)
    next(first)
    next(iter(one))
    with pytest.raises(InvalidInput, match="two loaders"):
        next(first)


def test_processes_share_a_batch(dataset: Dataset) -> None:
    parts = [list(loader(dataset, batch=500, epochs=1, rank=rank, world=2)) for rank in range(2)]
    whole = list(loader(dataset, batch=500, epochs=1))
    for a, b, both in zip(*parts, whole, strict=True):
        torch.testing.assert_close(torch.cat([a[0], b[0]]), both[0], rtol=0, atol=0)


@pytest.mark.parametrize("stream", ["resident", "mirror", "pool"])
def test_arrays_are_the_tensors(dataset: Dataset, stream: str) -> None:
    """Rows gathered by numpy come in the order of those gathered by torch, to the bit."""
    options = {"batch": 130, "epochs": 2, "seed": 3, "rank": 1, "world": 2, "stream": stream}
    arrays, tensors = loader(dataset, as_numpy=True, **options), loader(dataset, **options)
    assert len(list(arrays)) == len(list(tensors)) == 52
    for ours, theirs in zip(arrays, tensors, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b.numpy(), strict=True)


def test_numpy_and_chosen_fields(dataset: Dataset) -> None:
    (energy,) = next(iter(loader(dataset, batch=5, fields=["energy"], as_numpy=True)))
    assert type(energy) is np.ndarray and energy.shape == (5, 10) and energy.dtype == np.float32
    assert qwell.loader is loader and energy.flags.c_contiguous


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"rank": 2, "world": 2}, {"batch": 10**6}, {"fields": ["psi"]}, {"batch": 3, "world": 2}],
)
def test_what_makes_no_sense_is_refused(dataset: Dataset, options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Loader(dataset, **options)  # type: ignore[arg-type]


def test_torch_puts_batches_together_as_it_does_rows(dataset: Dataset) -> None:
    """Our entry in torch's table gives the tensors that torch makes of the rows one by one."""
    rows = dataset["train"].torch()
    indices = [5, 3000, 7, 5]
    fast = default_collate(rows.__getitems__(indices))
    slow = default_collate([tuple(rows[i]) for i in indices])
    assert type(fast) is type(slow) is list and Row in torch.utils.data._utils.collate.default_collate_fn_map
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    torch.testing.assert_close(default_collate([rows[i] for i in indices]), slow, rtol=0, atol=0)


def test_the_data_loader_of_torch_shuffles_and_keeps_rows(dataset: Dataset) -> None:
    batches = list(DataLoader(dataset["train"].torch(["energy"]), batch_size=1000, shuffle=True))
    assert sorted(rows_of(batches)) == sorted(dataset["train"]["energy"][:, 0].astype(np.float32))


@pytest.mark.parametrize("piped", [0, 2**20])
def test_a_batch_that_travels_keeps_its_tensors(piped: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwell.store.interop.PIPED", piped)
    sent = Travelling([torch.rand(3, 5), torch.rand(3), torch.rand(3, 2, 2)])
    constructor, (piece, shapes) = sent.__reduce__()
    assert type(piece) is (np.ndarray if piped else torch.Tensor)
    for ours, theirs in zip(constructor(piece, shapes), sent, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.slow  # two processes that import torch
def test_spawned_workers_read_the_same_rows(dataset: Dataset) -> None:
    batches = DataLoader(
        dataset["train"].torch(), batch_size=1000, num_workers=2, multiprocessing_context="spawn"
    )
    np.testing.assert_array_equal(rows_of(list(batches)), dataset["train"]["potential"][:, 0])
