"""Reads what `torch.save` wrote, without running any of it; tensors are views into the file.

`torch.load(weights_only=True)` reads the same formats, but refuses a file for any other object in
it, and most published training checkpoints hold some.
Source of the formats: github:pytorch/pytorch torch/serialization.py (`_load`, `_legacy_load`).
"""

from __future__ import annotations

import io
import mmap
import struct
import sys
import weakref
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from skybench.weights.safe_unpickle import Machine, Stored, Unreadable

if TYPE_CHECKING:
    from torch import Tensor

LEGACY = 0x1950A86A20F9469CFC6C  # the first pickle of a file before torch 1.6
PARTS = 32  # that a large file is mapped in, each freed with its last tensor
LEAST = 64 << 20  # bytes of a part


class Content(NamedTuple):
    """What a file holds."""

    root: Any  # dicts, lists, tuples, plain values, tensors; `unpickle.Absent` for all else
    left_out: tuple[str, ...]  # the classes and functions whose objects are absent


def read(path: Path) -> Content:
    """The content of a file in either of torch's formats.

    Raises Unreadable, or another exception, where the file is damaged or of another kind.
    """
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            return _zipped(file)
        file.seek(0)
        if file.read(2) == b"PK":
            raise Unreadable("was cut short: the list of its records, at its end, is missing")
        return _legacy(file)


class _Mapped:
    """A file's bytes as tensors. A tensor that is changed does not change the file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, file.seek(0, io.SEEK_END)
        unit = mmap.ALLOCATIONGRANULARITY
        self.step = max(LEAST, -(-self.size // PARTS // unit) * unit)
        self.shared: weakref.WeakValueDictionary[int, mmap.mmap] = weakref.WeakValueDictionary()

    def flat(self, start: int, stored: Stored) -> Tensor:
        """The elements of a storage that begins at a byte."""
        import torch

        width = stored.dtype.itemsize
        end = start + stored.numel * width
        if not start <= end <= self.size:
            raise Unreadable(f"was cut short: it has {self.size:,} bytes, but should have {end:,}")
        if start == end:
            return torch.empty(0, dtype=stored.dtype)
        part, last = start // self.step, (end - 1) // self.step
        mapping = self.shared.get(part) if part == last else None
        if mapping is None:
            begin, until = part * self.step, min(self.size, (last + 1) * self.step)
            mapping = mmap.mmap(
                self.file.fileno(), until - begin, access=mmap.ACCESS_COPY, offset=begin
            )
            if part == last:
                self.shared[part] = mapping
        offset = start - part * self.step
        raw = torch.frombuffer(mapping, dtype=torch.uint8, count=end - start, offset=offset)
        return (raw if start % width == 0 else raw.clone()).view(stored.dtype)


def _zipped(file: BinaryIO) -> Content:
    """The format since torch 1.6: a zip archive of data.pkl and one record a storage."""
    with zipfile.ZipFile(file) as archive:
        records = {info.filename: info for info in archive.infolist()}
    programs = [name for name in records if name.rpartition("/")[2] == "data.pkl"]
    if len(programs) != 1:
        raise Unreadable("has no data.pkl, which torch.save writes")
    mapped, folder = _Mapped(file), programs[0].removesuffix("data.pkl")
    order = records.get(f"{folder}byteorder")
    if order and _content(file, order, mapped.size) != sys.byteorder.encode():
        raise Unreadable("was written on a machine of another byte order")
    made: dict[tuple[str, str], Tensor] = {}

    def flat(stored: Stored) -> Tensor:
        key = stored.key, str(stored.dtype)
        if key not in made:
            record = records.get(f"{folder}data/{stored.key}")
            if record is None or record.file_size < stored.numel * stored.dtype.itemsize:
                raise Unreadable(f"lacks elements of its storage {stored.key!r}")
            made[key] = mapped.flat(_start(file, record), stored)
        return made[key]

    machine = Machine(io.BytesIO(_content(file, records[programs[0]], mapped.size)), flat)
    return Content(machine.load(), tuple(machine.left_out))


def _start(file: BinaryIO, record: zipfile.ZipInfo) -> int:
    """Where a record's bytes begin."""
    if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1:
        raise Unreadable("has compressed or encrypted records, which torch.save does not write")
    file.seek(record.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(30))
    return record.header_offset + 30 + int(name) + int(extra)


def _content(file: BinaryIO, record: zipfile.ZipInfo, size: int) -> bytes:
    start = _start(file, record)
    if start + record.file_size > size:
        raise Unreadable("was cut short")
    file.seek(start)
    return file.read(record.file_size)


def _legacy(file: BinaryIO) -> Content:
    """The format before torch 1.6: five pickles in a row, then the numbers of each storage."""
    import torch

    def shape_only(stored: Stored) -> Tensor:
        return torch.empty(stored.numel, dtype=stored.dtype, device="meta")

    file.seek(0)
    if Machine(file, shape_only).load() != LEGACY:
        raise Unreadable("is a plain pickle, not what torch.save writes")
    for _ in range(2):  # the format's version, the system
        Machine(file, shape_only).load()
    begin = file.tell()
    first = Machine(file, shape_only)
    first.load()  # where the numbers lie stands only behind it
    starts = _starts(file, Machine(file, shape_only).load(), first.storages)
    mapped = _Mapped(file)
    made: dict[str, Tensor] = {}

    def flat(stored: Stored) -> Tensor:
        if stored.key not in made:
            made[stored.key] = mapped.flat(starts[stored.key], first.storages[stored.key])
        return made[stored.key]

    file.seek(begin)
    machine = Machine(file, flat)
    return Content(machine.load(), tuple(machine.left_out))


def _starts(file: BinaryIO, keys: list[str], storages: Mapping[str, Stored]) -> dict[str, int]:
    """Where each storage's numbers begin; their count stands before them."""
    starts, at = {}, file.tell()
    for key in keys:
        stored = storages[key]
        file.seek(at)
        if int.from_bytes(file.read(8), "little") != stored.numel:
            raise Unreadable(f"was cut short, or its storage {key!r} has another length than told")
        starts[key] = at + 8
        at += 8 + stored.numel * stored.dtype.itemsize
    return starts
