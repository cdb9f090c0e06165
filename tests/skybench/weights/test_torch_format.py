from __future__ import annotations

import argparse
import collections
import gc
import io
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skybench.weights import torch_format
from skybench.weights.safe_unpickle import SkippedObject, UnreadableFile

OLD_TYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64,
)  # fmt: skip
NEW_TYPES = (torch.uint16, torch.float8_e4m3fn)  # only since torch 2


def tensors(zipped: bool) -> dict[str, Tensor]:
    big = torch.randn(100, 7)
    shared = {"view": big[3:9, 1:5], "turned": big.T, "expanded": torch.ones(1, 4).expand(3, 4)}
    kinds = OLD_TYPES + (NEW_TYPES if zipped else ())
    every = {str(kind): torch.arange(12).view(3, 4).to(kind) for kind in kinds}
    few = {"none": torch.zeros(0, 3), "scalar": torch.tensor(3.0), "odd": torch.ones(3).bool()}
    return {**every, **shared, **few, "parameter": nn.Parameter(torch.rand(2))}


def save(content: Any, path: Path, zipped: bool, protocol: int = 2) -> Path:
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return path


def raw(x: Tensor) -> bytes:
    return bytes(x.detach().contiguous().flatten().view(torch.uint8).tolist()) if x.numel() else b""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_of_every_kind_are_read(zipped: bool, protocol: int, tmp_path: Path) -> None:
    given = tensors(zipped)
    path = save(collections.OrderedDict(given), tmp_path / "x.pth", zipped, protocol)
    root, left_out = torch_format.read_torch_file(path)
    assert (list(root), left_out) == (list(given), ())
    for key, x in given.items():
        found = root[key]
        assert (found.dtype, found.shape) == (x.dtype, x.shape)
        assert x.ndim == 0 or found.stride() == x.stride()
        assert raw(found) == raw(x), key


def training(zipped: bool) -> dict[str, Any]:
    """What training scripts save."""
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(3)).sum().backward()
    optimizer.step()
    return {
        "state_dict": layer.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3,
        "args": argparse.Namespace(lr=0.1, inner=argparse.Namespace()), "loss": np.float64(0.5),
        "array": np.ones(3), "device": torch.device("cpu"), "type": torch.float16,
        "names": {"a", "b"}, "where": Path("/x"), "size": torch.Size([1, 2]),
        "defaults": collections.defaultdict(list, a=[1]), "module": layer if zipped else None,
    }  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_objects_beside_tensors_are_left_out(zipped: bool, protocol: int, tmp_path: Path) -> None:
    given = training(zipped)
    root, left_out = torch_format.read_torch_file(save(given, tmp_path / "x.pth", zipped, protocol))
    for key, x in given["state_dict"].items():
        assert torch.equal(root["state_dict"][key], x)
    step = root["optimizer"]["state"][0]["exp_avg"]
    assert torch.equal(step, given["optimizer"]["state"][0]["exp_avg"])
    assert root["epoch"] == 3
    assert root["args"] == SkippedObject("argparse.Namespace")
    expected = {"argparse.Namespace", "torch.device", "torch.Size", "collections.defaultdict"}
    assert expected <= set(left_out)
    assert any("scalar" in name for name in left_out)


class Trap:
    """Unpickling it would make a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_of_a_file_runs(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    content = {"x": torch.ones(2), "trap": Trap(mark), "more": [{"deep": Trap(mark)}]}
    path = save(content, tmp_path / "x.pth", zipped)
    root, left_out = torch_format.read_torch_file(path)
    assert left_out == ("posix.mkdir",)
    assert torch.equal(root["x"], torch.ones(2))
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))  # the trap works
    assert mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_changing_a_tensor_does_not_change_the_file(zipped: bool, tmp_path: Path) -> None:
    path = save({"x": torch.zeros(1000)}, tmp_path / "x.pth", zipped)
    before = path.read_bytes()
    first = torch_format.read_torch_file(path).root["x"]
    first.add_(1)
    assert path.read_bytes() == before
    assert torch_format.read_torch_file(path).root["x"].eq(0).all()


def test_tensors_that_share_a_storage_share_it(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    path = save({"whole": whole, "part": whole[2:4]}, tmp_path / "x.pth", True)
    root = torch_format.read_torch_file(path).root
    root["whole"][2] = 9
    assert root["part"].tolist() == [9, 3]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_large_file_is_mapped_in_parts(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_format, "MIN_MAP_BYTES", 1)  # so parts of 4096 bytes
    given = {str(i): torch.full((900 + i,), float(i)) for i in range(60)}
    path = save(given, tmp_path / "x.pth", zipped)
    before = open_files()
    root = torch_format.read_torch_file(path).root
    assert all(torch.equal(root[key], x) for key, x in given.items())
    assert open_files() - before <= 2 * torch_format.MAX_MAPS
    kept = root["30"].clone(), root.pop("30")
    root.clear()
    gc.collect()
    assert torch.equal(*kept)
    assert open_files() - before <= 2  # its own part


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


Change = Callable[[dict[str, bytes]], Mapping[str, bytes]]


def repacked(path: Path, change: Change, how: int = zipfile.ZIP_STORED) -> Path:
    """The archive with other records, written by Python."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in change(records).items():
            archive.writestr(name, data)
    return path


def without(end: str) -> Change:
    return lambda records: {n: d for n, d in records.items() if not n.endswith(end)}


def replaced(end: str, data: bytes) -> Change:
    return lambda records: {n: data if n.endswith(end) else d for n, d in records.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("data.pkl"), r"has no data\.pkl"),
        (without("data/0"), "lacks elements of its storage '0'"),
        (replaced("data/0", b"12345"), "lacks elements of its storage '0'"),
        (replaced("byteorder", b"big"), "another byte order"),
        (replaced("data.pkl", b"\x80\x02}"), "holds a damaged pickle"),
        (lambda records: {**records, "other/data.pkl": b""}, r"has no data\.pkl"),
    ],
)
def test_an_archive_that_is_not_whole_is_refused(change: Change, said: str, tmp_path: Path) -> None:
    path = save({"x": torch.ones(100)}, tmp_path / "x.pth", True)
    assert torch_format.read_torch_file(repacked(path, dict)).root["x"].sum() == 100
    with pytest.raises(UnreadableFile, match=said):
        torch_format.read_torch_file(repacked(path, change))


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    """So that a small file cannot become a large one."""
    path = save({"x": torch.zeros(100_000)}, tmp_path / "x.pth", True)
    with pytest.raises(UnreadableFile, match="compressed"):
        torch_format.read_torch_file(repacked(path, dict, zipfile.ZIP_DEFLATED))


def test_a_record_that_ends_behind_the_file_is_refused(tmp_path: Path) -> None:
    path = save({"x": torch.ones(100)}, tmp_path / "x.pth", True)
    data = bytearray(path.read_bytes())
    for begin in range(len(data) - 4):  # sizes in the archive's list of records
        if data[begin : begin + 4] == b"PK\x01\x02" and b"data/0" in data[begin : begin + 80]:
            data[begin + 20 : begin + 28] = (2**30).to_bytes(4, "little") * 2
    path.write_bytes(data.replace(b"K\x64", b"M\xff\xff"))
    with pytest.raises((UnreadableFile, zipfile.BadZipFile)):
        torch_format.read_torch_file(path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.99])
def test_an_old_file_cut_short_is_refused(keep: float, tmp_path: Path) -> None:
    path = save({"x": torch.ones(1000), "y": torch.ones(3)}, tmp_path / "x.pth", False)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(UnreadableFile, match="cut short"):
        torch_format.read_torch_file(path)


def test_a_plain_pickle_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(UnreadableFile, match="is a plain pickle"):
        torch_format.read_torch_file(tmp_path / "x.pkl")
    whole = io.BytesIO()
    torch.save({"x": torch.ones(1)}, whole)
    (tmp_path / "cut.pth").write_bytes(whole.getvalue()[:200])
    with pytest.raises(UnreadableFile, match="cut short"):
        torch_format.read_torch_file(tmp_path / "cut.pth")
