"""What a job of SLURM runs: the bundle of a file.

A job is handed the path of that file and the name of a class, never code or objects: after an
update a job that is queued again runs the code that is there, or refuses the bundle of another
version.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from skybench.core import folders
from skybench.core.cache_entries import limited_cache
from skybench.executors.bundles import bundle_from_json, run_bundle
from skybench.executors.job_files import Teller
from skybench.executors.lost_locks import remove_lost_locks


class BundleJob:
    """Runs the bundle of a file; submitit queues it again after a pre-emption or a time limit."""

    def __call__(self, path: str) -> int:
        """Run the cells that are not done; return how many failed.

        Raises SkybenchError where the bundle is of another version, or its cells are not those of
        the plan.
        """
        file = Path(path)
        teller = Teller(file, _job_id())
        with teller.telling(), limited_cache():
            bundle = bundle_from_json(file.read_text(encoding="utf-8"))
            if teller.state.starts > 1:  # the start before has ended, on whichever node it was
                remove_lost_locks(bundle.request.results or folders.results(), teller.state.cell)
            before = teller.state.finished  # by earlier starts; of --force, too, none runs twice
            left = [name for name in bundle.fingerprints if name not in before]
            if left:
                run_bundle(bundle.only(left), teller.report, teller.finished)
        return sum(status == "failed" for status in teller.state.finished.values())

    def checkpoint(self, path: str) -> Any:
        """Return what submitit is to queue again: the same, since finished cells are skipped."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, path)


def _job_id() -> str:
    """The job as squeue calls it; "" outside of SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
