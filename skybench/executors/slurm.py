"""Submits bundles to SLURM as job arrays, by submitit, and does not wait for them.

What is known here is checked here: the plan is made, data are opened and checkpoints hashed before
anything is submitted, and no job downloads. A job that is pre-empted, or whose node is lost, or
that reaches its time limit, is queued again and goes on where it stopped.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skybench.core import SkybenchError, UsageError, folders
from skybench.data.cores import SHARE
from skybench.executors import job_files, scheduler
from skybench.executors.bundles import Bundle, Events
from skybench.executors.job_files import SubmittedRun
from skybench.executors.resources import job_minutes, resources_of
from skybench.executors.slurm_job import BundleJob
from skybench.plan.request import Request

if TYPE_CHECKING:
    from submitit.core.core import Executor

STARTS = 20  # of a job that reaches its time limit; a pre-empted one starts without a limit
WARNING = 60  # seconds before the end in which a job cleans up and is queued again
CLUSTER = "slurm"  # tests submit to submitit's local executors


def submit_bundles(
    bundles: Sequence[Bundle], events: Events, fail_fast: bool, request: Request
) -> None:
    """Submit bundles, as an `Executor` that tells nothing: the jobs run when this has ended."""
    submit(bundles, request)


def submit(bundles: Sequence[Bundle], request: Request) -> SubmittedRun | None:
    """Submit bundles; return the submission, None where jobs of all cells are there already.

    Raises UsageError where submitit or SLURM is missing, and for an option that it refuses.
    """
    results = request.results or folders.results()
    left = without_submitted(bundles, request)
    if not left:
        return None
    _require_submitit()
    if request.timeout or request.budget:
        raise UsageError(
            "--timeout and --budget are of runs that wait for their cells; a job of SLURM has "
            "--resources time=8h."
        )
    if CLUSTER == "slurm" and shutil.which("srun") is None:
        raise UsageError(
            "--executor slurm submits jobs, but there is no SLURM here (no srun); run it on a "
            "machine from which sbatch works. --dry-run prints what it would submit"
        )
    groups = job_arrays(left, resources_of(request, 0).arrays)
    _options(request, groups[0])
    run = job_files.new_run(results, [b for group in groups for b in group], request.force)
    names = iter(run.jobs)
    try:
        for group in groups:
            files = [next(names) for _ in group]
            paths = [str(job_files.bundle_file(results, run.name, f).absolute()) for f in files]
            executor = _executor(request, group, str(job_files.log_folder(results, run.name)))
            jobs = executor.map_array(BundleJob(), paths)
            run.jobs.update({f: str(job.job_id) for f, job in zip(files, jobs, strict=True)})
            job_files.save_run(results, run)  # what is submitted is known, whatever comes next
    except RuntimeError as error:  # of submitit: what sbatch says
        if not any(run.jobs.values()):
            job_files.forget_run(results, run)
        raise SkybenchError(f"SLURM has refused jobs: {error}") from error
    return run


def without_submitted(bundles: Sequence[Bundle], request: Request) -> list[Bundle]:
    """Return the bundles without the cells of jobs that wait or run."""
    results = request.results or folders.results()
    runs = job_files.read_runs(results)
    alive = scheduler.alive({job for run in runs for job in run.jobs.values() if job})
    there = {
        cell for run in runs for f, job in run.jobs.items() if job in alive for cell in run.cells[f]
    }
    left = []
    for bundle in bundles:
        names = [name for name in bundle.fingerprints if name not in there]
        if names:
            left.append(bundle.only(names) if len(names) < len(bundle.fingerprints) else bundle)
    return left


def job_arrays(bundles: Sequence[Bundle], limit: int) -> list[list[Bundle]]:
    """Return the bundles by array: the longest first, of times within a factor of two.

    All jobs of an array ask for the same time. limit: the most jobs of one.
    """
    made: list[list[Bundle]] = []
    for bundle in sorted(bundles, key=lambda b: -(b.seconds or 0.0)):
        last = made[-1] if made else [bundle]
        fits = 2 * _minutes(bundle) > _minutes(last[0]) and len(last) < limit
        if made and fits:
            last.append(bundle)
        else:
            made.append([bundle])
    return made


def _minutes(bundle: Bundle) -> int:
    return job_minutes(bundle.seconds or 0.0)


def sbatch_script(request: Request, group: Sequence[Bundle], folder: str) -> str:
    """Return the script that sbatch gets for an array, here where there is no SLURM too."""
    _require_submitit()
    from submitit.slurm.slurm import SlurmExecutor

    class Anywhere(SlurmExecutor):
        @classmethod
        def affinity(cls) -> int:  # which says whether there is a srun
            return 1

    executor = Anywhere(folder)
    executor.update_parameters(**_options(request, group))
    if len(group) > 1:
        executor.parameters["map_count"] = len(group)
    return executor._make_submission_file_text(executor._submitit_command_str, "")


def _executor(request: Request, group: Sequence[Bundle], folder: str) -> Executor:
    """Submitit's executor of an array."""
    import submitit

    made = submitit.AutoExecutor(folder=folder, cluster=CLUSTER, slurm_max_num_timeout=STARTS)
    options = _options(request, group)
    made.update_parameters(
        timeout_min=options["time"], **{f"slurm_{name}": value for name, value in options.items()}
    )
    return made


def _options(request: Request, group: Sequence[Bundle]) -> dict[str, Any]:
    """The options of an array by submitit's names. Raises UsageError."""
    wanted = resources_of(request, group[0].gpus)
    if wanted.gpus != int(wanted.gpus):
        raise UsageError("Expected --resources gpus to be a whole number: SLURM gives whole GPUs.")
    told = wanted.environment
    if request.devices > 1:  # cores are of each process
        del told[SHARE]
    made: dict[str, Any] = {
        "job_name": "skybench",
        "time": -(-int(wanted.seconds) // 60) or _minutes(group[0]),
        "nodes": request.nodes,
        "ntasks_per_node": request.devices,
        "cpus_per_task": wanted.cpus,
        "signal_delay_s": WARNING,
        "stderr_to_stdout": True,
        "setup": [f"export {name}={value}" for name, value in told.items()],
        "additional_parameters": {"requeue": True}
        | {name: value or True for name, value in wanted.more.items()},
    }
    if wanted.gpus and not {"gres", "gpus", "gpus-per-node", "gpus-per-task"} & {*wanted.more}:
        made["gpus_per_node"] = int(wanted.gpus)
    if wanted.memory:
        made["mem"] = f"{wanted.memory >> 20}M"
    if wanted.parallel:
        made["array_parallelism"] = wanted.parallel
    return made


def _require_submitit() -> None:
    if importlib.util.find_spec("submitit") is None:
        raise UsageError("--executor slurm needs submitit: pip install 'skybench[slurm]'")
