"""Places that are not on this machine, by address: s3://, gs://, az://, hf://, ssh://, https://, file://.

Everything goes through fsspec; how to sign in is its business and that of its back ends (environment
variables, `~/.aws`, `~/.ssh`, `~/.config/fsspec`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from qwell.errors import (
    AccessDenied,
    DatasetNotFound,
    DatasetReplaced,
    InvalidInput,
    MissingExtra,
    QwellError,
    TransferError,
    shown,
)
from qwell.files import stream_sha256
from qwell.store.arriving import Pieces, bring
from qwell.store.backends import SHARDED, storage_of
from qwell.store.manifest import MANIFEST, MAX_MANIFEST_BYTES, FileRecord, Manifest
from qwell.store.refusals import SIGN_IN, is_busy, is_past_the_end, reason, wants_credentials

ATTEMPTS, BUSY_ATTEMPTS = 3, 5  # the latter where a server answers that it is busy
SILENCE = 15  # seconds without a byte, after which a connection is given up
PIECE = 2**24  # bytes asked for at a time
LONGEST_WAIT = 15  # seconds between two attempts, whatever a server asks for
_EXTRAS = {
    "s3": "s3", "s3a": "s3", "ssh": "ssh", "sftp": "ssh", "http": "http",
    "https": "http", "hf": "hf", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az",
}  # fmt: skip
_READ_ONLY = ("http", "https")
RENAMES = ("file", "local", "ssh", "sftp")  # file systems, where a file grows under its name
UNDER_WAY = ".tmp"  # what the name of a file that is being written ends in, on file systems
T = TypeVar("T")


class Place:
    """A directory or prefix at an address.

    Arguments:
        url: its address. `address` keeps it; `url` is what may be written down, see `shown`.

    Raises:
        InvalidInput: an address that fsspec does not know.
        MissingExtra: its back end is not installed.
        TransferError: the place cannot be reached.
    """

    keeps_versions = True  # beside each other, see `versions`

    def __init__(self, url: str) -> None:
        if not url.partition("://")[2].strip("/") and not url.startswith("file://"):
            raise InvalidInput(f"{url!r} is no address; give one like s3://team/m3.zarr")
        self.address = url.rstrip("/")
        self.protocol = url.partition("://")[0].lower()
        self.url = shown(self.address)
        self._connecting = threading.Lock()
        self._connect()

    def _connect(self, again: Any = None) -> None:
        """Open the file system; a new one instead of `again`, if that is still the one in use."""
        import fsspec

        url, fresh = self.url, {} if again is None else {"skip_instance_cache": True}
        try:
            self.fs, path = fsspec.core.url_to_fs(self.address, **self._options(), **fresh)
        except ValueError as error:
            raise InvalidInput(f"{url} is no address; give one like s3://team/m3.zarr") from error
        except ImportError as error:
            extra = _EXTRAS.get(self.protocol)
            remedy = f"pip install 'qwell[{extra}]'" if extra else str(error)
            raise MissingExtra(f"{url} needs a package that is not installed: {remedy}") from error
        except Exception as error:
            sign_in = f"; {self._sign_in()}" if wants_credentials(error) else ""
            raise TransferError(f"{url} cannot be reached: {reason(error)}{sign_in}") from error
        self._path = path.rstrip("/")
        if self.protocol in ("s3", "s3a"):
            self.fs.retries = 1  # the attempts are ours

    def _options(self) -> dict[str, Any]:
        """What fsspec is told besides the address: to give a silent server up, so that we ask again.

        And to know the hosts that `ssh` knows; its back end would trust any.
        """
        theirs = fsspec_settings(self.protocol)
        if self.protocol in ("ssh", "sftp"):
            ours = dict.fromkeys(("connect_timeout", "login_timeout"), SILENCE)
            return {"known_hosts": (), "keepalive_interval": SILENCE // 3, **ours, **theirs}
        if self.protocol in ("s3", "s3a"):
            once = {"retries": {"total_max_attempts": 1}, "connect_timeout": SILENCE, "read_timeout": SILENCE}
            return {"config_kwargs": {**once, **theirs.get("config_kwargs", {})}}
        return {}

    @property
    def writable(self) -> bool:
        return self.protocol not in _READ_ONLY

    def attempt(self, what: str, action: Callable[[], T]) -> T:
        """Do it, again if the connection fails.

        Raises FileNotFoundError if it is not there, TransferError if it fails for good.
        """
        failure: BaseException
        for attempt in range(BUSY_ATTEMPTS):
            used = self.fs
            try:
                return action()
            except (QwellError, FileNotFoundError):
                raise
            except NotADirectoryError as error:  # nothing lies below a file
                raise FileNotFoundError(error.errno, error.strerror, error.filename) from None
            except PermissionError as error:
                raise AccessDenied(f"{what}: access denied ({reason(error)}); {self._sign_in()}") from error
            except Exception as error:
                if wants_credentials(error):
                    raise AccessDenied(
                        f"{what}: no valid credentials ({reason(error)}); {self._sign_in()}"
                    ) from error
                failure = error
            if attempt + 1 >= (BUSY_ATTEMPTS if is_busy(failure) else ATTEMPTS):
                break
            time.sleep(max(0.2 * 4**attempt, min(getattr(failure, "wait", 0), LONGEST_WAIT)))
            if self.protocol in ("ssh", "sftp"):  # a broken connection does not come back by itself
                with self._connecting, suppress(TransferError):
                    if self.fs is used:
                        self._connect(again=used)
        raise TransferError(
            f"{what}: {reason(failure)}; check address and connection, and repeat the command: what has"
            " arrived is kept"
        ) from failure

    def _sign_in(self) -> str:
        """How one signs in at such a place."""
        return SIGN_IN.get(_EXTRAS.get(self.protocol, ""), "check whether you may write there")

    def at(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def read(self, name: str, limit: int) -> bytes:
        """The content of a small file.

        Raises FileNotFoundError, or TransferError (also if it is longer than `limit`).
        """

        def action() -> bytes:
            self.fs.invalidate_cache()  # what was listed before may be another file by now
            with self.fs.open(self.at(name), "rb", block_size=2**20, cache_type="none") as file:
                content: bytes = file.read(limit + 1)
            return content

        content = self.attempt(f"cannot read {self.url}/{name}", action)
        if len(content) > limit:
            raise TransferError(f"{self.url}/{name} is longer than {limit} bytes; this is not ours")
        return content

    def fetch(self, name: str, record: FileRecord, target: Path) -> int:
        """Bring a file to `target`, whole and of the sha256 expected, or not at all. Returns its bytes.

        Raises TransferError, or WriteError if the local disk refuses.
        """
        return self.fetch_by_sha256(name, record.sha256, target, record.size)

    def fetch_by_sha256(self, name: str, sha256: str, target: Path, expected: int | None = None) -> int:
        """The same for a file whose size may not be known.

        What had arrived before the connection broke is not asked for again, by this or a later command.
        """

        def action() -> int:
            return bring(lambda start: self._pieces(name, start, expected), target, sha256, expected)

        try:
            return self.attempt(f"cannot bring {self.url}/{name}", action)
        except FileNotFoundError as error:
            remedy = "tell whoever keeps the data set"
            raise TransferError(f"{self.url}/{name} is missing; {remedy}") from error

    def _pieces(self, name: str, start: int, expected: int | None) -> Pieces:
        """The content of a file from byte `start` on, and where it really starts."""
        path = self.at(name)
        if self.protocol in RENAMES:
            return start, self._read_on(path, start)

        def ask() -> Generator[bytes]:
            at, last = start, PIECE
            while last == PIECE if expected is None else at < expected and last:
                end = at + PIECE if expected is None else min(at + PIECE, expected)
                try:
                    piece = self.fs.cat_file(path, start=at, end=end)
                except OSError as error:
                    if not is_past_the_end(error):
                        raise
                    piece = b""
                last, at = len(piece), at + len(piece)
                yield piece

        return start, ask()

    def _read_on(self, path: str, start: int) -> Generator[bytes]:
        with self.fs.open(path, "rb", block_size=PIECE, cache_type="none") as file:
            file.seek(start)
            while piece := file.read(PIECE):
                yield piece

    def fetch_of(self, manifest: Manifest, name: str, target: Path) -> int:
        """The same for a file of the data set here, whose manifest was read before.

        Raises DatasetReplaced if the file could not be had because another version is here by now.
        """
        try:
            return self.fetch(name, manifest.files[name], target)
        except TransferError:
            self.check(manifest)
            raise

    def check(self, manifest: Manifest) -> None:
        """Raise DatasetReplaced if the data set here is another one than that of `manifest`, or gone."""
        try:
            now = self.manifest().digest
        except TransferError:
            return  # it does not answer: nobody knows
        except QwellError:
            now = ""
        if now != manifest.digest:
            what = f"is version {now[:12]} now" if now else "is gone"
            raise DatasetReplaced(
                f"{self.url} was replaced or removed while it was read: it was version {manifest.digest[:12]}"
                f" and {what}; run the same command again"
            )

    def put(self, source: Path, name: str) -> int:
        """Send a file; under its name it is whole or not there. Returns its bytes."""
        target = self.at(name)
        renames = self.protocol in RENAMES
        sent = f"{target}.{uuid4().hex}{UNDER_WAY}" if renames else target

        def action() -> None:
            if renames:
                self.fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self.fs.put_file(str(source), sent)
            if renames:
                self.fs.mv(sent, target)

        self.attempt(f"cannot send {self.url}/{name}", action)
        return source.stat().st_size

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Send a file made in memory; under its name it is whole or not there."""
        if self.protocol not in RENAMES:
            self.attempt(
                f"cannot send {self.url}/{name}", lambda: self.fs.pipe_file(self.at(name), bytes(content))
            )
            return
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "content"
            path.write_bytes(content)
            self.put(path, name)

    def copy(self, name: str, target: Place) -> int:
        """Copy a file to another place of the same store, without bringing it here; 1."""
        source, goal = self.at(name), target.at(name)
        renames = self.protocol in RENAMES
        made = f"{goal}.{uuid4().hex}{UNDER_WAY}" if renames else goal

        def action() -> None:
            if renames:
                self.fs.makedirs(goal.rpartition("/")[0], exist_ok=True)
            self.fs.cp_file(source, made)
            if renames:
                self.fs.mv(made, goal)

        self.attempt(f"cannot copy {self.url}/{name}", action)
        return 1

    def write_beside(self, name: str, content: bytes) -> None:
        """Send a small file into the directory that this place is in."""
        place_at(self.address.rpartition("/")[0]).write(name, content)

    def observe(self) -> None:
        """Remember what is here before it is changed, where `publish` needs that."""

    def publish(self, message: str) -> None:
        """Let all that was sent and removed be seen, where that waits (see `hub.HubPlace`)."""

    def has(self, name: str, record: FileRecord) -> bool:
        """Whether the file here is the one recorded: of its size and its sha256, for which it is read.

        Raises TransferError.
        """

        def action() -> bool:
            self.fs.invalidate_cache()
            if self.fs.size(self.at(name)) != record.size:
                return False
            with self.fs.open(self.at(name), "rb", block_size=2**22, cache_type="readahead") as file:
                return stream_sha256(file) == record.sha256

        try:
            return self.attempt(f"cannot read {self.url}/{name}", action)
        except FileNotFoundError:
            return False

    def sizes(self) -> dict[str, int]:
        """Names (relative) and sizes of all files below."""
        self.fs.invalidate_cache()
        try:
            found = self.attempt(f"cannot list {self.url}", lambda: self.fs.find(self._path, detail=True))
        except FileNotFoundError:
            return {}
        return {
            name.removeprefix(self._path).lstrip("/"): info.get("size") or 0
            for name, info in found.items()
            if name.rstrip("/") != self._path
        }

    def names(self) -> list[str]:
        """Names of what lies directly below.

        Raises DatasetNotFound if there is no such place.
        """
        self.fs.invalidate_cache()
        try:
            found = self.attempt(f"cannot list {self.url}", lambda: self.fs.ls(self._path, detail=False))
        except FileNotFoundError as error:
            raise DatasetNotFound(f"there is nothing at {self.url}") from error
        return sorted({name.rstrip("/").rpartition("/")[2] for name in found})

    def remove(self, names: Iterable[str]) -> None:
        """Delete files, where they are."""
        for name in names:
            try:
                self.attempt(f"cannot remove {self.url}/{name}", lambda n=name: self.fs.rm_file(self.at(n)))  # type: ignore[misc]
            except FileNotFoundError:
                continue

    def sweep(self) -> None:
        """Delete what writers that were killed more than an hour ago left half-written, on file systems."""
        if self.protocol not in RENAMES:
            return
        for name in [name for name in self.sizes() if name.endswith(UNDER_WAY)]:
            with suppress(FileNotFoundError):
                if time.time() - self.fs.modified(self.at(name)).timestamp() > 3600:
                    self.remove([name])

    def clear(self) -> None:
        """Delete all that lies here."""
        self.fs.invalidate_cache()
        with suppress(FileNotFoundError):
            self.attempt(f"cannot remove {self.url}", lambda: self.fs.rm(self._path, recursive=True))

    def manifest(self) -> Manifest:
        """The manifest of the data set here.

        Raises DatasetNotFound, ManifestError or TransferError.
        """
        try:
            return Manifest.decode(self.read(MANIFEST, MAX_MANIFEST_BYTES))
        except FileNotFoundError as error:
            raise DatasetNotFound(
                f"there is no data set at {self.url}; `qdata list` shows what is there"
            ) from error


def place_of(url: str) -> Place:
    """Where the files of the data set called `url` are: below it, or below its `.shards` for HDF5."""
    name = url.rstrip("/").rpartition("/")[2]
    root = SHARDED[storage_of(name)].root_of(Path(name)).name
    return place_at(url.rstrip("/").removesuffix(name) + root)


def place_at(url: str) -> Place:
    """The directory or prefix at an address; see `Place`."""
    if url.lower().startswith("hf://"):
        from qwell.store.hub import HubPlace

        return HubPlace(url)
    if url.lower().startswith(("http://", "https://")):
        from qwell.store.web import WebPlace

        return WebPlace(url)
    return Place(url)


def fsspec_settings(protocol: str) -> dict[str, Any]:
    """What the user has told fsspec about a protocol, in ~/.config/fsspec or by FSSPEC_… variables."""
    from fsspec.config import conf

    return dict(conf.get(protocol, {}))
