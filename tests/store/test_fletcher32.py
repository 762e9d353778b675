"""The checksum is HDF5's: whatever HDF5 wrote agrees, and no changed bit does."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwell.store.fletcher32 import fletcher32_agrees


def chunk(values: np.ndarray) -> np.ndarray:
    """The bytes that HDF5 stores for an array, checksum included."""
    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        array = file.create_dataset("a", data=values, chunks=values.shape, fletcher32=True)
        return np.frombuffer(array.id.read_direct_chunk((0,))[1], np.uint8).copy()


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 3000),
    seed=st.integers(0, 99),
    bit=st.integers(0, 10**9),
    fill=st.sampled_from([None, 0, 255]),
)
def test_agrees_with_hdf5_and_notices_one_bit(n: int, seed: int, bit: int, fill: int | None) -> None:
    values = np.random.default_rng(seed).integers(0, 256, 2 * n).astype(np.uint8)
    if fill is not None:
        values[:] = fill
    content = chunk(values)
    assert fletcher32_agrees(content)
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    assert not fletcher32_agrees(content)


@pytest.mark.parametrize("size", [2**21, 2**27])
def test_large_chunks_do_not_overflow(size: int) -> None:
    assert fletcher32_agrees(chunk(np.full(size, 255, np.uint8)))
