"""The journal of a training: what its steps and validations gave, one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from skybench.core import UsageError

LOG = "log.jsonl"
DENSE = 1000  # steps, to twice of which each has a line
# Steps over which the pace is taken. Losses of a GPU come several steps at once, and the first of
# them with all their time: over 64 that is even for any power of 2 up to it.
RECENT = 64
LARGE = 1e30  # no number of a training is; it could not be drawn
NUMBERS = {"step", "epoch", "loss", "rate", "seconds", "images_per_s", "val"}


def stride(step: int) -> int:
    """How many steps around this one share a line.

    Each has its own up to 2,000, two share one up to 4,000, four up to 8,000, and so on: 2,000
    lines, and 1,000 for each doubling (11,000 for a million steps; 20,000 for 500 million).

    >>> [stride(step) for step in (1, 1999, 2000, 4000, 1_000_000)]
    [1, 1, 2, 4, 512]
    """
    return 1 << max(0, (step // DENSE).bit_length() - 1)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal: steps have "loss", validations "val", all else "event".

    Where a line is none, as the last one of a killed process, {"event": "unreadable line",
    "line": its number from 1} stands in its place. Raises OSError where there is no file.
    """
    lines = enumerate(path.read_bytes().split(b"\n"), 1)
    return [_parse(line, number) for number, line in lines if line.strip()]


def _parse(line: bytes, number: int) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):  # no JSON; nested without end
        row = json.loads(line)
        if isinstance(row, dict) and all(_finite(row[n]) for n in NUMBERS & row.keys()):
            return row
    return {"event": "unreadable line", "line": number}


def _finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < LARGE


def require_tensorboard() -> Any:
    """The class of its writer. Raises UsageError where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "TensorBoard was asked for and is not installed; "
            'pip install "skybench[tensorboard]", or leave it out: log.jsonl has the same numbers.'
        ) from error
    return SummaryWriter


class _Step(NamedTuple):
    loss: float
    samples: int
    seconds: float


class Journal:
    """Writes `folder`/log.jsonl, and with `tensorboard` its event files beside; None: nothing.

    Each line is handed to the system at once; `lost` says why some are missing: a full disk costs
    those that it has no room for, and all of them where the file cannot be begun. The journal of an
    earlier training in the folder is replaced, unless the first call is `resume`. "seconds" are
    those since the start, validation and earlier tries included; "images_per_s" is the pace of the
    last 64 steps, without validation.
    """

    def __init__(self, folder: Path | None, tensorboard: bool = False) -> None:
        """Raises UsageError where TensorBoard is wanted and not installed."""
        self.folder = folder
        self.writer = require_tensorboard() if tensorboard else None
        self.file: IO[bytes] | None = None
        self.board: Any = None
        self.lost = ""  # why lines are missing
        self.gap = b""  # ends what is there of a line that was lost
        self.at: dict[str, Any] = {"step": 0}  # of the last step
        self.start = self.heard = time.perf_counter()
        self.waiting: list[float] = []  # losses of the steps that are to share a line
        self.recent: deque[_Step] = deque(maxlen=RECENT)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._close()

    def step(self, step: int, epoch: int, loss: float, rate: float, samples: int) -> None:
        """Notes a step of the optimiser, from 1 on; samples: of all it saw, on all devices.

        Where steps share a line it has the mean of their losses, see `stride`.
        """
        before, self.heard = self.heard, time.perf_counter()
        self.at = {"step": step, "epoch": epoch, "rate": rate}
        self.recent.append(_Step(float(loss), samples, self.heard - before))
        self.waiting.append(float(loss))
        if step % stride(step) == 0:
            self._flush()

    def score(self, epoch: int, value: float) -> None:
        """Notes the main score on validation, in percent, after an epoch."""
        self._note({"step": self.at["step"], "epoch": epoch, "val": float(value)})

    def event(self, what: str, **facts: Any) -> None:
        """Notes what else happened, as "out of memory"; facts that JSON cannot say become text."""
        self._note({"event": what, "step": self.at["step"], **facts})

    def resume(self, step: int) -> None:
        """Goes on after `step`: the earlier try's lines of later steps are dropped, all at once."""
        self._close()
        self.waiting.clear()
        self.at = {"step": step}
        if self.folder is not None:
            path = self.folder / LOG
            kept = read(path) if path.is_file() else []
            kept = [r for r in kept if r.get("step", step + 1) <= step]
            self._open(self.folder, kept, step + 1)
            self.start -= max((r.get("seconds", 0.0) for r in kept), default=0.0)
        self.event("resumed")

    def said(self) -> str:
        """What `core.Report` is to say of the training: means of the last steps.

        >>> journal = Journal(None)
        >>> journal.said()
        'training'
        >>> journal.step(1, 1, 0.75, 1e-3, samples=8)
        >>> journal.said().split(", ")[:2]
        ['training', 'loss 0.7500']
        """
        if not self.recent:
            return "training"
        loss, pace = sum(s.loss for s in self.recent) / len(self.recent), self._pace()
        digits = f"{loss:.4f}" if abs(loss) >= 0.001 else f"{loss:.2e}"
        return f"training, loss {digits}, {pace:.{0 if pace >= 10 else 1}f} images/s"

    def _note(self, row: dict[str, Any]) -> None:
        """What is no step: its time is not training's."""
        self._flush()
        self.heard = time.perf_counter()
        self._write(row)

    def _flush(self) -> None:
        """Writes the line of the steps that have none yet."""
        if self.waiting:
            mean = sum(self.waiting) / len(self.waiting)
            self._write({**self.at, "loss": mean, "images_per_s": self._pace()})
            self.waiting.clear()

    def _pace(self) -> float:
        """Samples a second."""
        seconds = max(sum(s.seconds for s in self.recent), 1e-9)
        return sum(s.samples for s in self.recent) / seconds

    def _write(self, row: dict[str, Any]) -> None:
        if self.file is None and self.folder is not None and not self.lost:
            self._open(self.folder, [], 0)
        if self.file is None:
            return
        row["seconds"] = self.heard - self.start
        with self._spared():
            line, self.gap = self.gap + _line(row), b"\n"
            while line:  # of which the last room of a disk takes a part
                line = line[self.file.write(line) :]
            self.gap = b""
        with self._spared():
            if self.board is not None:
                for name in sorted({"loss", "rate", "images_per_s", "val"} & row.keys()):
                    self.board.add_scalar(name, row[name], row["step"])

    def _open(self, folder: Path, kept: Sequence[dict[str, Any]], purge: int) -> None:
        """Begins the file with lines to keep; a reader, or a crash, sees the old one or the new.

        Where it cannot be begun nothing is written from here on: lines to keep would be lost.
        purge: TensorBoard hides what it was told of this step and later ones.
        """
        path = folder / LOG
        temporary = path.with_name(f"{LOG}.tmp-{uuid.uuid4().hex}")
        with self._spared():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with temporary.open("wb") as file:
                    file.writelines(_line(row) for row in kept)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            self.file = path.open("ab", buffering=0)
            if self.writer is not None:
                self.board = self.writer(str(folder), purge_step=purge)

    def _close(self) -> None:
        for output in (self.file, self.board):
            with self._spared():
                if output is not None:
                    output.close()
        self.file = self.board = None

    @contextlib.contextmanager
    def _spared(self) -> Iterator[None]:
        """A disk that is full costs lines, not the training; the first reason is kept."""
        try:
            yield
        except OSError as error:
            self.lost = self.lost or f"{self.folder} cannot be written: {error}"


def _line(row: dict[str, Any]) -> bytes:
    """Numbers to six digits; one that is not finite has no place in JSON and is left out."""
    numbers = {n: v for n, v in row.items() if isinstance(v, float)}
    plain = {n: float(f"{v:.6g}") for n, v in numbers.items() if math.isfinite(v)}
    others = {n: v for n, v in row.items() if n not in numbers}
    return json.dumps({**others, **plain}, default=str).encode() + b"\n"
