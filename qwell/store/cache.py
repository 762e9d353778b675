"""Where copies of data are kept that can be made again: decoded splits and shards of remote data sets."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$QWELL_CACHE`, or `qwell` in `$XDG_CACHE_HOME`, or `~/.cache/qwell`. May be deleted at any time."""
    if chosen := os.environ.get("QWELL_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qwell"
