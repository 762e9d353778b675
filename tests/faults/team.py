"""A team at one place, an S3-compatible server: two who push at once, pushes and makings that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest import mock

from faults.kills import descendants, is_worker
from faults.trying import OPTIONS, SMALL, Command, Outcome, command, make, same
from servers import s3_server
from support import content

from qwell.store.reader import open_dataset
from qwell.store.transfer import pull, verify_remote
from qwell.store.versions import Versions, find


@contextmanager
def _s3() -> Iterator[None]:
    from s3fs import S3FileSystem

    with s3_server() as environment, mock.patch.dict(os.environ, environment):
        S3FileSystem.clear_instance_cache()  # clients keep the address of their server
        try:
            yield
        finally:
            S3FileSystem.clear_instance_cache()


def two_push_at_once(folder: Path, suffix: str, tries: int) -> Outcome:
    """Two processes push different versions to one name, the second a random moment after the first."""
    recipes = [replace(SMALL, seed=seed) for seed in (0, 1)]
    paths = [make(folder / f"{r.seed}" / f"m3{suffix}", r) for r in recipes]
    digests, dice = [open_dataset(path).digest for path in paths], random.Random(3)
    with _s3():
        for i in range(tries):
            url = f"s3://team/pair{i}/m3{suffix}"
            first = command("push", paths[0], url)
            with suppress(subprocess.TimeoutExpired):
                subprocess.Popen.wait(first, dice.uniform(0, 2))
            said = [one.communicate()[1] for one in (first, command("push", paths[1], url))]
            told = [text for text in said if text]
            assert all("--force" in text for text in told) and len(told) < 2, said
            for _ in told:  # who came second, or was overtaken
                assert command("push", paths[1 if said[1] else 0], url, "--force").wait() == 0
            assert find(url)[1].digest in digests
            for digest in digests:
                assert list(verify_remote(f"{url}@{digest}")[1]) == [], digest
    return tries, "both versions whole, the name means one of them"


def killed_pushes(folder: Path, suffix: str, tries: int) -> Outcome:
    """`kill -9` of a push at a random moment, over a version that is there; then it is repeated."""
    paths = [make(folder / f"{seed}" / f"m3{suffix}", replace(SMALL, seed=seed)) for seed in (0, 1)]
    digests, dice, kills, i = [open_dataset(path).digest for path in paths], random.Random(4), 0, 0
    with _s3():
        clock = time.perf_counter()
        assert command("push", paths[0], f"s3://team/timed/m3{suffix}").wait() == 0
        seconds = time.perf_counter() - clock
        while kills < tries:
            url = f"s3://team/killed{i}/m3{suffix}"
            i += 1
            assert command("push", paths[0], url).wait() == 0
            process = command("push", paths[1], url, "--force")
            try:
                subprocess.Popen.wait(process, dice.uniform(0.4, 1) * seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
            process.communicate()
            assert find(url)[1].digest in digests
            assert list(verify_remote(url)[1]) == []
            again = command("push", paths[1], url, "--force")
            assert again.wait() == 0, again.communicate()
            assert find(url)[1].digest == digests[1]
            for digest in digests:
                assert list(verify_remote(f"{url}@{digest}")[1]) == []
    return kills, "the version before stays whole and is meant until the new one is; identical when repeated"


def killed_makings(folder: Path, suffix: str, tries: int) -> Outcome:
    """`kill -9` of a worker, or of all, while a data set is made straight at the place; then --resume."""
    reference = content(make(folder / f"m3{suffix}"))
    digest, dice, kills, i = open_dataset(folder / f"m3{suffix}").digest, random.Random(5), 0, 0
    with _s3():
        while kills < tries:
            url, whole = f"s3://team/made{i}/m3{suffix}", False
            i += 1
            for _ in range(4):  # kills on the way to one data set
                struck, whole = _struck(_making(url), dice)
                kills += struck
                if whole or kills == tries:
                    break
            if not whole:
                last = _making(url)
                assert last.wait() == 0, last.communicate()
            assert find(url)[1].digest == digest
            left = set(Versions(url).place.names())
            assert left == {digest, "latest.json"}, left
            pull(url, folder / f"back{i}{suffix}")
            same(folder / f"back{i}{suffix}", reference)
    return kills, "identical after --resume, nothing else is left there"


def _struck(process: Command, dice: random.Random) -> tuple[int, bool]:
    """Kill a worker of a command, or all of it, at a random moment; whether it struck, and all ended well."""
    kills = 0
    with suppress(subprocess.TimeoutExpired):
        subprocess.Popen.wait(process, dice.uniform(1.0, 5.0))
    workers = [pid for pid in descendants(process.pid) if is_worker(pid)]
    with suppress(ProcessLookupError):
        if workers and dice.random() < 0.5:
            os.kill(dice.choice(workers), signal.SIGKILL)
            kills = 1
        elif process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills = 1
    said = process.communicate()[1]
    assert process.returncode <= 0 or "--resume" in said, said
    return kills, process.returncode == 0


def _making(url: str) -> Command:
    return command("generate", *OPTIONS, "--out", url, "--workers", 2, "--resume")
