"""Checkpoint files: format detection, hashes, and reading without running code from the file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import WeightsError, folders
from skybench.core.atomic import write_whole
from skybench.weights import torch_format
from skybench.weights.safe_unpickle import SkippedObject, UnreadableFile

if TYPE_CHECKING:
    from torch import Tensor

CONTAINERS = ("model", "state_dict", "teacher", "net", "module", "encoder", "backbone")
DEEPEST = 4  # levels of nested containers; a malicious file may contain itself
SUFFIXES = (".pth", ".pt", ".safetensors")
MAGIC_BYTES = {
    b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive", b"Rar!": "a RAR archive", b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a NumPy array",
}  # fmt: skip


class Checkpoint(NamedTuple):
    """The content of a checkpoint file."""

    state: dict[str, Tensor]  # without containers; its tensors may be views into the file
    left_out: tuple[str, ...]  # classes of other objects in the file, which were skipped


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file; see `cached_digest`."""
    return cached_digest(path, "sha256")


def cached_digest(path: Path, algorithm: str) -> str:
    """Return the sha256 or md5 of a file, cached by path, size and modification time.

    For a folder: the digest of the lines that `sha256sum` prints for its checkpoint files.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
        lines = "".join(f"{cached_digest(p, algorithm)}  {p.name}\n" for p in files)
        return hashlib.new(algorithm, lines.encode()).hexdigest()
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    store = folders.cache() / f"{algorithm}.json"
    try:
        known: dict[str, str] = json.loads(store.read_text())
    except (OSError, ValueError):  # missing or damaged; it can be made again
        known = {}
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, algorithm).hexdigest()
        # Without a cache it only takes longer.
        with contextlib.suppress(OSError), write_whole(store) as temporary:
            temporary.write_text(json.dumps(known, indent=1))
    return known[key]


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict of a file, without its container; see `open_checkpoint`."""
    return open_checkpoint(path).state


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Read the tensors of a file; no code from it is run, and other objects are skipped.

    The file may be in the format of safetensors or of `torch.save`, detected by content.
    Raises WeightsError where it is missing, damaged, without tensors, or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path} {what}; expected a checkpoint file (.pth, .pt, .safetensors)")
    if other := _other_kind(path):
        raise WeightsError(f"{path} {other}")
    root, left_out = _safetensors(path) if _is_safetensors(path) else _torch_file(path)
    return Checkpoint(unwrap_state(root, str(path)), left_out)


def _other_kind(path: Path) -> str:
    """Return what a file is that is often mistaken for a checkpoint; "" for other files."""
    with path.open("rb") as file:
        head = file.read(512)
    text = head.lstrip().lower()
    if not head:
        return "is empty (0 bytes): the download or copy failed; get it again"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "is a web page, not a checkpoint: the server answered with a page that asks for a "
            "log-in or a confirmation. Open the address in a browser and save the file"
        )
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer; get the file itself with 'git lfs pull'"
    known = [name for begin, name in MAGIC_BYTES.items() if head.startswith(begin)]
    if known or head[257:262] == b"ustar":
        kind = known[0] if known else "a tar archive"
        return f"is {kind}, not a checkpoint: unpack it and give the checkpoint in it"
    if head.isascii() and head.decode().replace("\n", " ").strip().isprintable():
        return f"is a text file, not a checkpoint; it begins {head[:60].decode()!r}"
    return _other_zip(path) if head.startswith(b"PK") else ""


def _other_zip(path: Path) -> str:
    try:
        names = zipfile.ZipFile(path).namelist()
    except Exception:  # `_torch_file` will report it
        return ""
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends:
        return (
            "is a TorchScript archive, which contains code, and skybench runs no code from files. "
            "If you trust it, open it with torch.jit.load in a sandbox, save its state_dict() "
            "with safetensors.torch.save_file, and give that file"
        )
    if "data.pkl" in ends:
        return ""
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return f"is a zip archive of {len(names)} files ({shown}), not a checkpoint: unpack it first"


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = f"it {error}" if isinstance(error, UnreadableFile) else repr(error)[:200]
    return WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as a checkpoint: {reason}. It is "
        "damaged, incomplete or of another format; download it again"
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
        return torch_format.read_torch_file(path)
    except Exception as error:  # a parser of arbitrary bytes may raise anything
        raise _damaged(path, error) from error


def unwrap_state(content: Any, origin: str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by key, without containers and other objects.

    Where no known container has tensors, those of several dicts are named "<dict>.<key>".
    Raises WeightsError where there are no tensors; origin: the file, for the message.
    """
    state = _tensors(content, DEEPEST) or _parts(content, DEEPEST)
    inner = [content.get(n) for n in CONTAINERS] if isinstance(content, Mapping) else [content]
    pickled = [x.name for x in inner if isinstance(x, SkippedObject)]
    if not state and pickled:
        raise WeightsError(
            f"{origin} holds a pickled object ({pickled[0]}), not a state dict; loading it would "
            "run code from the file, so skybench does not. If you trust it, load it with its "
            "authors' code, save its state_dict(), and give that file"
        )
    if not state:
        keys = content if isinstance(content, Mapping) else [type(content).__name__]
        shown = ", ".join(map(str, list(keys)[:8])) or "nothing"
        raise WeightsError(f"{origin} holds no tensors by name, as a state dict; found: {shown}")
    return state


def _tensors(content: Any, deepest: int) -> dict[str, Tensor]:
    """Return the tensors of the first container that has some, else those at this level."""
    import torch

    if not isinstance(content, Mapping) or not deepest:
        return {}
    for name in CONTAINERS:
        if inner := _tensors(content.get(name), deepest - 1):
            return inner
    return {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}


def _parts(content: Any, deepest: int) -> dict[str, Tensor]:
    """Return the tensors of all dicts at this level; a single dict is an unknown container."""
    import torch

    if not isinstance(content, Mapping) or not deepest:
        return {}
    dicts = {part: inner for part, inner in content.items() if isinstance(inner, Mapping)}
    tensors = {
        part: {str(k): v for k, v in inner.items() if isinstance(v, torch.Tensor)}
        for part, inner in dicts.items()
    }
    filled = {part: inner for part, inner in tensors.items() if inner}
    if len(filled) == 1:
        return next(iter(filled.values()))
    if filled:
        return {f"{part}.{k}": v for part, inner in filled.items() for k, v in inner.items()}
    nested = (_parts(content.get(name), deepest - 1) for name in CONTAINERS)
    return next((state for state in nested if state), {})
