"""Files that arrive: whole or not at all, once for all who want them, and never more than is recorded."""

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwell.errors import TransferError
from qwell.store import arriving
from qwell.store.arriving import Pieces, bring

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def pieces_from(start: int) -> Pieces:
    return start, (piece for piece in [CONTENT[start:]])


def test_of_two_at_once_one_waits_for_the_other(tmp_path: Path) -> None:
    """The second takes what the first has brought, and asks nobody for it."""
    target, asked, begun, go_on = tmp_path / "file", [], threading.Event(), threading.Event()

    def slowly(start: int) -> Pieces:
        def pieces() -> Iterator[bytes]:
            yield CONTENT[start:100]
            begun.set()
            assert go_on.wait(20)
            yield CONTENT[100:]

        return start, pieces()

    def second(start: int) -> Pieces:
        asked.append(start)
        return pieces_from(start)

    sizes: list[int] = []
    threads = [
        threading.Thread(target=lambda ask=ask: sizes.append(bring(ask, target, SHA256, len(CONTENT))))
        for ask in (slowly, second)
    ]
    threads[0].start()
    assert begun.wait(20)
    threads[1].start()
    threads[1].join(0.3)
    assert threads[1].is_alive() and not target.exists()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert sizes == [len(CONTENT)] * 2 and asked == []
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", CONTENT)]


def test_who_begins_just_as_another_ends_keeps_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, replace, late = tmp_path / "file", os.replace, []

    def replaced(source: str, goal: Path) -> None:
        replace(source, goal)
        if not late:
            late.append(arriving._part(target))
            late.append(late[0].__enter__()[0])

    monkeypatch.setattr(arriving.os, "replace", replaced)
    bring(pieces_from, target, SHA256, len(CONTENT))
    assert Path(late[1].name).exists()
    late[1].write(CONTENT)
    late[0].__exit__(None, None, None)
    assert (tmp_path / ".file.part").read_bytes() == CONTENT


def test_who_brings_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that was stopped, for instance."""
    monkeypatch.setattr(arriving, "PATIENCE", 0.2)
    target = tmp_path / "file"
    with arriving._part(target) as (part, _):
        part.write(b"half")
        part.flush()
        assert bring(pieces_from, target, SHA256, len(CONTENT)) == len(CONTENT)
    assert target.read_bytes() == CONTENT


def test_nothing_is_kept_beyond_what_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, write = [], arriving._written

    def counted(target: Path, action: object, *arguments: object) -> None:
        written.extend(len(a) for a in arguments if isinstance(a, bytes))
        write(target, action, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(arriving, "_written", counted)
    with pytest.raises(TransferError, match="more than the 10240 bytes recorded"):
        bring(
            lambda start: (start, (piece for piece in [CONTENT[:100], CONTENT * 3])),
            tmp_path / "x",
            SHA256,
            len(CONTENT),
        )
    assert written == [100] and list(tmp_path.iterdir()) == []
