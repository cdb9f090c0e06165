"""Checkpoints of a training: atomic files from which it goes on bit by bit as if never stopped."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

EVERY = 300.0  # seconds between checkpoints; a killed training loses at most these
SPARE = 1e9  # bytes of the disk that a checkpoint leaves free
LAST, BEST, KEPT = "last.pt", "best.pt", "weights.pt"


class Keeper:
    """The checkpoints in a folder; without a folder none, and the best state is kept in memory.

    Of several processes one writes; all read.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any], writes: bool) -> None:
        self.folder, self.identity, self.writes = folder, dict(identity), writes
        self.written = time.monotonic()
        self.kept: dict[str, Tensor] | None = None

    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for another."""
        due = time.monotonic() - self.written >= EVERY
        return due and self.writes and self.folder is not None

    def save(self, state: Mapping[str, Any]) -> str:
        """Writes the last state; "" or why not."""
        self.written = time.monotonic()
        return self._write(LAST, {"identity": self.identity, **state})

    def load(self) -> tuple[dict[str, Any] | None, str]:
        """The last state, None if there is none that fits, and why one was not taken."""
        path = self.folder and self.folder / LAST
        if not path or not path.is_file():
            return None, ""
        try:
            # Tensors and plain values only: no code of the file runs.
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            return None, f"{path} cannot be read ({type(error).__name__}); training starts anew"
        if state.pop("identity", None) != self.identity:
            return None, f"{path} is of another training; training starts anew"
        return state, ""

    def save_best(self, state: Mapping[str, Tensor]) -> None:
        """Keeps the numbers of the best state so far."""
        copy = {name: value.detach().cpu().clone() for name, value in state.items()}
        if not self.writes or self._write(BEST, copy):
            self.kept = copy

    def best(self) -> dict[str, Tensor]:
        """What `save_best` got last."""
        path = self.folder and self.folder / BEST
        if self.kept is not None or not path or not path.is_file():
            return self.kept or {}
        loaded: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded

    def keep(self, state: Mapping[str, Tensor]) -> None:
        """Writes what was trained, to stay."""
        self._write(KEPT, state)

    def _write(self, name: str, state: Mapping[str, Any]) -> str:
        """Whole or not at all; "" or why not."""
        if self.folder is None or not self.writes:
            return "no folder"
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = _bytes(state), shutil.disk_usage(self.folder).free
        if needed + SPARE > free:
            return f"a checkpoint needs {needed / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB"
        temporary = self.folder / f"{name}.tmp-{uuid.uuid4().hex}"
        try:
            with temporary.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)
        return ""


def clear(folder: Path) -> None:
    """Removes a training's checkpoints, of broken writes too; its log stays."""
    for path in [folder / LAST, folder / BEST, *folder.glob("*.pt.tmp-*")]:
        path.unlink(missing_ok=True)


def _bytes(state: Any) -> int:
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, Mapping) else state
    return sum(map(_bytes, parts)) if isinstance(state, Mapping | list | tuple) else 0


def numbers(modules: Mapping[str, nn.Module | None]) -> dict[str, Tensor]:
    """All parameters and buffers of some modules, by "module/name"."""
    return {
        f"{which}/{name}": value
        for which, module in modules.items()
        if module is not None
        for name, value in module.state_dict().items()
    }


def put(modules: Mapping[str, nn.Module | None], state: Mapping[str, Tensor]) -> None:
    """Loads what `numbers` gave."""
    for which, module in modules.items():
        if module is not None:
            start = f"{which}/"
            module.load_state_dict(
                {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            )


def draws() -> dict[str, Any]:
    """The states of torch's generators, of this process."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def put_draws(state: Mapping[str, Any]) -> None:
    """Sets what `draws` gave."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
