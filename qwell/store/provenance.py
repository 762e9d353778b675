"""The circumstances of a data set's making that do not change its content: when, where, with what."""

from __future__ import annotations

import platform
import socket
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import qwell
from qwell.errors import ManifestError
from qwell.files import dump_json, seal
from qwell.store.manifest import PROVENANCE, parse_json

_NUMERIC = ("numpy", "scipy", "numba")  # what rounds
_LIBRARIES = (*_NUMERIC, "zarr", "h5py", "dask")


def provenance(began: float, **more: Any) -> dict[str, Any]:
    """What `provenance.json` holds.

    Arguments:
        began: `time.time()` at the start of the work.
        more: further entries, plain JSON.
    """
    return {
        "qwell": qwell.__version__,
        "git": _git_revision(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - began, 3),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        **more,
    }


@cache
def made_with() -> dict[str, str | None]:
    """The versions that the last bits of numbers made by this process depend on."""
    return {"qwell": qwell.__version__, **{name: _version(name) for name in _NUMERIC}}


def versions_in_words(versions: Mapping[str, str | None]) -> str:
    """For example "qwell 0.2.0, numba 0.68.1, numpy 2.4.6, scipy 1.17.1"."""
    ours_first = sorted(versions.items(), key=lambda item: (item[0] != "qwell", item[0]))
    return ", ".join(f"{name} {version}" for name, version in ours_first) or "an unknown version"


def read_provenance(root: Path) -> dict[str, Any]:
    """What the file in a data set's directory holds; nothing if it is missing or damaged."""
    try:
        content = parse_json((root / PROVENANCE).read_bytes(), PROVENANCE)
    except (OSError, ManifestError):
        return {}
    return content if isinstance(content, dict) and seal(content) == dump_json(content) else {}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """The revision of the checkout that this package runs from, if it is one."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(qwell.__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
