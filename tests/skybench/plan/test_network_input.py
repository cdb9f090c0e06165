"""What a network is given, with and without the data."""

from __future__ import annotations

from typing import Any

import pytest

from skybench.core import Sample, registry
from skybench.core.dataset import Samples
from skybench.plan.cell import Cell
from skybench.plan.network_input import (
    build_network,
    forward_pass,
    guessed_count,
    guessed_shapes,
    network_input,
)
from skybench.plan.planner import Planner
from skybench.plan.request import Request


def plan(task: str, dataset: str, **wanted: Any) -> tuple[Planner, Cell]:
    asked = {"models": ["dofa"], "weights": {"": "random"}, **wanted}
    planner = Planner(Request(tasks=[task], datasets=[dataset], **asked))
    return planner, planner.cells()[0]


@pytest.mark.parametrize(
    ("task", "dataset", "shapes", "train"),
    [
        ("semantic_segmentation", "isaid", {"hr": (1, 896, 896)}, 33_978),
        ("change_detection", "levir_cd", {"hr": (2, 256, 256)}, 7_120),
        ("change_detection", "dyna_s2", {"s2": (24, 256, 256)}, 55),  # cubes, of 24 months each
        ("semantic_segmentation", "dyna_s2", {"s2": (1, 256, 256)}, 1_320),
        (
            "multimodal_segmentation", "pastis_mm",
            {"hr": (1, 1280, 1280), "s2": (12, 128, 128), "s1a": (12, 128, 128),
             "s1d": (12, 128, 128)}, 1_455,
        ),
        ("scene_classification", "eurosat", {"s2": (1, 64, 64)}, 16_200),
    ],
)  # fmt: skip
def test_without_the_data_shapes_and_counts_are_those_of_the_published_set(
    task: str, dataset: str, shapes: dict[str, Any], train: int
) -> None:
    _, cell = plan(task, dataset)
    assert cell.lacks == "data"
    assert guessed_shapes(cell, registry.dataset(dataset).CARD) == shapes
    assert guessed_count(cell, cell.recipe.train) == train


def test_with_the_data_it_is_the_first_sample_resized_as_for_a_batch() -> None:
    planner, cell = plan("multimodal_segmentation", "dyna_mm", data="demo")
    view = network_input(planner, cell)
    assert view.note == ""
    assert view.shapes == {"s2": (1, 32, 32)}  # 12 m, beside Planet's 3 m, which it does not read
    assert view.samples == len(cell.splits["train"])
    planner, cell = plan("scene_classification", "aid", data="demo", overrides={"size": "40"})
    assert network_input(planner, cell).shapes == {"hr": (1, 40, 40)}


def test_a_sample_is_read_once_for_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    planner, cell = plan("scene_classification", "aid", data="demo")
    reads: list[int] = []
    kind = type(cell.splits["train"])
    read = kind.read

    def counted(self: Samples, index: int) -> Sample:
        reads.append(index)
        return read(self, index)

    monkeypatch.setattr(kind, "read", counted)
    for _ in range(3):
        network_input(planner, cell)
    assert reads == [0]


def test_a_forward_pass_has_the_features_of_all_dates() -> None:
    planner, cell = plan("change_detection", "levir_cd", data="demo")
    view = network_input(planner, cell)
    model = build_network(cell, view).eval()
    from skybench.plan.footprint import _OneDevice, to_meta

    to_meta(model)
    with _OneDevice():  # type: ignore[no-untyped-call]
        one, both = (forward_pass(model, cell, view, most)(3) for most in (0, 10))
    assert one.pooled.shape == both.pooled.shape == (3, 2, model.card.dim)
