"""What was made with which plug-in: recorded, compared with what is here, and sent to workers."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from qwell.errors import InvalidInput, MissingPlugin, warn
from qwell.plugins.table import (
    FILES,
    GROUPS,
    TABLE,
    VARIABLE,
    File,
    Registered,
    distributions,
    find,
    guarded,
    load_source,
    plugin_of,
)


def _describe(found: Registered) -> dict[str, str | None]:
    """Name, version and sha256 of the source of the plug-in that something comes from."""
    module = sys.modules.get(found.module)
    version = getattr(sys.modules.get(found.module.partition(".")[0]), "__version__", None)
    name = plugin_of(found.module)
    if found.module in FILES:
        version = getattr(module, "__version__", None)
        digest: str | None = hashlib.sha256(FILES[found.module].source).hexdigest()
    elif found.module == "__main__":
        value = found.value["build"] if isinstance(found.value, dict) else found.value
        try:
            digest = hashlib.sha256(inspect.getsource(value).encode()).hexdigest()
        except (OSError, TypeError):
            digest = None  # typed at a prompt
    else:
        digest = _digest_of_module(found.module)
        if name in {one for names in distributions().values() for one in names}:
            version = metadata.version(name)
    return {"plugin": name, "version": None if version is None else str(version), "sha256": digest}


def _digest_of_module(name: str) -> str | None:
    """sha256 of a module's source; of one in a package, of all Python files of the package."""
    top = sys.modules.get(name.partition(".")[0])
    if top is None or not getattr(top, "__file__", None):
        return None
    home = Path(str(top.__file__))
    files = sorted(home.parent.rglob("*.py")) if hasattr(top, "__path__") else [home]
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(home.parent).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def recorded(used: Iterable[tuple[str, str]]) -> dict[str, list[dict[str, Any]]]:
    """What is to be recorded of the plug-ins behind (group, name) pairs: {"plugins": […]}, or nothing."""
    there = [(g, n, TABLE[g][n]) for g, n in sorted(set(used)) if n in TABLE[g]]
    rows = [{"group": group, "name": name, **_describe(found)} for group, name, found in there]
    return {"plugins": rows} if rows else {}


def fingerprint(group: str, name: str) -> str:
    """What tells versions of a member of a group apart in one process; empty for qwell's own."""
    return str(_describe(TABLE[group][name])) if name in TABLE[group] else ""


def check(records: Any, *groups: str) -> None:
    """Compare what a data set, model or run was made with, as recorded there, with the plug-ins here.

    Another version is said in a warning. Nothing is imported but what the user named, or installed as a
    plug-in.

    Arguments:
        records: the value of "plugins" there, untrusted; None if there is none.
        groups: those that matter; by default all.

    Raises MissingPlugin, a line that says which, if one is not here.
    """
    for record in records if isinstance(records, list) else []:
        group, name = (record.get(k) if isinstance(record, dict) else None for k in ("group", "name"))
        if not isinstance(group, str) or not isinstance(name, str) or group not in (groups or GROUPS):
            continue
        said = {key: str(record.get(key))[:100] for key in ("plugin", "version", "sha256")}
        version = "" if record.get("version") is None else f" {said['version']}"
        whose = f"the {GROUPS[group]} {name[:64]!r} comes from the plug-in {said['plugin']}{version}"
        found = find(group, name)
        if found is None:
            raise MissingPlugin(
                f"{whose} (sha256 {said['sha256'][:12]}), which is not here; install it, or name it by"
                f" `--plugin FILE.py` before the command or {VARIABLE}=MODULE"
            )
        here = _describe(found)
        if here["sha256"] != record.get("sha256"):
            warn(
                f"{whose} (sha256 {said['sha256'][:12]}); the one here has sha256"
                f" {str(here['sha256'])[:12]}, so that results may be others"
            )


Parcel = list[tuple[str, Any, Any, Any]]


def parcel(records: Any) -> Parcel:
    """What a worker on this or another machine needs for what `recorded` says, to be given to `receive`."""
    parts: Parcel = []
    for record in records or []:
        group, name = record["group"], record["name"]
        found = TABLE[group][name]
        if found.module in FILES:
            parts.append(("file", FILES[found.module].name, FILES[found.module].source, None))
        elif found.module == "__main__":
            parts.append(("object", group, name, found.value))
        else:
            parts.append(("module", found.module, record["plugin"], record["sha256"]))
    return parts


def receive(parts: Parcel) -> None:
    """Load what `parcel` packed: files from their source, modules by their name.

    Raises InvalidInput if a module is not installed here, or is of another version.
    """
    for kind, a, b, c in parts:
        if kind == "file":
            load_source(File(a, b), a)
        elif kind == "object":
            TABLE[a][b] = Registered(c, "__main__")
        else:
            guarded(partial(import_module, a), f"plug-in {b}, which this worker needs,")
            if _digest_of_module(a) != c:
                raise InvalidInput(
                    f"a worker has another version of the plug-in {b}; install the same everywhere"
                )
