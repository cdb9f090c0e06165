"""The training log: losses, learning rates and validation scores, one JSON object per line."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from skybench.core import UsageError
from skybench.core.atomic import write_whole

LOG = "log.jsonl"
DENSE = 1000  # up to twice as many steps each have a line
# Steps over which throughput is averaged. Losses of a GPU arrive several steps at a time, the first
# of them with all their time: 64 evens that out for any power of 2 up to it.
RECENT = 64
LARGE = 1e30  # no value of a training is that large; it could not be plotted
NUMBERS = {"step", "epoch", "loss", "rate", "seconds", "images_per_s", "val"}


def steps_per_line(step: int) -> int:
    """Return how many steps share a line of the log around this step.

    Each step has a line up to 2,000, two share one up to 4,000, four up to 8,000, and so on: 2,000
    lines, and 1,000 for each doubling (11,000 for a million steps; 20,000 for 500 million).

    >>> [steps_per_line(step) for step in (1, 1999, 2000, 4000, 1_000_000)]
    [1, 1, 2, 4, 512]
    """
    return 1 << max(0, (step // DENSE).bit_length() - 1)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log: steps have "loss", validations "val", all others "event".

    An invalid line, as the last one of a killed process, becomes {"event": "unreadable line",
    "line": its number from 1}. Raises OSError if there is no file.
    """
    lines = enumerate(path.read_bytes().split(b"\n"), 1)
    return [_parse(line, number) for number, line in lines if line.strip()]


def _parse(line: bytes, number: int) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):  # not JSON; nested too deeply
        row = json.loads(line)
        if isinstance(row, dict) and all(_finite(row[n]) for n in NUMBERS & row.keys()):
            return row
    return {"event": "unreadable line", "line": number}


def _finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < LARGE


def require_tensorboard() -> Any:
    """Return TensorBoard's SummaryWriter. Raises UsageError if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "TensorBoard was asked for and is not installed; "
            'pip install "skybench[tensorboard]", or leave it out: log.jsonl has the same values.'
        ) from error
    return SummaryWriter


class _Step(NamedTuple):
    loss: float
    samples: int
    seconds: float


class TrainingLog:
    """Writes `folder`/log.jsonl, with `tensorboard` also event files; folder None: nothing.

    Lines are not buffered. `lost` says why lines are missing: a full disk costs the lines that it
    has no room for, or all of them if the file cannot be created. The log of an earlier training
    in the folder is replaced, unless the first call is `resume`. "seconds" counts from the start,
    validation and earlier attempts included; "images_per_s" is the throughput of the last 64
    steps, without validation.
    """

    def __init__(self, folder: Path | None, tensorboard: bool = False) -> None:
        """Raises UsageError if TensorBoard is asked for and not installed."""
        self.folder = folder
        self.writer = require_tensorboard() if tensorboard else None
        self.file: IO[bytes] | None = None
        self.board: Any = None
        self.lost = ""  # why lines are missing
        self.gap = b""  # a newline after a partly written line
        self.at: dict[str, Any] = {"step": 0}  # step, epoch and rate of the last step
        self.start = self.last_call = time.perf_counter()
        self.waiting: list[float] = []  # losses of steps that will share a line
        self.recent: deque[_Step] = deque(maxlen=RECENT)

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._close()

    def step(self, step: int, epoch: int, loss: float, rate: float, samples: int) -> None:
        """Log an optimiser step, from 1 on; samples: its batch size over all devices.

        A line shared by several steps has the mean of their losses, see `steps_per_line`.
        """
        before, self.last_call = self.last_call, time.perf_counter()
        self.at = {"step": step, "epoch": epoch, "rate": rate}
        self.recent.append(_Step(float(loss), samples, self.last_call - before))
        self.waiting.append(float(loss))
        if step % steps_per_line(step) == 0:
            self._flush()

    def score(self, epoch: int, value: float) -> None:
        """Log the main score on validation after an epoch."""
        self._note({"step": self.at["step"], "epoch": epoch, "val": float(value)})

    def event(self, what: str, **facts: Any) -> None:
        """Log another event, as "out of memory"; facts that are not JSON become text."""
        self._note({"event": what, "step": self.at["step"], **facts})

    def resume(self, step: int) -> None:
        """Continue an earlier log after `step`: its lines of later steps are dropped atomically."""
        self._close()
        self.waiting.clear()
        self.at = {"step": step}
        if self.folder is not None:
            path = self.folder / LOG
            kept = read_log(path) if path.is_file() else []
            kept = [r for r in kept if r.get("step", step + 1) <= step]
            self._open(self.folder, kept, step + 1)
            self.start -= max((r.get("seconds", 0.0) for r in kept), default=0.0)
        self.event("resumed")

    def progress_text(self) -> str:
        """Return loss and throughput of the last steps as text, for `core.Report`.

        >>> log = TrainingLog(None)
        >>> log.progress_text()
        'training'
        >>> log.step(1, 1, 0.75, 1e-3, samples=8)
        >>> log.progress_text().split(", ")[:2]
        ['training', 'loss 0.7500']
        """
        if not self.recent:
            return "training"
        loss, pace = sum(s.loss for s in self.recent) / len(self.recent), self._pace()
        digits = f"{loss:.4f}" if abs(loss) >= 0.001 else f"{loss:.2e}"
        return f"training, loss {digits}, {pace:.{0 if pace >= 10 else 1}f} images/s"

    def _note(self, row: dict[str, Any]) -> None:
        """Log a line that is no step; the time since the last step is not training."""
        self._flush()
        self.last_call = time.perf_counter()
        self._write(row)

    def _flush(self) -> None:
        """Write the line of the steps that have none yet."""
        if self.waiting:
            mean = sum(self.waiting) / len(self.waiting)
            self._write({**self.at, "loss": mean, "images_per_s": self._pace()})
            self.waiting.clear()

    def _pace(self) -> float:
        """Throughput of the last steps, in samples per second."""
        seconds = max(sum(s.seconds for s in self.recent), 1e-9)
        return sum(s.samples for s in self.recent) / seconds

    def _write(self, row: dict[str, Any]) -> None:
        if self.file is None and self.folder is not None and not self.lost:
            self._open(self.folder, [], 0)
        if self.file is None:
            return
        row["seconds"] = self.last_call - self.start
        with self._spared():
            line, self.gap = self.gap + _line(row), b"\n"
            while line:  # a nearly full disk may take a part of it
                line = line[self.file.write(line) :]
            self.gap = b""
        with self._spared():
            if self.board is not None:
                for name in sorted({"loss", "rate", "images_per_s", "val"} & row.keys()):
                    self.board.add_scalar(name, row[name], row["step"])

    def _open(self, folder: Path, kept: Sequence[dict[str, Any]], purge: int) -> None:
        """Create the file atomically, with the lines kept of an earlier log, and open it.

        If that fails nothing is written from here on, so that the earlier log is not lost.
        purge: TensorBoard hides its events of this step and later ones.
        """
        path = folder / LOG
        with self._spared():
            with write_whole(path, sync=True) as temporary:
                temporary.write_bytes(b"".join(_line(row) for row in kept))
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
        """Let a full disk cost lines, not the training; the first error is noted in `lost`."""
        try:
            yield
        except OSError as error:
            self.lost = self.lost or f"{self.folder} cannot be written: {error}"


def _line(row: dict[str, Any]) -> bytes:
    """A JSON line, with floats to six digits; non-finite ones, which JSON lacks, are left out."""
    numbers = {n: v for n, v in row.items() if isinstance(v, float)}
    plain = {n: float(f"{v:.6g}") for n, v in numbers.items() if math.isfinite(v)}
    others = {n: v for n, v in row.items() if n not in numbers}
    return json.dumps({**others, **plain}, default=str).encode() + b"\n"
