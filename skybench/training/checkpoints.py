"""Checkpoints: atomic files from which a training resumes with bit-identical results."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import SkybenchError, Workers, loaded
from skybench.core.atomic import write_whole
from skybench.core.lock import SILENT, hold_lock

EVERY = 300.0  # seconds between checkpoints; a killed training loses at most this time
SPARE = 1e9  # bytes of disk space that a checkpoint must leave free
LAST, BEST, KEPT_FILE = "last.pt", "best.pt", "weights.pt"


class Checkpoints:
    """The checkpoints of a training in a folder; without one, only the best state, in memory.

    In distributed training rank 0 writes and all ranks read.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any], writes: bool) -> None:
        self.folder, self.identity, self.writes = folder, dict(identity), writes
        self.written = time.monotonic()
        self.best_in_memory: dict[str, Tensor] | None = None

    def is_due(self) -> bool:
        """Whether it is time for another checkpoint."""
        due = time.monotonic() - self.written >= EVERY
        return due and self.writes and self.folder is not None

    def save(self, state: Mapping[str, Any]) -> str:
        """Write the last state; return "" or why it was not written."""
        self.written = time.monotonic()
        return self._write(LAST, {"identity": self.identity, **state})

    def load(self) -> tuple[dict[str, Any] | None, str]:
        """Return the last state, or None, and why a checkpoint was rejected."""
        path = self.folder and self.folder / LAST
        if not path or not path.is_file():
            return None, ""
        try:
            # Tensors and plain values only: no code of the file runs.
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            return None, f"{path} cannot be read ({type(error).__name__}); training starts anew"
        identity = state.pop("identity", None) or {}
        identity.pop("processes", None)  # of former versions: a training may go on in fewer or more
        if identity != self.identity:
            return None, f"{path} is of another training; training starts anew"
        if state.get("progress", {}).get("scores") and not path.with_name(BEST).is_file():
            return None, f"the best state beside {path} is gone; training starts anew"
        return state, ""

    def save_best(self, state: Mapping[str, Tensor]) -> None:
        """Store the parameters and buffers of the best state so far."""
        copy = {name: value.detach().cpu().clone() for name, value in state.items()}
        self.best_in_memory = copy if not self.writes or self._write(BEST, copy) else None
        if self.best_in_memory and self.writes and self.folder:
            with contextlib.suppress(OSError):  # an older best state would be stale
                (self.folder / BEST).unlink(missing_ok=True)

    def best(self) -> dict[str, Tensor]:
        """Return the state last passed to `save_best`. Raises SkybenchError if its file is gone."""
        path = self.folder and self.folder / BEST
        if self.best_in_memory is not None or not path:
            return self.best_in_memory or {}
        if not path.is_file():
            raise SkybenchError(f"{path} was removed while training ran; give the command again")
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def save_weights(self, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
        """Write the trained parameters to weights.pt; return "" or why they were not written.

        about: plain values and tensors about the training, for `skybench.weights.kept`.
        """
        return self._write(KEPT_FILE, {loaded.KEPT: dict(about), **state}) if self.writes else ""

    def _write(self, name: str, state: Mapping[str, Any]) -> str:
        """Write a state whole or not at all; return "" or why it was not written."""
        if self.folder is None or not self.writes:
            return "no folder"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            needed, free = _bytes(state), shutil.disk_usage(self.folder).free
            if needed + SPARE > free:
                return f"a checkpoint needs {needed / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB"
            path = self.folder / name
            with write_whole(path, sync=True) as temporary, temporary.open("wb") as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:  # torch turns a full disk into RuntimeError
            return f"{self.folder / name} cannot be written: {error}".splitlines()[0]
        return ""


@contextlib.contextmanager
def training_lock(folder: Path, workers: Workers) -> Iterator[str]:
    """Lock a training folder against other runs; give "", or who holds the lock.

    The lock is a file beside the folder, see `hold_lock`. In distributed training rank 0 locks for
    all. Nothing is locked where the file cannot be written, as on a full disk.
    """
    busy = ""
    with contextlib.ExitStack() as stack:
        if not workers.rank:
            with contextlib.suppress(OSError):
                path = folder.with_name(f"{folder.name}.lock")
                busy = stack.enter_context(hold_lock(path))
        if busy := workers.gather(busy)[0]:
            busy = (
                f"another run trains this cell in {folder} ({busy}); wait for it "
                f"({SILENT / 60:.0f} minutes if its machine has died), or give --results another "
                "folder"
            )
        yield busy


def remove_checkpoints(folder: Path) -> None:
    """Remove a training's checkpoints and files of interrupted writes; its log stays."""
    unfinished = (*folder.glob(".*.tmp"), *folder.glob("*.tmp-*"))  # the latter of former versions
    for path in (folder / LAST, folder / BEST, *unfinished):
        path.unlink(missing_ok=True)


def _bytes(state: Any) -> int:
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, Mapping) else state
    return sum(map(_bytes, parts)) if isinstance(state, Mapping | list | tuple) else 0


def state_of(modules: Mapping[str, nn.Module | None]) -> dict[str, Tensor]:
    """Return all parameters and buffers of some modules, by "module/name"."""
    return {
        f"{which}/{name}": value
        for which, module in modules.items()
        if module is not None
        for name, value in module.state_dict().items()
    }


def load_states(modules: Mapping[str, nn.Module | None], state: Mapping[str, Tensor]) -> None:
    """Load the states that `state_of` returned."""
    for which, module in modules.items():
        if module is not None:
            start = f"{which}/"
            module.load_state_dict(
                {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            )


def fork_rng(device: str) -> contextlib.AbstractContextManager[None]:
    """Return a context after which torch's generators of the CPU and of a device are as before.

    Of this device alone: torch's default forks those of all GPUs and warns where there are several.
    """
    used = torch.device(device)
    return torch.random.fork_rng([] if used.type == "cpu" else [used], device_type=used.type)


def rng_states() -> dict[str, Any]:
    """Return the states of torch's random generators, of the CPU and of the GPU in use."""
    # Of this GPU alone: a context on each visible one takes memory, and it may be another that is
    # visible when the training resumes.
    cuda = [torch.cuda.get_rng_state()] if _uses_gpu() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_states(state: Mapping[str, Any]) -> None:
    """Set the states that `rng_states` returned."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and _uses_gpu():
        # Former checkpoints have a state for each GPU that was visible.
        own = min(torch.cuda.current_device(), len(state["cuda"]) - 1)
        torch.cuda.set_rng_state(state["cuda"][own])


def _uses_gpu() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
