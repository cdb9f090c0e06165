from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skybench.core import WeightsError
from skybench.weights.checkpoint_file import (
    cached_digest,
    open_checkpoint,
    read_checkpoint,
    sha256_file,
)

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
def test_a_file_with_code_gives_its_tensors_and_is_not_run(zipped: bool, tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "trap.pth"
    content = {"model": STATE, "extra": Trap(mark)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    found = open_checkpoint(file)
    assert same(found.state, STATE)
    assert found.left_out == ("posix.mkdir",)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))  # the trap works
    assert mark.exists()


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "trap.pkl"
    file.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(WeightsError, match="it is a plain pickle, not what torch"):
        read_checkpoint(file)
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_module_is_named(zipped: bool, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"a pickled object \(torch\.nn\.modules\.linear\.Linea"):
        read_checkpoint(tmp_path / "x.pth")
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "y.pth")
    with pytest.raises(WeightsError, match=r"Linear\), not a state dict.*save its state_dict"):
        read_checkpoint(tmp_path / "y.pth")


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    content = {"archive/data.pkl": b"", "archive/constants.pkl": b"", "archive/code/x.py": b""}
    archive(tmp_path / "x.pt", content)
    with pytest.raises(
        WeightsError, match=r"TorchScript archive, which contains code.*safetensors"
    ):
        read_checkpoint(tmp_path / "x.pt")


def archive(path: Path, content: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def test_other_zip_archives_are_named(tmp_path: Path) -> None:
    archive(tmp_path / "x.pth", {"weights.pth": b"x", "readme.txt": b"y"})
    with pytest.raises(WeightsError, match=r"zip archive of 2 files \(weights\.pth, readme\.txt\)"):
        read_checkpoint(tmp_path / "x.pth")


def test_other_archives_are_named(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "x.pth")
    with tarfile.open(tmp_path / "plain.pth", "w") as tar:
        tar.add(tmp_path / "x.pth", "x.pth")
    (tmp_path / "gz.pth").write_bytes(gzip.compress((tmp_path / "x.pth").read_bytes()))
    for name, kind in (("plain.pth", "a tar archive"), ("gz.pth", "a gzip archive")):
        with pytest.raises(WeightsError, match=f"is {kind}, not a checkpoint: unpack it"):
            read_checkpoint(tmp_path / name)


def test_a_format_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "moco.pth.tar")
    save_file(STATE, tmp_path / "model.bin")
    assert same(read_checkpoint(tmp_path / "moco.pth.tar"), STATE)
    assert same(read_checkpoint(tmp_path / "model.bin"), STATE)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("keep", [10, 0.5, 0.95])
def test_a_file_cut_short_is_called_damaged(suffix: str, keep: float, tmp_path: Path) -> None:
    file = tmp_path / f"whole{suffix}"
    big = {"x": torch.rand(100, 100)}
    if suffix == ".pth":
        torch.save(big, file)
    else:
        save_file(big, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    with pytest.raises(WeightsError, match="damaged, incomplete"):
        read_checkpoint(file)


@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_a_file_with_changed_bytes_is_read_or_refused(form: str, tmp_path: Path) -> None:
    path, chance = tmp_path / "x.pth", random.Random(0)
    if form == "safetensors":
        save_file(STATE, path)
    else:
        content = {"model": STATE, "args": argparse.Namespace(lr=0.1)}
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    whole = path.read_bytes()
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(WeightsError):
            state = read_checkpoint(path)
            assert all(x.clone().numel() == x.numel() for x in state.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (bytes(range(256)) * 10, "damaged"),
        (b"", r"is empty \(0 bytes\)"),
        (b'{"error": "Access to model is restricted"}', r"is a text file.*begins .*Access to mod"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 9, "is a PNG image, not a checkpoint"),
        (b"GGUF\3" + bytes(99), "is a GGUF file"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "is a web page"),
        (b"\xff\xfe" + bytes(99), r"it holds a damaged pickle\. It is damaged"),
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
    with pytest.raises(
        WeightsError, match="holds no tensors by name, as a state dict; found: epoch, name"
    ):
        read_checkpoint(tmp_path / "empty.pth")


def test_a_hash_is_that_of_the_content(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    assert sha256_file(file) == hashlib.sha256(b"abc").hexdigest()
    file.write_bytes(b"abcd")
    assert sha256_file(file) == hashlib.sha256(b"abcd").hexdigest()
    assert cached_digest(file, "md5") == hashlib.md5(b"abcd").hexdigest()
    (tmp_path / "shards").mkdir()
    before = cached_digest(tmp_path / "shards", "sha256")
    (tmp_path / "shards" / "model-1.bin").write_bytes(b"abc")
    assert cached_digest(tmp_path / "shards", "sha256") != before


def test_a_file_of_torch_may_be_named_safetensors(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "model.safetensors")
    assert same(read_checkpoint(tmp_path / "model.safetensors"), STATE)
