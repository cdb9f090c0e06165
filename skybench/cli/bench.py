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
