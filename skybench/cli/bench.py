"""The commands of `skybench bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from skybench.cli import results
from skybench.cli.data import Data


def time_readers(
    names: Annotated[list[str], typer.Argument(help="Ids; default: all.")] = [],  # noqa: B006
    data: Data = "demo",
    seconds: Annotated[float, typer.Option(help="For each dataset.")] = 2.0,
    as_json: results.Json = False,
) -> None:
    """Times the readers, beside torchgeo's class for the dataset where there is one."""
    from skybench.cli import output

    output.bench_data(names, data, seconds, as_json)


def time_boxes(as_json: results.Json = False) -> None:
    """Times the box metrics beside pycocotools, faster-coco-eval, hotcoco and shapely, if
    installed, and a training step of Faster R-CNN beside torchvision's."""
    from skybench.bench import boxes as bench_boxes
    from skybench.cli import output

    output.show_rows([race._asdict() for race in bench_boxes.bench_boxes()], as_json)


def time_finetuning(as_json: results.Json = False) -> None:
    """Times a step of fine-tuning beside a bare loop with the same network, batch and precision."""
    from skybench.bench import finetune as bench_finetune
    from skybench.cli import output

    output.show_rows([bench_finetune.bench_finetuning()._asdict()], as_json)


def measure_statistics(
    repetitions: Annotated[
        int, typer.Option(help="Test sets of each kind; the error falls with their root.", min=20)
    ] = 1000,
    score: Annotated[str, typer.Option(help="Only scores with this in their name.")] = "",
    as_json: results.Json = False,
) -> None:
    """Measures how often 95 % intervals hold and p < 0.05 without a difference, by simulation."""
    from skybench.bench import statistics
    from skybench.cli import output
    from skybench.core import UsageError

    cases = [case for case in statistics.CASES if score.lower() in case.title.lower()]
    if not cases:
        known = ", ".join(case.title for case in statistics.CASES)
        raise UsageError(f"No score has {score!r} in its name. Known: {known}.")
    rows = statistics.bench_statistics(repetitions, cases=cases)
    output.show_rows([row._asdict() for row in rows], as_json)
