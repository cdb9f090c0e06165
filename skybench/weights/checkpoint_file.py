"""Checkpoint files: told apart, hashed, and opened without running anything that is in them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import WeightsError, folders
from skybench.weights import torch_format
from skybench.weights.safe_unpickle import Absent, Unreadable

if TYPE_CHECKING:
    from torch import Tensor

CONTAINERS = ("model", "state_dict", "teacher", "net", "module", "encoder", "backbone")
DEEPEST = 4  # containers within containers; a malicious file may hold itself
SUFFIXES = (".pth", ".pt", ".safetensors")
BEGINNINGS = {
    b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive", b"Rar!": "a RAR archive", b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a NumPy array",
}  # fmt: skip


class Checkpoint(NamedTuple):
    """What a file gave."""

    state: dict[str, Tensor]  # without containers; the tensors may be views into the file
    left_out: tuple[str, ...]  # classes of objects in the file that were not made


def sha256_file(path: Path) -> str:
    """The file's sha256; see `digest`."""
    return digest(path, "sha256")


def digest(path: Path, algorithm: str) -> str:
    """The file's sha256 or md5, remembered in the cache by path, size and time of change.

    Of a folder: that of the lines that `sha256sum` prints for its checkpoint files.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
        lines = "".join(f"{digest(p, algorithm)}  {p.name}\n" for p in files)
        return hashlib.new(algorithm, lines.encode()).hexdigest()
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    store = folders.cache() / f"{algorithm}.json"
    try:
        known: dict[str, str] = json.loads(store.read_text())
    except (OSError, ValueError):  # not there yet, or damaged: it can be made again
        known = {}
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, algorithm).hexdigest()
        with contextlib.suppress(OSError):  # a cache that cannot be written costs only time
            store.parent.mkdir(parents=True, exist_ok=True)
            temporary = store.with_name(f"{store.name}.tmp-{os.getpid()}")
            temporary.write_text(json.dumps(known, indent=1))
            temporary.replace(store)
    return known[key]


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The flat state dict of a file, without its container; see `open_checkpoint`."""
    return open_checkpoint(path).state


def open_checkpoint(path: str | Path) -> Checkpoint:
    """The tensors of a file by key; nothing in the file is executed, objects are left out.

    Reads safetensors and what `torch.save` wrote, told apart by content.
    Raises WeightsError, saying what it is: not there, not a checkpoint, damaged, without tensors.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path} {what}; expected a checkpoint file (.pth, .pt, .safetensors)")
    if other := _other(path):
        raise WeightsError(f"{path} {other}")
    root, left_out = _safetensors(path) if _is_safetensors(path) else _torch_file(path)
    return Checkpoint(unwrap(root, str(path)), left_out)


def _other(path: Path) -> str:
    """What a file is that often lies under a checkpoint's name without being one; else ""."""
    with path.open("rb") as file:
        head = file.read(512)
    text = head.lstrip().lower()
    if not head:
        return "is empty (0 bytes): the download or copy did not happen; get it again"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "is a web page, not a checkpoint: the download was answered by a page that asks for a "
            "log-in or a confirmation. Open the address in a browser and save the file"
        )
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer; get the file itself by 'git lfs pull'"
    known = [name for begin, name in BEGINNINGS.items() if head.startswith(begin)]
    if known or head[257:262] == b"ustar":
        kind = known[0] if known else "a tar archive"
        return f"is {kind}, not a checkpoint: unpack it and give the checkpoint that is in it"
    if head.isascii() and head.decode().replace("\n", " ").strip().isprintable():
        return f"is a text file, not a checkpoint; it begins {head[:60].decode()!r}"
    return _other_zip(path) if head.startswith(b"PK") else ""


def _other_zip(path: Path) -> str:
    try:
        names = zipfile.ZipFile(path).namelist()
    except Exception:  # as for `_torch_file`, which will tell
        return ""
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends:
        return (
            "is a TorchScript archive, which is a program and holds objects beside tensors; "
            "skybench runs no code from files. If you trust it, open it with torch.jit.load where "
            "it can do no harm, save its state_dict() with safetensors.torch.save_file, and give "
            "that file"
        )
    if "data.pkl" in ends:
        return ""
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return f"is a zip archive of {len(names)} files ({shown}), not a checkpoint: unpack it first"


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = f"it {error}" if isinstance(error, Unreadable) else repr(error)[:200]
    return WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as a checkpoint: {reason}. It is "
        "damaged, cut short or of another kind; download it again"
    )


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{" or path.suffix == ".safetensors"


def _safetensors(path: Path) -> tuple[Any, tuple[str, ...]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path), ()
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _torch_file(path: Path) -> tuple[Any, tuple[str, ...]]:
    try:
        return torch_format.read(path)
    except Exception as error:  # a parser of foreign bytes fails in ways that none documents
        raise _damaged(path, error) from error


def unwrap(content: Any, origin: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint by key: containers removed, all that is no tensor dropped.

    Where no known container holds tensors, those of several dicts are called "<dict>.<key>".
    """
    state = _tensors(content, DEEPEST) or _parts(content, DEEPEST)
    inner = [content.get(n) for n in CONTAINERS] if isinstance(content, Mapping) else [content]
    whole = [x.name for x in inner if isinstance(x, Absent)]
    if not state and whole:
        raise WeightsError(
            f"{origin} holds one whole object ({whole[0]}), not a state dict; making it would run "
            "code from the file, so skybench does not. If you trust it, load it with its authors' "
            "code, and save its state_dict()"
        )
    if not state:
        keys = content if isinstance(content, Mapping) else [type(content).__name__]
        shown = ", ".join(map(str, list(keys)[:8])) or "nothing"
        raise WeightsError(f"{origin} holds no tensors by name; found: {shown}")
    return state


def _tensors(content: Any, deepest: int) -> dict[str, Tensor]:
    """Those of the first container that has some; else those that lie here."""
    import torch

    if not isinstance(content, Mapping) or not deepest:
        return {}
    for name in CONTAINERS:
        if found := _tensors(content.get(name), deepest - 1):
            return found
    return {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}


def _parts(content: Any, deepest: int) -> dict[str, Tensor]:
    """Those of all dicts that lie here; a single one is a container of an unknown name."""
    import torch

    if not isinstance(content, Mapping) or not deepest:
        return {}
    dicts = {part: inner for part, inner in content.items() if isinstance(inner, Mapping)}
    found = {
        part: {str(k): v for k, v in inner.items() if isinstance(v, torch.Tensor)}
        for part, inner in dicts.items()
    }
    filled = {part: inner for part, inner in found.items() if inner}
    if len(filled) == 1:
        return next(iter(filled.values()))
    if filled:
        return {f"{part}.{k}": v for part, inner in filled.items() for k, v in inner.items()}
    nested = (_parts(content.get(name), deepest - 1) for name in CONTAINERS)
    return next((state for state in nested if state), {})
