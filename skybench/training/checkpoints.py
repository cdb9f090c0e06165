"""Checkpoints of a training: atomic files from which it goes on bit by bit as if never stopped."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import SkybenchError, Workers

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
        if state.get("progress", {}).get("scores") and not path.with_name(BEST).is_file():
            return None, f"the best state beside {path} is gone; training starts anew"
        return state, ""

    def save_best(self, state: Mapping[str, Tensor]) -> None:
        """Keeps the numbers of the best state so far."""
        copy = {name: value.detach().cpu().clone() for name, value in state.items()}
        self.kept = copy if not self.writes or self._write(BEST, copy) else None
        if self.kept and self.writes and self.folder:
            with contextlib.suppress(OSError):  # an older one must not be taken for it
                (self.folder / BEST).unlink(missing_ok=True)

    def best(self) -> dict[str, Tensor]:
        """What `save_best` got last. Raises SkybenchError where its file was removed."""
        path = self.folder and self.folder / BEST
        if self.kept is not None or not path:
            return self.kept or {}
        if not path.is_file():
            raise SkybenchError(f"{path} was removed while training ran; give the command again")
        loaded: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded

    def keep(self, state: Mapping[str, Tensor]) -> str:
        """Writes what was trained, to stay; "" or why not."""
        return self._write(KEPT, state) if self.writes else ""

    def _write(self, name: str, state: Mapping[str, Any]) -> str:
        """Whole or not at all; "" or why not."""
        if self.folder is None or not self.writes:
            return "no folder"
        temporary = self.folder / f"{name}.tmp-{uuid.uuid4().hex}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            needed, free = _bytes(state), shutil.disk_usage(self.folder).free
            if needed + SPARE > free:
                return f"a checkpoint needs {needed / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB"
            with temporary.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.folder / name)
        except (OSError, RuntimeError) as error:  # a quota, say; torch has its own kind for it
            return f"{self.folder / name} cannot be written: {error}".splitlines()[0]
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return ""


@contextlib.contextmanager
def alone(folder: Path, workers: Workers) -> Iterator[str]:
    """Gives "" and keeps other runs from training in a folder meanwhile; else says which one does.

    Of several processes the first locks for all. A killed one's lock ends with it.
    """
    with contextlib.ExitStack() as held:
        busy = "" if workers.rank else _lock(folder, held)
        yield workers.gather(busy)[0]


def _lock(folder: Path, held: contextlib.ExitStack) -> str:
    """Locks a file beside a folder until `held` ends; "" or who has locked it.

    Nothing is locked where there are no locks: on Windows, and on some network disks.
    """
    path = folder.with_name(f"{folder.name}.lock")
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True)
        file = held.enter_context(path.open("ab+", buffering=0))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        who = file.read().decode(errors="replace") or "just begun"
        return (
            f"another run trains this cell in {folder} ({who}); wait for it, or give --results "
            "another folder"
        )
    except (ImportError, OSError):
        return ""
    if not os.fstat(file.fileno()).st_nlink:  # the one before has removed it since it was opened
        return _lock(folder, held)
    with contextlib.suppress(OSError):  # a full disk
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}, since {now}".encode())
    held.callback(_remove, path)
    return ""


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def clear(folder: Path) -> None:
    """Removes a training's checkpoints, of broken writes too; its log stays."""
    for path in [folder / LAST, folder / BEST, *folder.glob("*.tmp-*")]:
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
