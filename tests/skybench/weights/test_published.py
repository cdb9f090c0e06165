"""Weights in a folder: parts, shards by their index, and folders of Hugging Face."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skybench.core import WeightsError
from skybench.weights import published
from skybench.weights.load import load_model


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    model = load_model("galileo", "random", "tiny", 3)
    return {k.removeprefix("net."): v for k, v in model.state_dict().items()}


def shards(folder: Path, state: dict[str, Tensor], suffix: str = "safetensors") -> Path:
    """Write a state dict in two shards; return their index."""
    half, names = len(state) // 2, dict[str, str]()
    for number, keys in enumerate((list(state)[:half], list(state)[half:])):
        name = f"model-{number}.{suffix}"
        part = {key: state[key].contiguous() for key in keys}
        save_file(part, folder / name) if suffix == "safetensors" else torch.save(
            part, folder / name
        )
        names |= dict.fromkeys(keys, name)
    index = folder / f"model.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return index


def loads(path: Path, state: dict[str, Tensor]) -> bool:
    found = load_model("galileo", path, "tiny").state_dict()
    return all(torch.equal(found[f"net.{key}"], tensor) for key, tensor in state.items())


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_are_read_by_their_index(
    suffix: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    index = shards(tmp_path, state, suffix)
    assert loads(tmp_path, state)
    assert loads(index, state)


def test_the_identity_of_shards_is_their_content(state: dict[str, Tensor], tmp_path: Path) -> None:
    shards(tmp_path, state)
    before = load_model("galileo", tmp_path, "tiny").loaded.sha256
    shards(tmp_path, {key: tensor + 1 for key, tensor in state.items()})
    assert load_model("galileo", tmp_path, "tiny").loaded.sha256 != before


@pytest.mark.parametrize("name", ["../out.safetensors", "/etc/passwd", "gone.safetensors", ".."])
def test_an_index_never_leads_out_of_its_folder(
    name: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    save_file(state, tmp_path / "out.safetensors")
    index = tmp_path / "in" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(WeightsError, match=r"which is not in .*get all shards"):
        published.read_published("galileo", tmp_path / "in")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": [1]}', "\udcff"])
def test_what_is_no_index_is_refused(text: str, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WeightsError, match="is not an index of shards"):
        published.read_published("galileo", tmp_path)


def test_shards_that_lack_tensors_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    index = shards(tmp_path, state)
    listed = json.loads(index.read_text())
    listed["weight_map"]["more.weight"] = "model-0.safetensors"
    index.write_text(json.dumps(listed))
    with pytest.raises(WeightsError, match=r"lack 1 of \d+ tensors .*\(more\.weight\)"):
        published.read_published("galileo", tmp_path)


def test_a_folder_with_one_whole_file_is_read(state: dict[str, Tensor], tmp_path: Path) -> None:
    for name in ("model.safetensors", "pytorch_model.bin", "mine_nano.pt"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        whole = {key: tensor.contiguous() for key, tensor in state.items()}
        if name.endswith("safetensors"):
            save_file(whole, folder / name)
        else:
            torch.save(whole, folder / name)
        assert loads(folder, state)


def test_folders_that_hold_no_whole_file_say_what_to_do(tmp_path: Path) -> None:
    for name, said in (
        (".metadata", "dcp_to_torch"),
        ("adapter_model.safetensors", "only a LoRA adapter; merge"),
        ("readme.txt", "expected a checkpoint file, or a folder with encoder.pt"),
    ):
        folder = tmp_path / name.strip(".")
        folder.mkdir()
        (folder / name).touch()
        with pytest.raises(WeightsError, match=said):
            load_model("galileo", folder, "tiny")


def test_the_authors_set_of_weights_is_read_where_their_code_names_it() -> None:
    assert published.usual_set("dino_mm") == "teacher"
    assert published.usual_set("galileo") == ""
    content = {"student": {"a": torch.zeros(1)}, "teacher": {"a": torch.ones(1)}}
    found = published.given_state("dino_mm", content)
    assert found.state["a"].item() == 1
    assert found.sets == "of several sets of weights teacher was read, not student (student)"
    assert published.given_state("dino_mm", content, "student").state["a"].item() == 0


def test_objects_are_named_in_words() -> None:
    assert published.skipped_objects(()) == ""
    told = published.skipped_objects(("torch._utils._rebuild_qtensor", "a.B", "a.B"))
    assert told == "objects beside tensors were left out: a quantised tensor, a.B"
