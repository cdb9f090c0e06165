"""Reader of the formats of `torch.save` that runs no code; tensors are views into the file.

`torch.load(weights_only=True)` reads the same formats, but refuses files with any other object,
which most published training checkpoints have.
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

from skybench.weights.safe_unpickle import PickledStorage, SafeUnpickler, UnreadableFile

if TYPE_CHECKING:
    from torch import Tensor

LEGACY = 0x1950A86A20F9469CFC6C  # the first pickle of files before torch 1.6
MAX_MAPS = 32  # memory maps of a large file, each freed with its last tensor
MIN_MAP_BYTES = 64 << 20  # bytes of a memory map


class Content(NamedTuple):
    """The content of a file."""

    root: Any  # dicts, lists, tuples, plain values, tensors; `SkippedObject` for all else
    left_out: tuple[str, ...]  # the classes and functions of the skipped objects


def read_torch_file(path: Path) -> Content:
    """Read a file in either of torch's formats.

    Raises UnreadableFile, or any other exception, where it is damaged or of another format.
    """
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            return _zipped(file)
        file.seek(0)
        if file.read(2) == b"PK":
            raise UnreadableFile("was cut short: the list of its records, at its end, is missing")
        return _legacy(file)


class _Mapped:
    """Tensors on the memory-mapped bytes of a file; changes to them do not reach the file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, file.seek(0, io.SEEK_END)
        unit = mmap.ALLOCATIONGRANULARITY
        self.step = max(MIN_MAP_BYTES, -(-self.size // MAX_MAPS // unit) * unit)
        self.shared: weakref.WeakValueDictionary[int, mmap.mmap] = weakref.WeakValueDictionary()

    def flat(self, start: int, stored: PickledStorage) -> Tensor:
        """Return the elements of a storage, [numel]; start: its first byte in the file."""
        import torch

        width = stored.dtype.itemsize
        end = start + stored.numel * width
        if not start <= end <= self.size:
            raise UnreadableFile(f"was cut short: it has {self.size:,} of at least {end:,} bytes")
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
    """Read the format since torch 1.6: a zip archive of data.pkl and one record per storage."""
    with zipfile.ZipFile(file) as archive:
        records = {info.filename: info for info in archive.infolist()}
    programs = [name for name in records if name.rpartition("/")[2] == "data.pkl"]
    if len(programs) != 1:
        raise UnreadableFile("has no data.pkl, which torch.save writes")
    mapped, folder = _Mapped(file), programs[0].removesuffix("data.pkl")
    order = records.get(f"{folder}byteorder")
    if order and _content(file, order, mapped.size) != sys.byteorder.encode():
        raise UnreadableFile("was written on a machine of another byte order")
    tensors: dict[tuple[str, str], Tensor] = {}

    def flat(stored: PickledStorage) -> Tensor:
        key = stored.key, str(stored.dtype)
        if key not in tensors:
            record = records.get(f"{folder}data/{stored.key}")
            if record is None or record.file_size < stored.numel * stored.dtype.itemsize:
                raise UnreadableFile(f"lacks elements of its storage {stored.key!r}")
            tensors[key] = mapped.flat(_start(file, record), stored)
        return tensors[key]

    machine = SafeUnpickler(io.BytesIO(_content(file, records[programs[0]], mapped.size)), flat)
    return Content(machine.load(), tuple(machine.left_out))


def _start(file: BinaryIO, record: zipfile.ZipInfo) -> int:
    """Return the offset of a record's bytes."""
    if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1:
        raise UnreadableFile("has compressed or encrypted records, which torch.save does not write")
    file.seek(record.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(30))
    return record.header_offset + 30 + int(name) + int(extra)


def _content(file: BinaryIO, record: zipfile.ZipInfo, size: int) -> bytes:
    start = _start(file, record)
    if start + record.file_size > size:
        raise UnreadableFile("was cut short")
    file.seek(start)
    return file.read(record.file_size)


def _legacy(file: BinaryIO) -> Content:
    """Read the format before torch 1.6: five pickles, then the elements of each storage."""
    import torch

    def shape_only(stored: PickledStorage) -> Tensor:
        return torch.empty(stored.numel, dtype=stored.dtype, device="meta")

    file.seek(0)
    if SafeUnpickler(file, shape_only).load() != LEGACY:
        raise UnreadableFile("is a plain pickle, not what torch.save writes")
    for _ in range(2):  # the format's version, the system
        SafeUnpickler(file, shape_only).load()
    begin = file.tell()
    first = SafeUnpickler(file, shape_only)
    first.load()  # the storages' offsets follow only after it
    starts = _starts(file, SafeUnpickler(file, shape_only).load(), first.storages)
    mapped = _Mapped(file)
    tensors: dict[str, Tensor] = {}

    def flat(stored: PickledStorage) -> Tensor:
        if stored.key not in tensors:
            tensors[stored.key] = mapped.flat(starts[stored.key], first.storages[stored.key])
        return tensors[stored.key]

    file.seek(begin)
    machine = SafeUnpickler(file, flat)
    return Content(machine.load(), tuple(machine.left_out))


def _starts(
    file: BinaryIO, keys: list[str], storages: Mapping[str, PickledStorage]
) -> dict[str, int]:
    """Return the offset of each storage's elements, which follow their count."""
    starts, at = {}, file.tell()
    for key in keys:
        stored = storages[key]
        file.seek(at)
        if int.from_bytes(file.read(8), "little") != stored.numel:
            raise UnreadableFile(f"was cut short, or its storage {key!r} has a wrong length")
        starts[key] = at + 8
        at += 8 + stored.numel * stored.dtype.itemsize
    return starts
