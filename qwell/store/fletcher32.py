"""HDF5's fletcher32, the checksum of its chunks, by sums of rows and columns.

Of the n 16-bit big-endian words w of a chunk, both modulo 65535,

    s₁ = Σ w_i          s₂ = Σ (n − i) w_i,   i = 0 … n − 1

and the checksum is (s₂ << 16) | s₁. With the words in rows of C, i = rC + c, the second sum needs only the
sums of rows and of columns. A word read with its bytes swapped is 256 w modulo 65535. Unlike HDF5's
own loop, numpy's sums leave other threads running.
"""

from __future__ import annotations

import numpy as np

_COLUMNS = 512


def fletcher32_agrees(content: np.ndarray) -> bool:
    """Whether the last four bytes of a chunk (uint8, of even length) are the checksum of those before."""
    words = content[:-4].view("<u2")
    n = len(words)
    full = n // _COLUMNS
    table = words[: full * _COLUMNS].reshape(full, _COLUMNS)
    dtype = np.uint32 if full < 2**16 else np.uint64  # no sum overflows
    rows = np.add.reduce(table, axis=1, dtype=np.uint32).astype(np.uint64)
    columns = np.add.reduce(table, axis=0, dtype=dtype).astype(np.uint64)
    tail = words[full * _COLUMNS :].astype(np.uint64)
    first = int(rows.sum()) + int(tail.sum())
    moment = _COLUMNS * int(rows @ np.arange(full, dtype=np.uint64))  # Σ i w_i
    moment += int(columns @ np.arange(_COLUMNS, dtype=np.uint64))
    moment += int(tail @ np.arange(full * _COLUMNS, n, dtype=np.uint64))
    expected = int(content[-4:].view("<u4")[0])
    sums = (256 * first, 256 * (n * first - moment))
    stored = (expected & 0xFFFF, expected >> 16)
    return all((a - b) % 65535 == 0 for a, b in zip(sums, stored, strict=True))
