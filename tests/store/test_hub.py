"""The Hugging Face Hub, or a stand-in that speaks its routes: one commit a push, read as it is written."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from hub import TOKEN, Hub, hub_server
from support import content

from qwell import create_model, load_model, open_dataset
from qwell.datagen.pipeline import generate
from qwell.datagen.recipes.spectra import SpectraRecipe
from qwell.errors import DatasetExists, DatasetNotFound, InvalidInput, RunExists, TransferError
from qwell.models.registry import save_pretrained
from qwell.store.catalog import catalog
from qwell.store.hub import HubPlace
from qwell.store.transfer import pull, push, verify_remote
from qwell.train import sharing

hugging = pytest.importorskip("huggingface_hub", reason="pip install 'qwell[hf]'")


# huggingface_hub's own way to send bytes
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # the stand-in speaks LFS
    with hub_server() as (address, kept):
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": address})
        hugging.HfFileSystem.clear_instance_cache()
        yield kept
        hugging.HfFileSystem.clear_instance_cache()


def test_a_data_set_goes_there_and_back_in_one_commit(stored: Path, hub: Hub, tmp_path: Path) -> None:
    sent = push(stored, "hf://datasets/user/wells/")
    url = f"hf://datasets/user/wells/{stored.name}"
    assert sent.target == url and len(hub.commits) == 1 and sent.digest[:12] in hub.commits[0]
    assert not any("push.json" in path for path in hub.repositories["datasets/user/wells"])
    assert (push(stored, url).sent, len(hub.commits)) == (0, 1)
    data, ours = open_dataset(url), open_dataset(stored)
    np.testing.assert_array_equal(data["train"]["energy"][1500:2500], ours["train"]["energy"][1500:2500])
    pull(f"{url}@{sent.digest[:8]}", tmp_path / stored.name)
    assert content(tmp_path / stored.name) == content(stored)
    assert list(verify_remote(url)[1]) == []
    assert [entry.name for entry in catalog("hf://datasets/user/wells")] == [stored.name]
    with pytest.raises(DatasetNotFound):
        open_dataset("hf://datasets/user/none/m3.zarr")


def test_another_version_replaces_it_whole(stored: Path, hub: Hub, tmp_path: Path) -> None:
    url = f"hf://datasets/user/wells/{stored.name}"
    push(stored, url)
    other = tmp_path / stored.name
    generate(SpectraRecipe("m3", n=500, validation=0, seed=1), other, workers=0)
    with pytest.raises(DatasetExists, match="--force"):
        push(other, url)
    push(other, url, force=True)
    assert open_dataset(url).digest == open_dataset(other).digest and len(hub.commits) == 2
    files = {
        path
        for path in hub.repositories["datasets/user/wells"]
        if path.startswith("train/", len(stored.name) + 1)
    }
    assert not any("c/1/0" in path or path.endswith("/1.h5") for path in files)  # no shard of the old is left


def test_who_comes_second_is_told(stored: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else commits between our look and our commit: nothing of theirs is replaced unseen."""
    url = f"hf://datasets/user/wells/{stored.name}"
    push(stored, f"hf://datasets/user/wells/first{stored.suffix}")
    publish = HubPlace.publish

    def late(self: HubPlace, message: str) -> None:
        monkeypatch.setattr(HubPlace, "publish", publish)
        push(stored, f"hf://datasets/user/wells/theirs{stored.suffix}")
        publish(self, message)

    monkeypatch.setattr("qwell.store.places.time.sleep", lambda seconds: None)
    monkeypatch.setattr(HubPlace, "publish", late)
    with pytest.raises(TransferError, match=r"somebody else changed .* meanwhile"):
        push(stored, url)
    assert len(hub.commits) == 2
    push(stored, url)
    assert open_dataset(url).digest == open_dataset(stored).digest and len(hub.commits) == 3


def test_an_interrupted_push_shows_nothing_and_sends_the_rest(
    stored: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"hf://datasets/user/wells/{stored.name}"
    monkeypatch.setattr("qwell.store.places.time.sleep", lambda seconds: None)
    hub.refuses_commits = True
    with pytest.raises(TransferError, match="repeat the command"):
        push(stored, url)
    hub.refuses_commits, before = False, hub.uploaded
    assert before > 0 and hub.repositories["datasets/user/wells"].keys() == {".gitattributes"}
    push(stored, url)
    assert hub.uploaded == before and open_dataset(url).digest == open_dataset(stored).digest


def test_a_push_without_a_token_says_so(stored: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    hugging.HfFileSystem.clear_instance_cache()
    with pytest.raises(TransferError, match="hf auth login"):
        push(stored, "hf://datasets/user/wells/")
    with pytest.raises(InvalidInput, match="names no repository"):
        push(stored, f"hf://{stored.name}")


def test_a_model_goes_there_and_is_loaded_from_there(hub: Hub, tmp_path: Path) -> None:
    for name, size in (("one", 40), ("two", 50)):
        save_pretrained(create_model("mlp", hidden=[size]), tmp_path / name)
    sharing.push(tmp_path / "one", "hf://user/one")
    assert hub.repositories["models/user/one"].keys() == {
        ".gitattributes", "README.md", "config.json", "model.safetensors",
    }  # fmt: skip
    with torch.no_grad():
        x = torch.randn(2, 101)
        assert torch.equal(load_model("hf://user/one")(x), load_model(tmp_path / "one")(x))
    with pytest.raises(RunExists, match="--force"):
        sharing.push(tmp_path / "two", "hf://user/one")
    sharing.push(tmp_path / "two", "hf://user/one", force=True)
    got = sharing.pull("hf://user/one", tmp_path / "here")
    assert len(hub.commits) == 2 and got.digest == sharing.push(tmp_path / "two", "hf://user/one").digest
