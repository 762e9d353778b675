"""Errors that users meet. Each names what was got, what was expected, and the remedy.

Every error is a `QwellError` and at the same time the built-in error that a Python programmer would
expect. `exit_code` is what the commands return: 2 for bad input, 1 for work that failed.
What is worth saying and no error is a `QwellWarning`, which the commands print in one line. Passwords in
addresses are never said.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_LOGIN = re.compile(
    r"""(?<![\w+.-])([a-zA-Z][\w+.-]*)://(?:
    ([^:/?\#\s'"]*:(?!\d*(?:[/?\#\s'"]|$))  # a user and a password, not a host and a port;
        (?:(?!://)[^\s'"])*)                 # passwords may have @ and / in them;
        @(?![0-9a-f]{6,64}(?![\w/@]|[.:-]\w))  # what follows a path may be @ and a version
    |([^/?\#\s]*)@)""",
    re.VERBOSE,
)
_NAMING = ("ssh", "sftp", "abfs", "abfss", "az")  # what stands before @ there says what is meant
_SIGNED = re.compile(r"\b(https?://[^?#\s'\"]*)\?[^#\s'\"]*")


def shown(text: str) -> str:
    """An address, or a text with addresses, without passwords, tokens and signed queries.

    ssh://user:secret@host/m3.zarr becomes ssh://user@host/m3.zarr, and abfs://container@account… stays; other
    logins go altogether, as do the queries of https://, which may be signatures.
    """
    return _SIGNED.sub(r"\1", _LOGIN.sub(_public, text))


def _public(match: re.Match[str]) -> str:
    scheme, login = match[1], match[2] or match[3]
    user = login.partition(":")[0] if scheme.lower() in _NAMING else ""
    return f"{scheme}://{user}@" if user else f"{scheme}://"


class QwellError(Exception):
    """Base of all errors raised on purpose by qwell."""

    exit_code = 2

    def __str__(self) -> str:
        return shown(str(self.args[0])) if self.args else ""


class QwellWarning(UserWarning):
    """Something that a person should know, while the work goes on."""


def warn(message: str) -> None:
    """Say a `QwellWarning`, once a message."""
    warnings.warn(message, QwellWarning, stacklevel=3)


def near(name: object, known: Iterable[str]) -> str | None:
    """The one of the known names that is most like a name, if one is like it."""
    from difflib import get_close_matches  # costs milliseconds, and only mistakes need it

    return next(iter(get_close_matches(str(name), list(known), n=1)), None)


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """What to say of a name that is none of those known: which of them may be meant, and all there are."""
    names = list(known)
    meant = near(name, names)
    hint = f"did you mean {meant!r}? If not, " if meant else ""
    return f"unknown {what} {name!r}; {hint}choose one of {', '.join(names)}"


class InvalidInput(QwellError, ValueError):
    """A parameter outside its range, or arrays of the wrong shape or content."""


class DatasetNotFound(QwellError, FileNotFoundError):
    """There is no data set at this path."""


class DatasetExists(QwellError, FileExistsError):
    """Something is already at the path that was to be written."""


class DatasetIncomplete(QwellError, ValueError):
    """The data set was begun but never finished."""


class DatasetLocked(QwellError, BlockingIOError):
    """Another process is writing this data set or run."""


class DatasetKindError(QwellError, ValueError):
    """A data set of another kind than the one needed."""


class ManifestError(QwellError, ValueError):
    """A manifest that is damaged, malformed, or of a newer format."""


class DatasetDamaged(QwellError, OSError):
    """Files of a data set are missing, truncated or altered."""

    exit_code = 1


class DatasetReplaced(QwellError, OSError):
    """The data set at a path is no longer the one that was opened."""

    exit_code = 1


class VersionMismatch(QwellError, ValueError):
    """The data set is of another version than the one asked for."""


class TransferError(QwellError, ConnectionError):
    """A remote place cannot be reached, refuses, or gives what was not asked for."""

    exit_code = 1


class AccessDenied(TransferError):
    """A remote place wants to know who asks, or lets this one not in."""


class WriteError(QwellError, OSError):
    """The disk refused: full, read-only, or not permitted."""

    exit_code = 1


class WorkerError(QwellError, RuntimeError):
    """Work on a Dask cluster failed."""

    exit_code = 1


class UnknownModel(QwellError, KeyError):
    """No model of this name in the zoo."""


class MissingPlugin(QwellError, LookupError):
    """What a plug-in made or describes is asked for, and the plug-in is not here."""


class CheckpointError(QwellError, ValueError):
    """A checkpoint or model folder that is damaged or belongs to another model."""


class RunExists(QwellError, FileExistsError):
    """A training run is already at this path."""


class RunNotFound(QwellError, FileNotFoundError):
    """There is no training run at this path."""


class DeviceUnavailable(QwellError, RuntimeError):
    """The device asked for is not on this machine."""


class MissingExtra(QwellError, ImportError):
    """An optional dependency is needed and not installed."""


# What extras bring that is imported where it is used → what to say where it is not there.
_TRAIN = (
    'pip install "qwell[train]"; without a GPU first pip install torch --index-url'
    " https://download.pytorch.org/whl/cpu (smaller)"
)
_BROUGHT = {"torch": _TRAIN, "safetensors": _TRAIN, "matplotlib": 'pip install "qwell[plot]"'}


@contextmanager
def extras_needed(to_learn: bool = False) -> Iterator[None]:
    """What is done inside may need the extras `train` (torch, safetensors) or `plot` (matplotlib).

    Arguments:
        to_learn: it needs all that `train` brings, so that this is what to install.

    Raises MissingExtra, which says how they are installed, where one of them is imported and not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _BROUGHT:
            raise
        remedy = _TRAIN if to_learn else _BROUGHT[missing]
        raise MissingExtra(f"this needs {missing}, which is not installed: {remedy}") from error


class TrainingDiverged(QwellError, ArithmeticError):
    """The loss became infinite or not a number."""

    exit_code = 1
