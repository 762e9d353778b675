"""How arrays travel to the page: JSON first, then numbers of 4 bytes.

    message = uint32 n | uint32 m | head (m bytes of JSON, filled with spaces to a multiple of 4) | float32 …

n is the length of all that follows it; both are little-endian, as are the arrays, which lie one after the
other in the order of `arrays` in the head, name and shape of each. A stream is one message after the other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from qwell.files import json_text


def packed(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> bytes:
    """One message: plain values (NaN and infinity become null) and arrays, which become float32."""
    parts = {name: np.ascontiguousarray(value, dtype="<f4") for name, value in (arrays or {}).items()}
    listed = [[name, list(value.shape)] for name, value in parts.items()]
    text = json.dumps(json.loads(json_text({**head, "arrays": listed})), separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I", len(text)) + text + b"".join(value.tobytes() for value in parts.values())
    return struct.pack("<I", len(body)) + body


def unpacked(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray], bytes]:
    """Head and arrays of the first message of some bytes, and the bytes after it."""
    length, size = struct.unpack("<II", message[:8])
    head, start = json.loads(message[8 : 8 + size]), 8 + size
    arrays = {}
    for name, shape in head.pop("arrays"):
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(message, "<f4", count, start).reshape(shape)
        start += 4 * count
    return head, arrays, message[4 + length :]
