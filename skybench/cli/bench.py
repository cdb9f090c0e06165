"""The commands of `skybench bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from skybench.cli import results

Data = Annotated[str, typer.Option(help="Folder with one folder a dataset, or 'demo'.")]


def data(
    names: Annotated[list[str], typer.Argument(help="Ids; default: all.")] = [],  # noqa: B006
    data: Data = "demo",
    seconds: Annotated[float, typer.Option(help="For each dataset.")] = 2.0,
    as_json: results.Json = False,
) -> None:
    """Reads datasets as fast as it goes, beside torchgeo's class where there is one."""
    from skybench.cli import output

    output.bench_data(names, data, seconds, as_json)


def boxes(as_json: results.Json = False) -> None:
    """Times the box metrics beside pycocotools, faster-coco-eval, hotcoco and shapely, if
    installed, and a training step of Faster R-CNN beside torchvision's."""
    from skybench.bench import boxes as bench_boxes
    from skybench.cli import output

    output.show_rows([race._asdict() for race in bench_boxes.boxes()], as_json)


def finetune(as_json: results.Json = False) -> None:
    """Times a step of fine-tuning beside a bare loop with the same network, batch and precision."""
    from skybench.bench import finetune as bench_finetune
    from skybench.cli import output

    output.show_rows([bench_finetune.finetuning_step()._asdict()], as_json)
