"""`qdata explore` and `qtrain explore`: what they say, open and refuse."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import begin, run

from qwell.cli import exploring, progress
from qwell.errors import WriteError
from qwell.explore.serve import _listen
from qwell.explore.wire import unpacked


@contextmanager
def explored(*command: object, cwd: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address that a command prints, and its process, which is ended as by Ctrl-C."""
    process = begin(*command, "--no-browser", cwd=cwd)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=30)
    assert process.returncode == 0 and not complained, (said, complained)


def test_the_page_is_there_until_ctrl_c(home: Path) -> None:
    with explored("qdata", "explore", "store/m3.zarr", cwd=home) as (address, _):
        assert address.startswith("http://127.0.0.1:") and len(address.split("/")[3]) >= 32
        assert b"qwell explorer" in urllib.request.urlopen(address).read()
        asked = urllib.request.Request(f"{address}api/hello", b"{}")
        hello = unpacked(urllib.request.urlopen(asked).read())[0]
        assert [one["path"] for one in hello["datasets"]] == ["store/m3.zarr"]
        assert (hello["first"], hello["runs"]) == ("samples", 1)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address[: address.rindex("/", 0, -1) + 1] + "guessed/")
        assert refused.value.code == 403 and "token" in json.loads(refused.value.read())["error"]
        host = address.split("/")[2]
        with pytest.raises(OSError), socket.create_connection((own_address(), int(host.split(":")[1])), 1):
            pass  # bound to 127.0.0.1 alone


def test_answers_are_sent_at_once() -> None:
    """asyncio sets TCP_NODELAY where a socket says that it is TCP; without it answers wait 40 ms."""
    with _listen(0) as listening:
        assert listening.proto == socket.IPPROTO_TCP and listening.getsockname()[0] == "127.0.0.1"


def test_a_port_is_one_explorer_s_from_the_start() -> None:
    """Both might be bound, were the first not listened at: the second would fail later, with a traceback."""
    with _listen(0) as first, pytest.raises(WriteError, match="cannot be used"):
        _listen(first.getsockname()[1])


def test_waiting_for_people_is_no_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server whose output goes to a file says nothing there every half minute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "EVERY", 0.02)
    monkeypatch.setattr(exploring, "serve", lambda *_, **__: time.sleep(0.2))
    with progress.Display("qdata").shown():
        exploring.explore_what((), (), "draw", None, None)
    assert "at work" not in capsys.readouterr().err


def own_address() -> str:
    """Another address of this machine than 127.0.0.1."""
    return "127.0.0.2"


def test_what_is_not_there_is_said_before_a_server_begins(tmp_path: Path) -> None:
    said = run("qdata", "explore", "none.zarr", "--no-browser", cwd=tmp_path, code=2).stderr
    assert "there is nothing at none.zarr; make a data set" in said
    said = run("qtrain", "explore", "runs/none", "--no-browser", cwd=tmp_path, code=2).stderr
    assert "there is no directory runs/none; make a run" in said
    said = run("qdata", "explore", "--port", 70000, "--no-browser", cwd=tmp_path, code=2).stderr
    assert "port is 70000; choose one from 1 to 65535" in said
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = run("qdata", "explore", "--port", port, "--no-browser", cwd=tmp_path, code=1).stderr
        assert f"port {port} cannot be used" in said and "choose another --port" in said


@pytest.mark.parametrize(("command", "package"), [("qdata", "starlette"), ("qtrain", "uvicorn")])
def test_what_is_missing_is_named(command: str, package: str, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
sys.argv = [{command!r}, "explore", "--no-browser"]
from qwell.cli.{command} import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done
    assert f'needs {package}, which is not installed: pip install "qwell[explore]"' in done.stderr


def test_without_torch_potentials_are_solved_and_the_rest_says_what_to_install(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["torch"] = None
sys.path.insert(0, sys.argv[1])
from client import Client
from qwell.explore.opened import Opened
client = Client(Opened())
assert len(client.ask("solve", potential=[0.0] * 101)[0]["energy"]) == 10
listed = client.ask("networks")[0]
assert listed["spectra"] == [] and 'pip install "qwell[train]"' in listed["missing"], listed
assert 'qwell[train]' in client.refused("solve", potential=[0.0] * 101, network="hamiltonian-m3")
"""
    where = [str(Path(__file__).parent)]
    done = subprocess.run([sys.executable, "-c", code, *where], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_loads_no_server() -> None:
    code = (
        "import sys; from qwell.cli.qdata import cli; cli.main(['explore', '--help'], standalone_mode=False);"
        "sys.exit(bool({'starlette', 'uvicorn', 'torch'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ)


@pytest.mark.parametrize(
    ("place", "says"), [("store/m3.zarr", "is a data set"), ("store", "holds data sets")]
)
def test_a_data_set_is_no_run(home: Path, place: str, says: str) -> None:
    said = run("qtrain", "explore", place, "--no-browser", cwd=home, code=2).stderr
    assert f"{place} {says}, and no run; open it with `qdata explore {place}`" in said
