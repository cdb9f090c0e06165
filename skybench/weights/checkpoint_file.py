"""Checkpoint files: format detection, hashes, and reading without running code from the file."""

from __future__ import annotations

import codecs
import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import WeightsError
from skybench.core.file_hash import file_digest
from skybench.weights import containers, torch_format
from skybench.weights.kept import KeptWeights, read_kept
from skybench.weights.safe_unpickle import UnreadableFile

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".pth", ".pt", ".safetensors", ".bin", ".ckpt")
ARCHIVES = {
    b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive", b"Rar!": "a RAR archive", b"\x28\xb5\x2f\xfd": "a zstd archive",
}  # fmt: skip
OTHER_FORMATS = {
    b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a NumPy array", b"GGUF": "a GGUF file",
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"%PDF": "a PDF document",
    b"II*\0": "a TIFF image", b"MM\0*": "a TIFF image",
}  # fmt: skip


class Checkpoint(NamedTuple):
    """The content of a checkpoint file."""

    state: dict[str, Tensor]  # without containers; its tensors may be views into the file
    left_out: tuple[str, ...]  # classes of other objects in the file, which were skipped
    container: str = ""  # of the state dict, as "checkpoint.model"; "" for a flat file
    others: str = ""  # other sets of weights in the file, as "model_ema (ema)"
    kept: KeptWeights | None = None  # of a file that `--keep-weights` wrote


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file; see `cached_digest`."""
    return cached_digest(path, "sha256")


def cached_digest(path: Path, algorithm: str) -> str:
    """Return the sha256 or md5 of a file, remembered; see `skybench.core.file_hash`.

    For a folder: the digest of the lines that `sha256sum` prints for its checkpoint files.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
        lines = "".join(f"{cached_digest(p, algorithm)}  {p.name}\n" for p in files)
        return hashlib.new(algorithm, lines.encode()).hexdigest()
    return file_digest(path, algorithm)


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict of a file, without its container; see `open_checkpoint`."""
    return open_checkpoint(path).state


def open_checkpoint(path: str | Path, which: str = "", usual: str = "") -> Checkpoint:
    """Read the tensors of a file; no code from it is run, and other objects are skipped.

    The file may be in the format of safetensors or of `torch.save`, detected by content. which,
    usual: the choice among several sets of weights, see `containers.choose_state`.
    Raises WeightsError where it is missing, damaged, without tensors, or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path} {what}; expected a checkpoint file (.pth, .pt, .safetensors)")
    if other := _other_kind(path):
        raise WeightsError(f"{path} {other}")
    root, left_out = _safetensors(path) if _is_safetensors(path) else _torch_file(path)
    if kept := read_kept(root, str(path)):
        return Checkpoint(kept[0], left_out, kept=kept[1])
    found = containers.choose_state(root, str(path), which, usual)
    return Checkpoint(found.state, left_out, found.path, found.others)


def _other_kind(path: Path) -> str:
    """Return what a file is that is often mistaken for a checkpoint; "" for other files."""
    with path.open("rb") as file:
        head = file.read(512)
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if not head:
        return "is empty (0 bytes): the download or copy failed; get it again"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "is a web page, not a checkpoint: the server answered with a page that asks for a "
            "log-in or a confirmation. Open the address in a browser and save the file"
        )
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer; get the file itself with 'git lfs pull'"
    for begin, kind in OTHER_FORMATS.items():
        if head.startswith(begin):
            return f"is {kind}, not a checkpoint in the format of torch.save or safetensors"
    known = [name for begin, name in ARCHIVES.items() if head.startswith(begin)]
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
    count = f"{len(names)} file" + ("" if len(names) == 1 else "s")
    return f"is a zip archive of {count} ({shown}), not a checkpoint: unpack it first"


def _damaged(path: Path, error: Exception) -> WeightsError:
    known = isinstance(error, UnreadableFile)
    reason = f"it {error}" if known else "its records do not fit together, or do not fill it"
    return WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as a checkpoint: {reason}. It is "
        "damaged, incomplete or of another format; download it again"
    )


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    torch_saved = head.startswith((b"PK", b"\x80"))  # a zip archive, a pickle
    return head[8:] == b"{" or (path.suffix == ".safetensors" and not torch_saved)


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
