"""Output of a submission: what would be, and what was."""

from __future__ import annotations

import sys
from pathlib import Path

from skybench.core import Record, folders
from skybench.executors import job_files, slurm
from skybench.executors.execute import execute
from skybench.executors.job_files import SubmittedRun
from skybench.executors.resources import resources_of
from skybench.executors.schedule import RunSchedule
from skybench.plan.request import Request

LISTED = 40  # bundles of an array at most


def show_submission(request: Request, schedule: RunSchedule) -> None:
    """Print what `run --executor slurm` would submit: each array's bundles and its script."""
    results = (request.results or folders.results()).absolute()
    bundles = slurm.without_submitted(schedule.bundles, request)
    groups = slurm.job_arrays(bundles, resources_of(request, 0).arrays)
    folder = str(job_files.log_folder(results, "RUN"))
    if not groups:
        print("Nothing to submit: each cell is done, or with a job that waits or runs.")
    for number, group in enumerate(groups, 1):
        print(f"\nArray {number} of {len(groups)}, jobs: {len(group)}")
        for bundle in group[:LISTED]:
            cells = len(bundle.fingerprints)
            print(f"  {bundle.model} on {bundle.dataset}: {_cells(cells)}, {_time(bundle.seconds)}")
        if len(group) > LISTED:
            print(f"  … and {len(group) - LISTED} more")
        print(slurm.sbatch_script(request, group, folder))


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"


def _time(seconds: float | None) -> str:
    return "time unknown" if seconds is None else f"about {max(1, round(seconds / 60))} min"


def submit_and_tell(request: Request, schedule: RunSchedule, fail_fast: bool) -> list[Record]:
    """Submit a schedule to SLURM and say which jobs there are; return the records that are done."""
    results = request.results or folders.results()
    before = {run.name for run in job_files.read_runs(results)}
    try:
        made = execute(request, schedule, fail_fast=fail_fast)
    finally:  # after an interruption too
        new = [run for run in job_files.read_runs(results) if run.name not in before]
        for run in new:
            _tell(run, results)
    if not new:
        _say("Nothing was submitted: each cell is done, or with a job that waits or runs.")
    return made


def _tell(run: SubmittedRun, results: Path) -> None:
    jobs = {job.partition("_")[0]: None for job in run.jobs.values() if job}
    cells = sum(len(run.cells[name]) for name, job in run.jobs.items() if job)
    _say(f"Submitted {_cells(cells)} in jobs of SLURM ({len(run.jobs)}): {' '.join(jobs)}.")
    _say(f"Their output: {job_files.log_folder(results, run.name).absolute()}")
    _say(f"How far they are: skybench jobs --results {results}")
    _say(f"To stop them: scancel {' '.join(jobs)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
