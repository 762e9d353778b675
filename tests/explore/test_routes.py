"""What the explorer answers is what the library says."""

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from client import Client

from qwell import load_model, open_dataset
from qwell.explore import samples
from qwell.explore.opened import Kept, Opened
from qwell.explore.packets import setting
from qwell.explore.wire import packed, unpacked
from qwell.physics.barriers import Potential
from qwell.physics.grid import Grid
from qwell.physics.packets import packet
from qwell.physics.propagators.family import propagate
from qwell.physics.propagators.settings import Propagation, energy
from qwell.physics.spectrum import eigenstates, eigenvalues
from qwell.physics.waves import as_complex
from qwell.studies.certify import Certifier
from qwell.train.calibration import calibration_in
from qwell.train.eigen import gradient_densities, predict
from qwell.train.rollout import rollout
from qwell.train.runs import trained_on

GRID = Grid(100)
WELL = 200 * GRID.x**2 + 30 * np.sin(7 * GRID.x)


def test_messages_come_out_as_they_went_in() -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 4)), "b": np.float64([np.pi])}
    whole = packed({"value": float("nan"), "text": "ħ"}, arrays) + packed({"next": 1})
    head, found, rest = unpacked(whole)
    assert head == {"value": None, "text": "ħ"} and unpacked(rest)[0] == {"next": 1}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array.astype(np.float32))


def test_levels_are_those_of_scipy(client: Client) -> None:
    head, arrays = client.ask("solve", potential=WELL.tolist(), levels=7)
    exact, wave = eigenstates(WELL[None], GRID, 7)
    np.testing.assert_array_equal(head["energy"], exact[0])
    np.testing.assert_allclose(arrays["wave"], wave[0], atol=1e-7)
    assert len(client.ask("solve", potential=[0.0] * 5, levels=10)[0]["energy"]) == 3  # all that there are


def test_a_network_is_asked_and_judged_as_by_predict(client: Client) -> None:
    v = WELL.astype(np.float32).astype(float)[None]
    model, about = load_model("hamiltonian-m3"), trained_on("hamiltonian-m3")
    asked = {"network": "hamiltonian-m3", "coverage": 0.8, "certify": 0.05}
    head, arrays = client.ask("solve", potential=WELL.tolist(), **asked)
    said, predicted = head["network"], predict(model, v)
    np.testing.assert_array_equal(said["energy"], predicted[0])
    np.testing.assert_allclose(said["error"], (predicted - eigenvalues(v, GRID, 10))[0], atol=1e-12)
    np.testing.assert_allclose(arrays["density"], gradient_densities(model, v)[0], atol=1e-6)
    proven = Certifier(about, 101, 0.05)(v, predicted)
    assert said["certified"] == proven.certified[0].tolist()
    np.testing.assert_array_equal(said["within"], proven.within[0])
    calibration = calibration_in(about, 101, 10)
    assert calibration and said["p_value"] == calibration.p_values(v)[0]
    assert said["half_width"] is None  # no Gaussian process makes such a well
    row = open_dataset("store/m3.zarr")["train"]["potential"][:1]
    like = client.ask("solve", potential=row[0].tolist(), **asked)[0]["network"]
    widths = calibration.half_widths(row, predict(model, row), 0.8)[0]
    np.testing.assert_allclose(like["half_width"], widths, rtol=1e-6)


def test_on_another_mesh_errors_are_those_of_the_networks(client: Client) -> None:
    fine = Grid(200)
    v = 200 * fine.x**2
    head, arrays = client.ask("solve", potential=v.tolist(), network="hamiltonian-rbf", levels=10)
    assert head["network"]["resampled"] and arrays["density"].shape == (10, 101)
    seen = v[::2].astype(np.float32).astype(float)[None]
    errors = predict(load_model("hamiltonian-rbf"), seen) - eigenvalues(seen, GRID, 10)
    np.testing.assert_allclose(head["network"]["error"], errors[0], atol=1e-9)


def test_trained_runs_can_be_asked_too(client: Client) -> None:
    listed = client.ask("networks")[0]
    assert {"runs/mlp", "hamiltonian-m3"} <= set(listed["spectra"]) and "emulator-gru" in listed["dynamics"]
    said = client.ask("solve", potential=WELL.tolist(), network="runs/mlp")[0]["network"]
    assert len(said["energy"]) == 10 and said["half_width"] is None and said["p_value"] is None
    about = client.ask("network", network="runs/mlp")[0]
    assert (about["model"], about["kernel"], about["n"], about["updates"]) == ("mlp", "m3", 40, 20)


def test_potentials_by_formula_kernel_and_row(client: Client) -> None:
    def made(**question: object) -> np.ndarray:
        return client.ask("potential", **question)[1]["potential"]

    x = Grid(50).x
    np.testing.assert_allclose(made(formula="sigma*x**2", mesh=50, sigma=3), 3 * x**2, rtol=1e-6)
    assert (made(formula="7", mesh=20) == 7).all()
    one, twice = (made(kernel="rbf", sigma=s, length=0.2, seed=5, mesh=100) for s in (1.0, 2.0))
    np.testing.assert_allclose(twice, 2 * one, rtol=1e-6)
    many = np.array([made(kernel="m3", sigma=10, length=0.2, seed=i, mesh=60) for i in range(60)])
    assert 8 < many.std() < 12  # σ is what was asked for
    row = made(data="store/m3.zarr", split="train", row=3)
    np.testing.assert_array_equal(row, open_dataset("store/m3.zarr")["train"]["potential"][3])


@pytest.mark.parametrize(
    ("name", "kind"), [("m3", "spectra"), ("cells", "densities"), ("packets", "trajectories")]
)
def test_rows_of_every_kind(client: Client, name: str, kind: str) -> None:
    path = f"store/{name}.zarr"
    data = open_dataset(path)
    about, axes = client.ask("about", data=path)
    split = next(one for one, rows in about["rows"].items() if rows)
    assert (about["kind"], about["digest"]) == (kind, data.digest) and f"`{data.digest}`" in about["card"]
    head, arrays = client.ask("row", data=path, split=split, row=1)
    for field in set(arrays) & set(data.plan.fields and [f.name for f in data.plan.fields]):
        np.testing.assert_array_equal(arrays[field], np.asarray(data[split][field][1], np.float32))
    assert "potential" in arrays and set(axes) == set(data.coordinates)
    if kind == "spectra":
        np.testing.assert_array_equal(head["energy"], data[split]["energy"][1])
        assert arrays["density"].shape == (10, 101)
    if kind == "trajectories":
        np.testing.assert_allclose(arrays["norm"], 1, atol=1e-5)
        assert np.ptp(arrays["mean_energy"]) < 1e-4 * arrays["mean_energy"].mean()


def test_rows_are_chosen_by_what_they_hold(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "BLOCK", 7)  # no divisor of the 40 rows
    asked = {"data": "store/m3.zarr", "split": "train", "quantity": "E0"}
    energies = open_dataset("store/m3.zarr")["train"]["energy"][:, 0]
    found = client.ask("chosen", **asked, low=-50.0, high=0.0)[0]
    assert found["rows"] == np.flatnonzero((energies >= -50) & (energies <= 0)).tolist() != []
    assert (found["least"], found["most"]) == (energies.min(), energies.max())
    least = open_dataset("store/m3.zarr")["train"]["potential"][:].min(axis=1)
    found = client.ask("chosen", **{**asked, "quantity": "least V"}, low=-1e9, high=-100.0)[0]
    assert found["rows"] == np.flatnonzero(least <= -100).tolist() != []
    assert "unknown quantity" in client.refused("chosen", **{**asked, "quantity": "E77"}, low=0, high=1)
    counts = client.ask("histogram", data="store/m3.zarr", split="train")[1]["counts"]
    assert counts.shape == (10, 60) and (counts.sum(axis=1) == 40).all()


def played(client: Client, **question: object) -> list[tuple[dict, dict]]:
    return client.request("/api/play", json.dumps(question).encode()).messages


@pytest.mark.parametrize("emulator", ["emulator-unitary", "emulator-conv"])
def test_packets_are_propagated_and_emulated_as_by_the_library(client: Client, emulator: str) -> None:
    """In blocks of frames, with the same numbers as in one piece."""
    ring, how = setting()
    v = Potential("rectangle", {"height": 5, "width": 4}).on(ring)
    asked = {"potential": v.tolist(), "x0": 35, "s0": 3, "e0": 4, "frames": 60, "emulator": emulator}
    (begin, _), *blocks = played(client, **asked)
    psi = packet(ring, "gaussian", 35, 3, 4)
    parts = propagate(psi, v, ring, Propagation(hamiltonian="lattice", frames=60, dt=how.dt))[0]
    exact = np.concatenate([arrays["exact"] for _, arrays in blocks])
    np.testing.assert_allclose(exact, parts, atol=1e-7)
    history = begin["history"]
    v_scale = trained_on(emulator)["v_scale"]
    more = rollout(load_model(emulator), parts[None, :history], v[None] / v_scale, 61 - history)[0]
    emulated = np.concatenate([arrays["emulated"] for _, arrays in blocks])
    np.testing.assert_allclose(emulated, np.concatenate([parts[:history], more]), atol=1e-4)
    assert begin["energy"] == pytest.approx(energy(psi[None], v[None], ring, "lattice")[0])
    heads = [head for head, _ in blocks]
    assert [head["first"] for head in heads] == [0, 1, 26, 51]
    sides = {name: np.concatenate([h["exact"][name] for h in heads]) for name in heads[0]["exact"]}
    np.testing.assert_allclose(sides["norm"], 1, atol=1e-9)
    np.testing.assert_allclose(sides["left"] + sides["inside"] + sides["right"], 1, atol=1e-9)
    assert sides["momentum"][0] == pytest.approx(np.sqrt(8), rel=1e-3)
    waves = as_complex(np.stack([emulated[-1], exact[-1]]).astype(float))
    overlap = abs(np.vdot(*waves)) / np.prod(np.linalg.norm(waves, axis=1))
    assert heads[-1]["overlap"][-1] == pytest.approx(overlap, abs=1e-6)


def test_a_free_packet_has_no_sides_and_needs_no_emulator(client: Client) -> None:
    (begin, _), *blocks = played(client, potential=[0.0] * 1024, x0=30, s0=2, e0=1, frames=3)
    assert begin["history"] is None
    assert set(blocks[0][0]["exact"]) == {"norm", "momentum"} and set(blocks[0][1]) == {"exact"}


def test_runs_say_how_far_they_are(client: Client, home: Path) -> None:
    (row,) = client.ask("runs")[0]["runs"]
    assert (row["run"], row["model"], row["updates"], row["state"]) == ("runs/mlp", "mlp", 20, "finished")
    assert next(iter(row["curves"])) == "validation_nmse" and "train_nmse" in row["curves"]
    assert row["curves"]["validation_nmse"][-1] == [20, row["last"]]
    one = client.ask("run", run="runs/mlp")[0]
    assert one["config"]["command"] == "eigen" and one["report"].startswith("# mlp")
    name = one["figures"][0]
    picture = client.request("/api/figure", json.dumps({"run": "runs/mlp", "figure": name}).encode())
    assert picture.body == (home / "runs/mlp/figures" / name).read_bytes()
    assert picture.headers["content-type"] == "image/png"


def test_what_was_opened_is_what_there_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    hello = Client(Opened(("store",), ("runs",), "samples")).ask("hello")[0]
    assert [one["path"] for one in hello["datasets"]] == [
        f"store/{n}.zarr" for n in ("cells", "m3", "packets")
    ]
    assert (hello["first"], hello["runs"]) == ("samples", 1)
    alone = Client(Opened(("store/m3.zarr",)))
    assert [one["path"] for one in alone.ask("hello")[0]["datasets"]] == ["store/m3.zarr"]
    assert alone.ask("runs")[0]["runs"] == []
    (home / "broken.zarr").mkdir(exist_ok=True)
    (said,) = Client(Opened(("broken.zarr",))).ask("hello")[0]["datasets"]
    assert "is not a qwell data set" in said["problem"]


def test_a_store_at_an_address_is_looked_at_alike(
    home: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from support import run

    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    run("qdata", "push", "store/m3.zarr", "s3://team/explored/m3.zarr", cwd=home)
    client = Client(Opened(("s3://team/explored",)))
    (one,) = client.ask("hello")[0]["datasets"]
    row = client.ask("row", data=one["path"], split="train", row=2)[1]["potential"]
    np.testing.assert_array_equal(row, open_dataset(home / "store/m3.zarr")["train"]["potential"][2])


def test_what_takes_long_to_open_keeps_nobody_else_waiting() -> None:
    kept, may_end, made = Kept(), threading.Event(), []

    def slowly() -> str:
        made.append("slow")
        assert may_end.wait(10)
        return "slow"

    with ThreadPoolExecutor(2) as pool:
        twice = [pool.submit(kept.get, "far", slowly) for _ in range(2)]
        assert kept.get("near", lambda: "fast") == "fast"
        kept.forget("near")
        may_end.set()
        assert [one.result(10) for one in twice] == ["slow"] * 2 and made == ["slow"]


def test_what_cannot_be_opened_is_tried_again() -> None:
    kept = Kept()
    with pytest.raises(ZeroDivisionError):
        kept.get("it", lambda: 1 // 0)
    assert kept.get("it", lambda: 1) == 1


def test_a_password_in_an_address_is_not_sent() -> None:
    client = Client(Opened(("http://me:secret@127.0.0.1:1/m3.zarr",)))
    (listed,) = client.ask("hello")[0]["datasets"]
    assert "secret" not in json.dumps(listed)
    assert "unknown" not in client.refused("about", data=listed["path"])


def test_strokes_read_a_run_again_only_when_it_was_trained_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs/mlp"
    shutil.copytree(home / "runs/mlp", run)
    monkeypatch.chdir(tmp_path)
    opened = Opened((), ("runs",))
    client, asked = Client(opened), {"potential": [0.0] * 101, "network": "runs/mlp"}
    first = client.ask("solve", **asked)[0]["network"]["energy"]
    listings: list[int] = []
    monkeypatch.setattr(Opened, "trainings", lambda self: listings.append(1) or {})
    assert client.ask("solve", **asked)[0]["network"]["energy"] == first and not listings

    (run / "model/model.safetensors").write_bytes(b"others")
    assert client.ask("solve", **asked)[0]["network"]["energy"] == first
    os.utime(run / "model/config.json", (0, 0))  # as a training does, which writes both
    assert "damaged" in client.refused("solve", **asked)


def test_an_empty_store_says_how_a_data_set_is_made(tmp_path: Path) -> None:
    (listed,) = Client(Opened((str(tmp_path),))).ask("hello")[0]["datasets"]
    assert "make one, e.g. `qdata generate" in listed["problem"]
