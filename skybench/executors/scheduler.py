"""What SLURM says of jobs: a hint, since only records tell what is done.

A job that was pre-empted, or whose node was lost, is queued again by SLURM, and for a moment no
list has it: such a state is not its end (github:facebookincubator/submitit/pull/1770).
"""

from __future__ import annotations

import datetime
import shutil
import subprocess
import time
from collections.abc import Collection
from typing import NamedTuple

WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT",
           "SUSPENDED", "RESV_DEL_HOLD")  # fmt: skip
RUNNING = ("RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING", "STOPPED")
COMES_BACK = ("PREEMPTED", "NODE_FAIL", "REQUEUED", "BOOT_FAIL", "")
ABSENT = 300.0  # seconds in which a job that comes back may be in no list
PATIENCE = 60.0  # seconds for an answer


class JobWord(NamedTuple):
    """What SLURM says of a job."""

    word: str  # "waits", "runs" or "ended"
    state: str  # SLURM's own, and its reason


def ask(jobs: Collection[str], now: float | None = None) -> dict[str, JobWord] | None:
    """Return what is known of some jobs; None where there is no SLURM, or it does not answer.

    jobs: as 17 or, of an array, 17_4. now: seconds since 1970.
    """
    if not jobs:
        return {}
    arrays = ",".join(sorted({job.partition("_")[0] for job in jobs}))
    queue = _answer("squeue", "-h", "-r", "-o", "%i|%T|%r", "-j", arrays)
    if queue is None:
        return None
    found = {}
    for job, state, reason in _rows(queue, 3):
        word = "runs" if state in RUNNING else "waits" if state in WAITING else "ended"
        held = reason if reason not in ("", "None") else ""
        found[job] = JobWord(word, f"{state.lower()}{f', {held}' if held else ''}")
    if left := [job for job in jobs if found.get(job, JobWord("ended", "")).word == "ended"]:
        found |= _ended(left, arrays, time.time() if now is None else now)
    return {job: found[job] for job in jobs if job in found}


def alive(jobs: Collection[str]) -> set[str]:
    """Return the jobs that wait or run; none where there is no SLURM."""
    return {job for job, said in (ask(jobs) or {}).items() if said.word != "ended"}


def _ended(jobs: Collection[str], arrays: str, now: float) -> dict[str, JobWord]:
    """What the accounts say of jobs that are not in the queue."""
    told = _answer("sacct", "-n", "-P", "-X", "-o", "JobID,State,End", "-j", arrays)
    found = {}
    for job, state, end in _rows(told or "", 3):
        plain = state.partition(" ")[0]  # CANCELLED by 1000
        recent = now - _seconds(end, now) < ABSENT
        if job in jobs:
            back = plain in (*COMES_BACK, *RUNNING, *WAITING) and recent
            found[job] = JobWord("waits" if back else "ended", state.lower())
    return found


def _answer(*command: str) -> str | None:
    """What a command prints; None where it is missing, fails or does not answer."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # squeue fails for a single job that it has forgotten.
    forgotten = "Invalid job id" in done.stderr
    return done.stdout if done.returncode == 0 or forgotten else None


def _rows(text: str, columns: int) -> list[list[str]]:
    rows = [line.strip().split("|") for line in text.splitlines()]
    return [row for row in rows if len(row) == columns]


def _seconds(stamp: str, now: float) -> float:
    """Seconds since 1970 of a local time of sacct; now where it is none yet ("Unknown")."""
    try:
        return datetime.datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return now
