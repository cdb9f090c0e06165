"""Jobs: how far submitted bundles are, by the records first and the scheduler's word second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.core import Record
from skybench.executors import job_files, scheduler
from skybench.executors.job_files import JobState, SubmittedRun
from skybench.executors.scheduler import JobWord
from skybench.records import index

SILENT = 900.0  # seconds without a note after which a job that says that it runs may have died
Ask = Callable[[Collection[str]], Mapping[str, JobWord] | None]


class JobReport(NamedTuple):
    """A submitted bundle."""

    run: str
    job: str
    bundle: str  # model and dataset
    state: str  # done, failed, runs, waits, stopped, refused or not submitted
    cells: int
    done: int  # of which there is a result
    failed: int
    where: str
    note: str


def read_jobs(results: Path, ask: Ask = scheduler.ask) -> list[JobReport]:
    """Return all submitted bundles, the oldest first.

    A cell is done if its record came out, of `--force` after the submission. Without SLURM the
    jobs' own notes are believed.
    """
    runs = job_files.read_runs(results)
    if not runs:
        return []
    records = {r.fingerprint: r for r in index.read_brief(results)[0].values()}
    words = ask({job for run in runs for job in run.jobs.values() if job})
    return [_report(results, run, name, records, words) for run in runs for name in run.jobs]


def count_states(reports: Sequence[JobReport]) -> str:
    """Return how many bundles are in which state, and how many of their cells are done.

    >>> count_states([JobReport("r", "1", "m on d", "done", 2, 2, 0, "", "")])
    '1 bundle: 1 done; 2 of 2 cells done'
    """
    states = Counter(report.state for report in reports)
    told = ", ".join(f"{number} {state}" for state, number in states.most_common())
    cells, done = sum(r.cells for r in reports), sum(r.done for r in reports)
    failed = sum(r.failed for r in reports)
    bundles = f"{len(reports)} bundle{'' if len(reports) == 1 else 's'}"
    return f"{bundles}: {told}; {done} of {cells} cells done{f', {failed} failed' * bool(failed)}"


def _report(
    results: Path,
    run: SubmittedRun,
    name: str,
    records: Mapping[str, Record],
    words: Mapping[str, JobWord] | None,
) -> JobReport:
    state, cells = job_files.read_state(results, run.name, name), run.cells[name]
    known = [records[c] for c in cells if c in records]
    if run.force:
        known = [record for record in known if record.made >= run.made]
    done = sum(record.came_out for record in known)
    failed = sum(record.status == "failed" for record in known)
    job = run.jobs[name]
    said = None if words is None else words.get(job, JobWord("ended", ""))
    word, note = _word(state, said) if job else ("not submitted", "")
    if done + failed == len(cells):
        word, note = ("failed" if failed else "done"), ""
    where = state.host if word == "runs" else ""
    return JobReport(run.name, job, run.titles[name], word, len(cells), done, failed, where, note)


def _word(state: JobState, said: JobWord | None) -> tuple[str, str]:
    """The state of a bundle of which cells are left, and what is known of it."""
    at = f"{state.stage} {100 * state.done // max(1, state.total)} %" if state.stage else ""
    if state.word == "refused":
        return "refused", state.note
    if said is None:  # there is no SLURM here
        silent = time.time() - state.updated
        if state.word == "runs" and silent > SILENT:
            return "stopped", f"nothing heard for {silent / 60:.0f} minutes"
        return ("stopped" if state.word == "ended" else state.word), at
    if said.word == "runs":
        return "runs", at
    if said.word == "waits":
        again = f"start {state.starts + 1}" if state.starts else ""
        return "waits", ", ".join(filter(None, [said.state, again]))
    return "stopped", said.state or "SLURM does not know it any more"
