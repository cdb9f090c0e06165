"""Checkpoint files: told apart, hashed, and opened without running anything that is in them."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench import places
from skybench.core import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

CONTAINERS = ("model", "state_dict", "teacher", "net", "module", "encoder", "backbone")
SUFFIXES = (".pth", ".pt", ".safetensors")
HARMLESS = (argparse.Namespace,)  # many training scripts store their options; it only holds data


def sha256_file(path: Path) -> str:
    """The file's sha256, remembered in the cache by path, size and time of change.

    Of a folder: the sha256 of the lines that `sha256sum` prints for its checkpoint files.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
        lines = "".join(f"{sha256_file(p)}  {p.name}\n" for p in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
    store = places.cache() / "sha256.json"
    try:
        known: dict[str, str] = json.loads(store.read_text())
    except (OSError, ValueError):  # not there yet, or damaged: it can be made again
        known = {}
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        with contextlib.suppress(OSError):  # a cache that cannot be written costs only time
            store.parent.mkdir(parents=True, exist_ok=True)
            temporary = store.with_name(f"{store.name}.tmp-{os.getpid()}")
            temporary.write_text(json.dumps(known, indent=1))
            temporary.replace(store)
    return known[key]


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The flat state dict of a file, without its container; nothing in the file is executed.

    Reads safetensors by suffix, else what `torch.save` wrote, tensors and plain data only.
    Raises WeightsError: not there, not a checkpoint, damaged, or holding objects.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path} {what}; expected a checkpoint file (.pth, .pt, .safetensors)")
    _look(path)
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    return unwrap(content, str(path))


def _look(path: Path) -> None:
    """Recognises what often lies under a checkpoint's name without being one."""
    with path.open("rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(
            f"{path} is a web page, not a checkpoint: the download was answered by a page that "
            "asks for a log-in or a confirmation. Open the address in a browser and save the file"
        )
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer; get the file itself by 'git lfs pull'")


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = str(error).strip().split("\n")[0][:200] or repr(error)
    return WeightsError(
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as a checkpoint: {reason}. It is "
        "damaged, cut short or of another kind; download it again"
    )


def _safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _torch_file(path: Path) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals(list(HARMLESS)):
            return torch.load(
                path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path)
            )
    except Exception as error:  # a parser of foreign bytes fails in ways that none documents
        wanted = re.search(r"GLOBAL (\S+)|(TorchScript)", str(error))
        if wanted is None:
            raise _damaged(path, error) from error
        raise WeightsError(
            f"{path} holds objects beside tensors ({wanted[1] or wanted[2]}); opening them would "
            "run code from the file, so skybench does not. If you trust the file, load it where "
            "it can do no harm, save its state dict with safetensors.torch.save_file, and give "
            "skybench that file"
        ) from error


def unwrap(content: Any, origin: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint by key: containers removed, all that is no tensor dropped."""
    state = _tensors(content)
    if not state:
        keys = content if isinstance(content, Mapping) else [type(content).__name__]
        shown = ", ".join(map(str, list(keys)[:8])) or "nothing"
        raise WeightsError(f"{origin} holds no tensors by name; found: {shown}")
    return state


def _tensors(content: Any) -> dict[str, Tensor]:
    import torch

    if not isinstance(content, Mapping):
        return {}
    for name in CONTAINERS:
        if found := _tensors(content.get(name)):
            return found
    return {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
