"""Options of where cells run, and the command that shows jobs of a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from skybench.cli.results import Json, Results

Executor = Annotated[
    str,
    typer.Option(
        help="slurm (job arrays), ray or ray:ADDRESS (a cluster); default: this machine.",
        show_default=False,
    ),
]
Resources = Annotated[
    str, typer.Option(help="Of a job: cpus=8,gpus=1,mem=64G; of SLURM also time, partition …")
]
Timeout = Annotated[str, typer.Option(help="A cell that takes longer counts as hung: 30m, 2h.")]
Budget = Annotated[
    str, typer.Option(help="Run only what fits in this time, as 8h; the rest is for later.")
]
Shard = Annotated[
    str, typer.Option(help="I/N: the I-th of N parts of the cells, which take about as long.")
]


def jobs(results: Results = None, as_json: Json = False) -> None:
    """Shows what was submitted to SLURM: what is done, runs, waits or has failed."""
    from skybench.cli.output_jobs import show_jobs

    show_jobs(results, as_json)
