"""Pushing and pulling a data set of 1 GiB to and from a local S3 server, beside s3fs with the same files.

And 500,000 rows made straight at that server, beside making them on the disk and pushing them.

python benchmarks/transfer.py [--bytes 1073741824]
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import s3fs
from common import report

from qwell import SpectraRecipe, generate
from qwell.store.reader import open_dataset
from qwell.store.transfer import pull, push

ROW_BYTES = 101 * 4 + 10 * 8


def start_server() -> tuple[subprocess.Popen[bytes], str]:
    """An S3-compatible server (moto) in a process of its own, with a bucket `team`."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{url}/team", method="PUT")).close()
            return server, url
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server does not answer")


def rate(size: int, action: Callable[[], object]) -> float:
    """MB a second."""
    clock = time.perf_counter()
    action()
    return size / (time.perf_counter() - clock) / 1e6


def both(scratch: Path, i: int) -> tuple[float, float]:
    """Seconds for 500,000 rows made at the server, and for the same made on the disk and pushed."""
    recipe = SpectraRecipe("m3", n=500_000, solver="lanes", seed=i)
    clock = time.perf_counter()
    generate(recipe, f"s3://team/straight{i}/m3.zarr")
    there = time.perf_counter() - clock
    clock = time.perf_counter()
    generate(recipe, scratch / f"here{i}.zarr")
    push(scratch / f"here{i}.zarr", f"s3://team/here{i}/m3.zarr")
    here = time.perf_counter() - clock
    shutil.rmtree(scratch / f"here{i}.zarr")
    return there, here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=2**30)
    options = parser.parse_args()
    server, url = start_server()
    os.environ |= {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "m3.zarr"
            recipe = SpectraRecipe("m3", n=options.bytes // ROW_BYTES, validation=0, solver="lanes")
            generate(recipe, path)
            size = sum(r.size for r in open_dataset(path).manifest.files.values())
            fs = s3fs.S3FileSystem()
            fs.put(str(path / "zarr.json"), "team/warm")
            rates: dict[str, list[float]] = {"push": [], "put": [], "pull": [], "get": []}
            for i in range(3):
                out = Path(scratch) / "out"
                rates["put"].append(rate(size, lambda i=i: fs.put(str(path), f"team/put{i}", recursive=True)))
                rates["push"].append(rate(size, lambda i=i: push(path, f"s3://team/push{i}/m3.zarr")))
                rates["get"].append(
                    rate(size, lambda i=i, out=out: fs.get(f"team/put{i}", str(out), recursive=True))
                )
                shutil.rmtree(out)
                rates["pull"].append(rate(size, lambda i=i, out=out: pull(f"s3://team/push{i}/m3.zarr", out)))
                shutil.rmtree(out)
                fs.rm(f"team/put{i}", recursive=True)
                fs.rm(f"team/push{i}", recursive=True)
            straight = [both(Path(scratch), i) for i in range(3)]
        there, here = (float(np.median(times)) for times in zip(*straight, strict=True))
        median = {name: float(np.median(values)) for name, values in rates.items()}
        report(
            "transfer",
            f"python benchmarks/transfer.py --bytes {options.bytes}",
            {
                "bytes": size,
                "push [MB/s]": median["push"],
                "s3fs.put of the same files [MB/s]": median["put"],
                "push / s3fs.put (at least 0.6)": median["push"] / median["put"],
                "pull, every file checked by sha256 [MB/s]": median["pull"],
                "s3fs.get of the same files [MB/s]": median["get"],
                "pull / s3fs.get (at least 0.6)": median["pull"] / median["get"],
                "500,000 rows made at the server [s]": there,
                "the same made on the disk and pushed [s]": here,
                "at the server / on the disk and pushed (at most 1.5)": there / here,
            },
        )
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
