"""Models travel: what arrives is what was sent, by version; a place is loaded from as a run is."""

import json
import re
from pathlib import Path

import pytest
import torch
from servers import http_server
from support import run

from qwell import create_model, list_models, load_model
from qwell.errors import (
    CheckpointError,
    InvalidInput,
    RunExists,
    RunNotFound,
    TransferError,
    VersionMismatch,
)
from qwell.models.registry import save_pretrained
from qwell.store.cache import cache_root
from qwell.store.versions import Versions
from qwell.train.model_card import model_card
from qwell.train.sharing import models_at, pull, push

POTENTIAL = torch.linspace(-50, 50, 101).repeat(2, 1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small network in a folder."""
    torch.manual_seed(0)
    about = {"data": "m3.zarr", "digest": "ab" * 32, "updates": 7, "recipe": {"kernel": "m3"}}
    save_pretrained(create_model("mlp", hidden=[4]), tmp_path / "small", about)
    return tmp_path / "small"


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/place"
    for key, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(key, value)
    return f"s3://team/{tmp_path.name}"


def predicted(path: object) -> torch.Tensor:
    with torch.no_grad():
        return load_model(str(path))(POTENTIAL)


def test_a_model_is_the_same_elsewhere(model: Path, place: str, tmp_path: Path) -> None:
    """Pushed, loaded from its address, pulled: same version, same predictions; twice sends nothing."""
    sent = push(model, f"{place}/")
    assert sent.target == f"{place}/small" and sent.kept == 0
    assert sent.sent == (model / "model.safetensors").stat().st_size
    again = push(model, f"{place}/small")
    assert (again.digest, again.sent, again.kept) == (sent.digest, 0, sent.sent)
    assert torch.equal(predicted(f"{place}/small"), predicted(model))
    assert torch.equal(predicted(f"{place}/small@{sent.digest[:8]}"), predicted(model))
    with pytest.raises(VersionMismatch):
        load_model(f"{place}/small@{'0' * 8}")
    (tmp_path / "models").mkdir()
    got = pull(f"{place}/small", tmp_path / "models")
    assert got.digest == sent.digest and torch.equal(predicted(got.target), predicted(model))
    assert pull(f"{place}/small", tmp_path / "models").sent == 0
    assert "m3.zarr" in (Path(got.target) / "README.md").read_text()
    ((name, config),) = models_at(place)
    assert (name, config["model"], config["digest"]) == ("small", "mlp", sent.digest)


def test_another_model_lies_beside_it(model: Path, place: str, tmp_path: Path) -> None:
    """The name means it only if asked; nothing is overwritten."""
    first = push(model, f"{place}/small").digest
    save_pretrained(create_model("mlp", hidden=[5]), tmp_path / "other")
    with pytest.raises(RunExists, match="--force"):
        push(tmp_path / "other", f"{place}/small")
    assert torch.equal(predicted(f"{place}/small"), predicted(model))
    push(tmp_path / "other", f"{place}/small", force=True)
    assert torch.equal(predicted(f"{place}/small"), predicted(tmp_path / "other"))
    assert torch.equal(predicted(f"{place}/small@{first[:9]}"), predicted(model))
    pull(f"{place}/small", tmp_path / "here")
    with pytest.raises(RunExists):
        pull(f"{place}/small", model)
    (tmp_path / "place/thing").mkdir(parents=True)
    (tmp_path / "place/thing/letter.txt").write_text("mine")
    with pytest.raises(RunExists, match=r"letter\.txt"):
        push(model, f"file://{tmp_path}/place/thing", force=True)


def test_a_push_notices_that_its_version_was_pruned(
    model: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or that its weights were lost: it sends them again."""
    first = push(model, f"{place}/small").digest
    save_pretrained(create_model("mlp", hidden=[5]), tmp_path / "other")
    push(tmp_path / "other", f"{place}/small", force=True)
    point = Versions.point

    def after_a_prune(self: Versions, *arguments: object, **options: object) -> str:
        monkeypatch.setattr(Versions, "point", point)
        self.version(first).clear()
        return point(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Versions, "point", after_a_prune)
    with pytest.raises(TransferError, match="pruned while"):
        push(model, f"{place}/small", force=True)
    assert push(model, f"{place}/small", force=True).sent > 0
    Versions(f"{place}/small").version(first).remove(["model.safetensors"])
    assert push(model, f"{place}/small").sent > 0
    assert torch.equal(predicted(f"{place}/small"), predicted(model))


def test_weights_that_are_others_never_become_a_model(model: Path, tmp_path: Path) -> None:
    """Altered at the place, or in the cache: refused there, brought anew here."""
    place = f"file://{tmp_path}/place/small"
    digest = push(model, place).digest
    good = predicted(place)
    weights = tmp_path / "place/small" / digest / "model.safetensors"
    cached = next((cache_root() / "models").glob("*/model.safetensors"))
    content = bytearray(weights.read_bytes())
    cached.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert torch.equal(predicted(place), good)
    cached.unlink()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(TransferError, match="not those of the manifest"):
        load_model(place)
    with pytest.raises(TransferError):
        pull(place, tmp_path / "pulled")
    assert not (tmp_path / "pulled/config.json").exists()
    (model / "model.safetensors").write_bytes(weights.read_bytes())
    with pytest.raises(CheckpointError, match="damaged"):
        push(model, f"file://{tmp_path}/place/again")


def test_a_web_server_gives_models_and_takes_none(model: Path) -> None:
    with http_server(model.parent) as (address, _):
        assert torch.equal(predicted(f"{address}/small"), predicted(model))
        with pytest.raises(RunNotFound, match="no model"):
            load_model(f"{address}/none")
        with pytest.raises(InvalidInput, match="read-only"):
            push(model, f"{address}/new")


def test_models_without_a_checksum_do_not_travel(model: Path, tmp_path: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    del config["weights_sha256"], config["sha256"]
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="no checksum"):
        push(model, f"file://{tmp_path}/place")
    with pytest.raises(CheckpointError, match="no checksum"):
        load_model(f"file://{model}")


def test_the_commands_push_list_and_pull(dataset_path: Path, tmp_path: Path) -> None:
    """A run goes out with its recipe and errors on its card, and predicts from there as it does here."""
    learn = ["--model", "mlp", "--set", "hidden=[8]", "--updates", 20, "--out", "runs/tiny"]
    run("qtrain", "eigen", "--data", dataset_path, *learn, cwd=tmp_path)
    place = f"file://{tmp_path}/team"
    sent = run("qtrain", "push", "runs/tiny", f"{place}/", "--json", cwd=tmp_path).json
    (entry,) = run("qtrain", "list", place, "--json", cwd=tmp_path).json
    assert entry["name"] == "tiny" and entry["digest"] == sent["digest"]
    assert "mlp" in run("qtrain", "list", "team", cwd=tmp_path).stdout
    run("qtrain", "pull", f"{place}/tiny@{sent['digest'][:12]}", cwd=tmp_path)
    there, here, run_ = (
        run("qtrain", "evaluate", path, "--data", dataset_path, "--json", cwd=tmp_path).json
        for path in (f"{place}/tiny", "models/tiny", "runs/tiny")
    )
    nmse = [row["nmse"] for answer in (there, here, run_) for row in answer["rows"][-1:]]
    assert nmse[0] == nmse[1] == nmse[2]
    card = (tmp_path / "team/tiny" / sent["digest"] / "README.md").read_text()
    for part in (
        '"kernel": "m3"',
        "- updates: 20",
        "validation_nmse",
        "## Limits",
        f'load_model("{place}/tiny")',
    ):
        assert part in card
    assert card.startswith("---\nlibrary_name: qwell\n")
    assert "no model at" in run("qtrain", "pull", f"{place}/none", cwd=tmp_path, code=2).stderr


def test_every_pretrained_model_has_a_card() -> None:
    for name in list_models(pretrained=True):
        card = model_card(name)
        assert "not recorded" not in card and re.search(r"\| [^|]+ \| [\d.e+-]+ \|", card), name


def test_trained_models_are_made_and_listed_by_name() -> None:
    with torch.no_grad():
        by_name = create_model("hamiltonian", pretrained="m3")(POTENTIAL)
        assert torch.equal(by_name, load_model("hamiltonian-m3")(POTENTIAL))
    assert create_model("emulator_unitary", pretrained=True).registry_name == "emulator_unitary"
    with pytest.raises(InvalidInput, match="did you mean 'hamiltonian-m3'"):
        create_model("hamiltonian", pretrained="m33")
    with pytest.raises(InvalidInput, match="leave out levels"):
        create_model("hamiltonian", pretrained="m3", levels=3)
    assert set(list_models("emul*")) == {name for name in list_models() if name.startswith("emul")} != set()
    assert set(list_models(pretrained=True, task="dynamics")) == set(list_models("emul*", pretrained=True))
    assert "hamiltonian-m3" in list_models("spectra", pretrained=True)
    assert list_models("zzz") == {}
