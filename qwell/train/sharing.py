"""Trained models elsewhere: `push` a run to a place, `pull` it, or load it from its address.

What travels is the model's folder, `config.json` and `model.safetensors`, with a card, `README.md`. The
configuration has the sha256 of the weights and goes last; its own sha256 is the version of the model,
`name@3f2a91c0`, as the manifest's is that of a data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from qwell.errors import (
    CheckpointError,
    DatasetIncomplete,
    DatasetNotFound,
    InvalidInput,
    ManifestError,
    RunExists,
    RunNotFound,
    TransferError,
)
from qwell.files import atomic_write, file_sha256
from qwell.models.registry import CONFIG, WEIGHTS, read_config
from qwell.store.cache import make_room, use
from qwell.store.dataset import check_version, split_version
from qwell.store.manifest import FileRecord
from qwell.store.places import Place, place_at
from qwell.store.transfer import Transfer
from qwell.store.versions import Versions, refuse_version

CARD = "README.md"
MAX_CONFIG_BYTES = 2**20
Progress = Callable[[int], object]


def push(
    run: str | Path, url: str, *, force: bool = False, progress: Progress = lambda size: None
) -> Transfer:
    """Copy a trained model with its card to a place, beside its other versions there.

    Repeated after an interruption, it sends what is missing. The name then means this version; nothing that
    is there is changed or removed. See `qwell.store.versions`.

    Arguments:
        run: a run, a model folder, or the name of a pretrained model.
        url: where to; ends in "/" for a place to put it into under its own name.
        force: let the name mean this version although it means another one.
        progress: called with the bytes done since its last call.

    Raises:
        RunNotFound, CheckpointError: no trained model there, or a damaged one.
        RunExists: the name means another model, or there is something that is no model.
        TransferError: the place refuses.
    """
    from qwell.train.model_card import model_card
    from qwell.train.runs import model_folder

    folder = model_folder(run)
    config = (folder / CONFIG).read_bytes()
    digest, weights = hashlib.sha256(config).hexdigest(), folder / WEIGHTS
    if _sha256_of_weights(read_config(folder), folder) != file_sha256(weights):
        raise CheckpointError(f"{weights} is damaged: its sha256 is not the one in {CONFIG}")
    url = (url + Path(run).resolve().name if url.endswith("/") else url).rstrip("/")
    refuse_version(url)
    versions = Versions(url)
    where = versions.url
    if not versions.place.writable:
        raise InvalidInput(f"{where} is read-only; push to s3://, gs://, az://, hf://, ssh:// or a directory")
    versions.place.observe()
    size, keeps = weights.stat().st_size, versions.place.keeps_versions
    pointer, alone = (versions.pointer() if keeps else None), _digest_at(versions.place)
    meant = pointer.sha256 if pointer else alone
    _refuse_unasked(where, meant, digest, keeps, force)
    place = versions.version(digest) if keeps and alone != digest else versions.place
    arrived = digest in (alone, _digest_at(place)) and place.sizes().get(WEIGHTS) == size
    if arrived and meant == digest:
        progress(size)
        return Transfer(digest, where, 0, size)
    _refuse_foreign(versions, known=bool(arrived or meant))
    kept = arrived or place.has(WEIGHTS, FileRecord(size, file_sha256(weights)))
    if not kept:
        place.put(weights, WEIGHTS)
    progress(size)
    if not arrived:
        place.write(CARD, model_card(run, where).encode())
        place.write(CONFIG, config)
    place.publish(f"{url.rpartition('/')[2]}, version {digest[:12]}")
    if faster := keeps and versions.point(digest, pointer, force=force, otherwise=alone or None):
        raise RunExists(
            f"{where} was let mean version {faster[:12]} by somebody else meanwhile; yours is whole, as"
            f" {where}@{digest[:12]}; add --force to let the name mean it"
        )
    if keeps and _digest_at(place) != digest:  # which prune takes away first
        raise TransferError(f"{where}@{digest[:12]} was pruned while it was pushed; repeat the push")
    return Transfer(digest, where, 0 if kept else size, size if kept else 0)


def _refuse_unasked(where: str, meant: str, digest: str, keeps: bool, force: bool) -> None:
    """Raise RunExists if the name means another model."""
    if meant and meant != digest and not force:
        stays = f"{meant[:12]} stays, as {where}@{meant[:12]}" if keeps else "its history keeps the other"
        raise RunExists(
            f"{where} is version {meant[:12]}, this model is {digest[:12]}; choose another name, or add"
            f" --force to let the name mean this one ({stays})"
        )


def pull(
    url: str, path: str | Path, *, force: bool = False, progress: Progress = lambda size: None
) -> Transfer:
    """Copy a model from a place into a folder that `load_model` takes.

    Arguments:
        url: its address; "…@3f2a91c0" insists on a version.
        path: where to; a directory that is there gets it under its own name.
        force: replace another model that is there.
        progress: called with the bytes done since its last call.

    Raises:
        RunNotFound: there is no model at the address.
        RunExists: another model, or something else, is at `path`.
        VersionMismatch: the place has another version than the one insisted on.
        TransferError: the place cannot be reached, or gives what its configuration does not say.
    """
    place, content, digest = _find(url)
    url = split_version(url)[0]
    target = Path(path)
    if target.is_dir() and not (target / CONFIG).is_file():
        target = target / url.rstrip("/").rpartition("/")[2]
    if (target / CONFIG).is_file():
        if file_sha256(target / CONFIG) != digest and not force:
            raise RunExists(
                f"{target} holds another model; choose another name, or add --force to replace it"
            )
        if (target / "checkpoints").is_dir():
            raise RunExists(f"{target} is a run of a training; choose another name")
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunExists(f"{target} exists and is no model; qwell never overwrites such a thing")
    sent, kept = _bring(place, content, target)
    progress(sent + kept)
    with suppress(FileNotFoundError, TransferError):  # a model is whole without its card
        atomic_write(target / CARD, place.read(CARD, MAX_CONFIG_BYTES))
    return Transfer(digest, str(target), sent, kept)


def fetch(url: str) -> Path:
    """The folder in the cache with the model at an address, brought now if it is not there yet.

    Raises: see `pull`.
    """
    place, content, digest = _find(url)
    folder = use("models", digest, split_version(url)[0].rstrip("/").rpartition("/")[2])
    if _bring(place, content, folder)[0]:
        make_room()
    return folder


def models_at(url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, configuration) of every model directly below an address or directory, in the order of names.

    A configuration has `digest` besides, the version. What is no model is left out.

    Raises DatasetNotFound or TransferError if there is no such place, or it cannot be reached.
    """
    url = url if "://" in url else f"file://{Path(url).absolute()}"
    for name in place_at(url).names():
        try:
            _, content, digest = _find(f"{url.rstrip('/')}/{name}")
            yield name, {**_read(content, name), "digest": digest}
        except (RunNotFound, CheckpointError, InvalidInput, ManifestError, DatasetIncomplete):
            continue


def _bring(place: Place, config: bytes, folder: Path) -> tuple[int, int]:
    """Bring the weights of a configuration into a folder, then write that; bytes brought, and kept."""
    sha256 = _sha256_of_weights(_read(config, place.url), place.url)
    weights = folder / WEIGHTS
    if weights.is_file() and file_sha256(weights) == sha256:
        sent, kept = 0, weights.stat().st_size
    else:
        sent, kept = place.fetch_by_sha256(WEIGHTS, sha256, weights), 0
    if not (folder / CONFIG).is_file() or (folder / CONFIG).read_bytes() != config:
        atomic_write(folder / CONFIG, config)
    return sent, kept


def _find(url: str) -> tuple[Place, bytes, str]:
    """Where a version of the model at an address is, its configuration, and its sha256.

    Raises: see `pull`.
    """
    url, wanted = split_version(url)
    versions = Versions(url)
    digest = versions.chosen(wanted) if versions.place.keeps_versions else ""
    places = [versions.version(digest)] if digest else []
    for place in [*places, versions.place]:  # the last: as qwell 0.1 pushed, or the Hub keeps it
        with suppress(RunNotFound):
            content = _config_at(place)
            break
    else:
        versions.explain(wanted)
        raise RunNotFound(
            f"there is no model at {versions.url}; `qtrain list` shows what is at a place, `qtrain push` puts"
            " a model there"
        )
    found = hashlib.sha256(content).hexdigest()
    if digest and place is versions.place and found != digest and not wanted:
        raise RunNotFound(
            f"{versions.url} is to be version {digest[:12]}, which is not whole; push it again, or ask for"
            f" {versions.url}@{found[:12]}"
        )
    if place is not versions.place and found != digest:
        raise CheckpointError(f"{place.url} is damaged: its {CONFIG} is another; push the model again")
    check_version(versions.url, found, wanted)
    return place, content, found


def _config_at(place: Place) -> bytes:
    """The configuration of the model at a place, as it is there; RunNotFound if there is none."""
    try:
        return place.read(CONFIG, MAX_CONFIG_BYTES)
    except FileNotFoundError as error:
        raise RunNotFound(f"there is no model at {place.url}") from error


def _read(content: bytes, where: object) -> dict[str, Any]:
    """Untrusted bytes as the configuration of a model; CheckpointError if they are none."""
    with TemporaryDirectory() as folder:
        (Path(folder) / CONFIG).write_bytes(content)
        try:
            return read_config(folder)
        except CheckpointError as error:
            raise CheckpointError(
                f"{CONFIG} at {where} is not that of a qwell model, or is damaged"
            ) from error


def _sha256_of_weights(config: dict[str, Any], where: object) -> str:
    sha256 = config.get("weights_sha256")
    if not isinstance(sha256, str):
        raise CheckpointError(
            f"the model at {where} has no checksum, so that nobody could know whether it arrives whole; load"
            " it and save it again with `save_pretrained`"
        )
    return sha256


def _digest_at(place: Place) -> str:
    """The version of the model at a place, or nothing."""
    try:
        return hashlib.sha256(_config_at(place)).hexdigest()
    except RunNotFound:
        return ""


def _refuse_foreign(versions: Versions, known: bool) -> None:
    """Raise RunExists if something that is no model lies at a name, unless that is known to hold one."""
    if known:
        return
    try:
        there = (
            versions.foreign() if versions.place.keeps_versions else min(versions.place.sizes(), default="")
        )
    except DatasetNotFound:
        return
    if there not in ("", CONFIG, WEIGHTS, CARD):
        raise RunExists(f"{versions.url} holds {there!r} and is no model; choose another name")
