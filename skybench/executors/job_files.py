"""Files beside the records that tell of submitted bundles: what was asked, and how far each is.

Below `<results>/.jobs`: `<run>.json` names the jobs of a submission, `<run>/bundles/0001.json` is
what a job runs, `<run>/states/0001.json` what it has told, `<run>/log` the output of the jobs.
A state is a hint for a reader: only the records say what is done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skybench.core import Record
from skybench.core.atomic import write_whole
from skybench.core.errors import error_text
from skybench.executors.bundles import Bundle
from skybench.records import store
from skybench.training.launch import is_helper_process

FOLDER = ".jobs"
PAUSE = 30.0  # seconds between two notes of progress within a stage


@dataclass
class JobState:
    """What a job has told of its bundle."""

    word: str = "waits"  # then "runs", "ended", "stopped" or "refused"
    note: str = ""
    job: str = ""
    host: str = ""
    starts: int = 0
    cell: str = ""  # the fingerprint that it is at
    stage: str = ""
    done: int = 0
    total: int = 1
    finished: dict[str, str] = field(default_factory=dict)  # fingerprint -> status
    updated: float = 0.0  # seconds since 1970


@dataclass
class SubmittedRun:
    """The bundles of one submission, and the jobs that run them."""

    name: str
    made: str
    force: bool
    jobs: dict[str, str]  # name of a bundle's file -> job; "" until it is submitted
    cells: dict[str, list[str]]  # name of a bundle's file -> fingerprints
    titles: dict[str, str]  # name of a bundle's file -> model and dataset


def new_run(results: Path, bundles: Sequence[Bundle], force: bool) -> SubmittedRun:
    """Write the files of a submission, of which no job is known yet."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    names = [f"{number:04d}.json" for number in range(1, len(bundles) + 1)]
    run = SubmittedRun(
        f"{stamp}-{secrets.token_hex(2)}",
        store.now(),
        force,
        dict.fromkeys(names, ""),
        {n: [*b.fingerprints] for n, b in zip(names, bundles, strict=True)},
        {n: f"{b.model} on {b.dataset}" for n, b in zip(names, bundles, strict=True)},
    )
    for name, bundle in zip(names, bundles, strict=True):
        _write(bundle_file(results, run.name, name), json.loads(bundle.to_json()))
    save_run(results, run)
    return run


def bundle_file(results: Path, run: str, name: str) -> Path:
    """Return the path of a bundle's file."""
    return results / FOLDER / run / "bundles" / name


def log_folder(results: Path, run: str) -> Path:
    """Return the folder of the output of a submission's jobs."""
    return results / FOLDER / run / "log"


def save_run(results: Path, run: SubmittedRun) -> None:
    """Write which jobs a submission has."""
    _write(results / FOLDER / f"{run.name}.json", dataclasses.asdict(run))


def forget_run(results: Path, run: SubmittedRun) -> None:
    """Remove the files of a submission of which no job was taken."""
    (results / FOLDER / f"{run.name}.json").unlink(missing_ok=True)
    shutil.rmtree(results / FOLDER / run.name, ignore_errors=True)


def read_runs(results: Path) -> list[SubmittedRun]:
    """Return all submissions, the oldest first, without those whose file is damaged."""
    found = []
    for path in sorted((results / FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            found.append(SubmittedRun(**json.loads(path.read_text(encoding="utf-8"))))
    return found


def read_state(results: Path, run: str, name: str) -> JobState:
    """Return what a job has told; nothing yet where there is no file, or a damaged one."""
    path = _state_of(bundle_file(results, run, name))
    with contextlib.suppress(OSError, ValueError, TypeError):
        return JobState(**json.loads(path.read_text(encoding="utf-8")))
    return JobState()


def _state_of(bundle: Path) -> Path:
    return bundle.parent.parent / "states" / bundle.name


def _write(path: Path, value: Any) -> None:
    with write_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


class Teller:
    """Writes the state of a job's bundle, of several processes the first.

    A state that cannot be written stops nothing.
    """

    def __init__(self, bundle: Path, job: str) -> None:
        """bundle: the file of the bundle. What earlier starts of the job have finished is kept."""
        self.path, self.state = _state_of(bundle), JobState()
        with contextlib.suppress(OSError, ValueError, TypeError):
            self.state = JobState(**json.loads(self.path.read_text(encoding="utf-8")))
        self.state.job, self.state.host = job, socket.gethostname()
        self.state.starts += 1
        self.told = 0.0

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Tell the beginning and the end of the bundle, and what ends it early."""
        self._say("runs", f"process {os.getpid()}")
        try:
            yield
        except Exception as error:
            self._say("refused", error_text(error))
            raise
        except BaseException:  # a signal: of a job that is to be queued again, mostly
            self._say("stopped", "by a signal")
            raise
        self._say("ended", "")

    def report(self, fingerprint: str, stage: str, done: int, total: int) -> None:
        """Note the progress of a cell: a new stage at once, the rest now and then."""
        state, before = self.state, (self.state.cell, self.state.stage)
        state.cell, state.stage, state.done, state.total = fingerprint, stage, done, total
        if (fingerprint, stage) != before or time.monotonic() - self.told > PAUSE:
            self._write()

    def finished(self, fingerprint: str, record: Record) -> None:
        """Note the record of a cell."""
        self.state.finished[fingerprint] = record.status
        self._write()

    def _say(self, word: str, note: str) -> None:
        self.state.word, self.state.note = word, note
        self._write()

    def _write(self) -> None:
        self.told, self.state.updated = time.monotonic(), time.time()
        if not is_helper_process():
            with contextlib.suppress(OSError):
                _write(self.path, dataclasses.asdict(self.state))
