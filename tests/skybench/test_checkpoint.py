from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skybench import places
from skybench.checkpoint import read_checkpoint, sha256_file, unwrap
from skybench.core import WeightsError

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("container", [None, "model", "state_dict", "teacher", "net"])
def test_containers_are_removed_and_only_tensors_kept(
    container: str | None, tmp_path: Path
) -> None:
    options = argparse.Namespace(lr=0.1)
    state: dict[str, Any] = {**STATE, "step": 3}
    content = state if container is None else {container: state, "epoch": 9, "args": options}
    torch.save(content, tmp_path / "file.pth")
    assert same(read_checkpoint(tmp_path / "file.pth"), STATE)


def test_containers_within_containers_are_removed_and_settings_are_none() -> None:
    content = {"model": {"name": "vit"}, "state_dict": {"net": STATE}}
    assert same(unwrap(content, "it"), STATE)


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_and_safetensors_are_read(zipped: bool, tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    save_file(STATE, tmp_path / "a.safetensors")
    assert same(read_checkpoint(tmp_path / "a.pt"), STATE)
    assert same(read_checkpoint(tmp_path / "a.safetensors"), STATE)


class Trap:
    """Unpickling it would run a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_with_code_is_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "trap.pth"
    content = {"model": STATE, "extra": Trap(mark)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"holds objects beside tensors \(posix\.mkdir\).*safet"):
        read_checkpoint(file)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))  # the trap works
    assert mark.exists()


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "trap.pkl"
    file.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(WeightsError):
        read_checkpoint(file)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
def test_a_file_cut_short_is_called_damaged(suffix: str, keep: float, tmp_path: Path) -> None:
    file = tmp_path / f"whole{suffix}"
    big = {"x": torch.rand(100, 100)}
    if suffix == ".pth":
        torch.save(big, file)
    else:
        save_file(big, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(WeightsError, match="damaged, cut short"):
        read_checkpoint(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (bytes(range(256)) * 10, "damaged"),
    ],
)
def test_what_is_no_checkpoint_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        read_checkpoint(tmp_path / "x.pth")


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        read_checkpoint(tmp_path)
    torch.save({"epoch": 3, "name": "x"}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="holds no tensors by name; found: epoch, name"):
        read_checkpoint(tmp_path / "empty.pth")


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    store = places.cache() / "sha256.json"
    assert sha256_file(file) == abc
    assert abc in store.read_text()
    file.write_bytes(b"abcd")
    assert sha256_file(file) != abc
    store.write_text("{ damaged")
    file.write_bytes(b"abc")
    assert sha256_file(file) == abc
