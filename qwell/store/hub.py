"""Repositories of the Hugging Face Hub: hf://datasets/user/repo/m3.zarr, hf://user/model.

What is sent and removed is gathered and becomes one commit in the end, so that nobody sees half of a push.
The Hub keeps large files by their sha256: repeated after an interruption, a push does not send them again.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qwell.errors import InvalidInput, TransferError
from qwell.store.manifest import FileRecord
from qwell.store.places import Place
from qwell.store.refusals import status_of

KINDS = {"datasets": "dataset", "spaces": "space"}  # by the first part of an address
OWN = (".gitattributes",)  # what the Hub itself puts into a repository


class HubPlace(Place):
    """A directory in a repository of the Hub, made if it is missing; see `Place`.

    Arguments:
        url: hf://datasets/user/repo/path, or hf://user/repo/path for a model.

    Raises InvalidInput if no repository is named.
    """

    keeps_versions = False  # it has its own, and is read by others

    def __init__(self, url: str) -> None:
        super().__init__(url)
        parts = self._path.split("/")
        self._kind = KINDS.get(parts[0], "model")
        rest = parts[1:] if parts[0] in KINDS else parts
        if len(rest) < 2 or not all(rest):
            raise InvalidInput(
                f"{url!r} names no repository; write hf://datasets/user/repo or hf://user/repo"
            )
        self._repo, _, self._revision = "/".join(rest[:2]).partition("@")
        self._inside = "/".join(rest[2:])
        self._parent: str | None = None  # the commit that what is gathered is meant for
        self._waiting: dict[str, Any] = {}  # path in the repository → what the commit does to it
        self._lock = threading.Lock()

    def _in_repository(self, name: str) -> str:
        return "/".join(part for part in (self._inside, name) if part)

    def read(self, name: str, limit: int) -> bytes:
        """The content of a small file as it is now, whatever was listed before; see `Place.read`."""
        self.fs.invalidate_cache()
        return super().read(name, limit)

    def observe(self) -> None:
        """Remember what is there, so that `publish` refuses if somebody else changes it before."""
        from huggingface_hub.errors import RepositoryNotFoundError

        def ask() -> str | None:
            try:
                found: str = self._api.repo_info(
                    self._repo, repo_type=self._kind, revision=self._revision or None
                ).sha
                return found
            except RepositoryNotFoundError:
                return None

        self._parent = self.attempt(f"cannot read {self.url}", ask)

    def put(self, source: Path, name: str) -> int:
        """Let `publish` send a file. Returns its bytes."""
        self._add(self._in_repository(name), str(source))
        return source.stat().st_size

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Send a small file made in memory."""
        self._add(self._in_repository(name), bytes(content))

    def write_beside(self, name: str, content: bytes) -> None:
        """Send a small file into the directory that this place is in."""
        if not self._inside:
            raise InvalidInput(
                f"{self.url} is a whole repository; write hf://datasets/user/repo/{name} for a place in one"
            )
        parent = self._inside.rpartition("/")[0]
        self._add(f"{parent}/{name}" if parent else name, content)

    def _add(self, path: str, content: str | bytes) -> None:
        from huggingface_hub import CommitOperationAdd

        with self._lock:
            self._waiting[path] = CommitOperationAdd(path, content)

    def remove(self, names: Iterable[str]) -> None:
        """Delete files when all is published."""
        from huggingface_hub import CommitOperationDelete

        there = self.sizes()
        for name in there.keys() & set(names):
            path = self._in_repository(name)
            with self._lock:
                self._waiting[path] = CommitOperationDelete(path)

    def sizes(self) -> dict[str, int]:
        """Names (relative) and sizes of all files below, as they will be after `publish`."""
        from huggingface_hub import CommitOperationAdd

        found = super().sizes()
        before = f"{self._inside}/" if self._inside else ""
        for path, what in self._waiting.items():
            name = path.removeprefix(before)
            if not path.startswith(before):
                continue
            if isinstance(what, CommitOperationAdd):
                found[name] = what.upload_info.size
            else:
                found.pop(name, None)
        return {name: size for name, size in found.items() if name not in OWN}

    def has(self, name: str, record: FileRecord) -> bool:
        """Never: the Hub itself keeps what it has by the sha256, and nothing unfinished is seen there."""
        return False

    def publish(self, message: str) -> None:
        """Send all that was gathered, and commit it.

        Raises TransferError, also if somebody else changed the repository since `observe`.
        """
        from huggingface_hub.utils import disable_progress_bars

        def commit() -> None:
            if not self._api.repo_exists(self._repo, repo_type=self._kind):
                self._api.create_repo(self._repo, repo_type=self._kind, exist_ok=True)
            self._api.create_commit(
                self._repo, list(self._waiting.values()), commit_message=message, repo_type=self._kind,
                revision=self._revision or None, parent_commit=self._parent,
            )  # fmt: skip

        if not sys.stderr.isatty():
            disable_progress_bars()
        try:
            self.attempt(f"cannot push to {self.url}", commit)
        except TransferError as error:
            if status_of(error.__cause__) == 412:
                raise TransferError(
                    f"somebody else changed {self.url} meanwhile; look at it, and repeat the push"
                ) from error
            raise
        self._waiting.clear()
        self.fs.invalidate_cache()

    @property
    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.fs.endpoint, token=self.fs.token)
