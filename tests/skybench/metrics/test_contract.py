"""Every public metric: the right value or one ValueError that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench import metrics
from skybench.core import InvalidArray
from skybench.metrics import (
    change_f1,
    coco_ap,
    confusion,
    mean_average_precision,
    mean_f1,
    mean_iou,
    overall_accuracy,
    rotated_ap,
    semantic_change,
    voc_ap,
)

Metric = Callable[..., Any]
BOX = [[0.0, 0.0, 10.0, 8.0]]
AP: Any = coco_ap  # called with options of every type
VOC: Any = voc_ap
IOU: Any = mean_iou
MAPS: dict[str, tuple[Metric, list[Any]]] = {  # function -> a call that is right
    "overall_accuracy": (overall_accuracy, [[0, 1, 1], [0, 1, 0]]),
    "change_f1": (change_f1, [[0, 1, 1], [0, 1, 0]]),
    "confusion": (lambda p, t: confusion(p, t, 2), [[0, 1, 1], [0, 1, 0]]),
    "mean_average_precision": (mean_average_precision, [[[0, 1], [1, 1]], [[0, 1], [1, 0]]]),
    "mean_f1": (mean_f1, [[0, 1, 1], [0, 1, 0]]),
    "mean_iou": (mean_iou, [[0, 1, 1], [0, 1, 0]]),
    "semantic_change": (semantic_change, [[[[[0, 1]], [[1, 1]]]], [[[[0, 0]], [[1, 1]]]]]),
}
BOXES: dict[str, Metric] = {"coco_ap": coco_ap, "rotated_ap": rotated_ap, "voc_ap": voc_ap}
EACH = pytest.mark.parametrize("name", MAPS)
EACH_OF_BOXES = pytest.mark.parametrize("name", BOXES)


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return bool(found == pytest.approx(expected, nan_ok=True))
    return bool(np.array_equal(found, expected))


def rows(values: Any, one: Callable[[Any], Any]) -> list[Any]:
    return [one(row) for row in values]


def test_every_public_function_is_here() -> None:
    assert {*MAPS, *BOXES} == {*metrics.__all__}


@EACH
@pytest.mark.parametrize(
    "wrap",
    [
        np.array,
        torch.tensor,
        lambda x: np.array(x, bool),
        lambda x: np.array(x, np.uint64),
        lambda x: np.array(x, object),
        lambda x: np.asfortranarray(x)[::1],
        lambda x: rows(x, np.array),
        lambda x: rows(x, torch.tensor),
        lambda x: tuple(x),
        lambda x: iter(x),
        lambda x: (row for row in x),
        lambda x: np.ma.masked_array(x),
        lambda x: pd.Series(x) if np.ndim(x) == 1 else torch.tensor(x),
        lambda x: pd.DataFrame(x) if np.ndim(x) == 2 else np.array(x),
    ],
)
def test_every_kind_of_array_gives_one_value(name: str, wrap: Callable[[Any], Any]) -> None:
    function, call = MAPS[name]
    assert same(function(*map(wrap, call)), function(*call))


WRONG = [
    None, 0, "0110", ["a", "b", "c"], [0, None, 1], [[0, 1], [1]], {0: 1}, {0, 1}, [], [[]],
    np.array(1), np.zeros((0, 3), int), np.zeros((3, 0), int), [np.nan, 0.0, 1.0],
    [1j, 0, 1], object(), np.array(["x", 1, 2.0], object), np.array(["2020-01-01"] * 3, "M8[D]"),
    [0, 1], [[[0]]], torch.tensor([[0.5]], requires_grad=True), iter([]),
    pd.Series([1, None, 0], dtype="Int64"),
]  # fmt: skip


@EACH
@pytest.mark.parametrize("wrong", WRONG, ids=lambda x: f"{type(x).__name__} {str(x)[:12]}")
def test_everything_else_is_one_error(name: str, wrong: Any) -> None:
    function, (predicted, true) = MAPS[name]
    for call in ((wrong, true), (predicted, wrong)):
        with pytest.raises(ValueError, match=r"^Expected .*but got .*\.") as refusal:
            function(*call)
        assert len(str(refusal.value)) < 320


@EACH
@pytest.mark.parametrize("wrong", [-1, 255, 65535, 70000, 10**12, -(2**60)])
def test_ids_that_are_no_classes_are_refused(name: str, wrong: int) -> None:
    function, (predicted, true) = MAPS[name]
    for place in (0, 1):
        call = [np.array(predicted, np.int64), np.array(true, np.int64)]
        call[place].flat[0] = wrong
        ignored = (
            place and wrong == 255 and name not in ("overall_accuracy", "mean_average_precision")
        )
        ranks = not place and name == "mean_average_precision"  # any number is a score
        code = name == "overall_accuracy" and wrong == 70000  # of a nomenclature
        if ignored or ranks or code:
            function(*call)
            continue
        with pytest.raises(ValueError, match=rf"{wrong}\b"):
            function(*call)


def test_the_values_of_marked_ids() -> None:
    assert overall_accuracy([70000, 1], [70000, 0])["oa"] == 50
    with pytest.raises(ValueError, match=r"true class ids from 0 on, but got 255, which marks"):
        overall_accuracy([0, 1, 1], [0, 1, 255])
    assert overall_accuracy([255, 1], [255, 0], classes=256)["oa"] == 50
    with pytest.raises(
        ValueError, match=r"one column \(3, 1\): a column of ids is no score; give ids"
    ):
        overall_accuracy([[3], [4], [0]], [0, 0, 0])
    assert overall_accuracy(torch.tensor([[0.1, 0.9]], dtype=torch.bfloat16), [1])["oa"] == 100
    assert overall_accuracy([[0.2, 0.1]], [True])["oa"] == 0
    with pytest.raises(ValueError, match="can be ranked"):
        overall_accuracy([[np.nan, 0.1]], [1])
    with pytest.raises(ValueError, match="leave unlabelled images out"):
        overall_accuracy([[0.2, 0.1]], [255])


def test_ids_where_truth_is_ignored_are_no_classes() -> None:
    perfect = mean_iou([0, 1], [0, 1])
    assert {*perfect.values()} == {100}
    assert mean_iou([0, 1, 7], [0, 1, 255]) == perfect
    assert mean_iou([0, 1, 70000], [0, 1, 255]) == perfect
    assert mean_iou([0, 1, 7], [0, 1, -1], ignore=-1) == perfect
    assert confusion([0, 7], [0, 255], 2).tolist() == [[1, 0], [0, 0]]
    assert change_f1([0, 1, 7], [0, 1, 255])["f1"] == 100


def test_masked_pixels_are_ignored() -> None:
    masked = np.ma.masked_array([0, 1, 1], mask=[False, False, True])
    for function in (mean_iou, mean_f1, change_f1):
        assert function(masked, [0, 1, 0])["oa"] == function([0, 1, 0], masked)["oa"] == 100
        with pytest.raises(ValueError, match="at least one pixel"):
            function(np.ma.masked_array([0, 1, 0], mask=True), [0, 1, 0])
    assert overall_accuracy(masked, [0, 1, 0]) == {"oa": 100, "aa": 100}
    scores = np.ma.masked_array(
        [[1, 0], [0, 1], [1, 0]], mask=np.repeat([[False], [False], [True]], 2, 1)
    )
    assert overall_accuracy(scores, [0, 1, 1])["oa"] == 100
    assert mean_average_precision(scores, [[1, 0], [0, 1], [0, 1]])["map_micro"] == 100
    with pytest.raises(ValueError, match="no masked values"):
        semantic_change(np.ma.masked_equal([[[[9]], [[1]]]], 9), [[[[0]], [[1]]]])


def test_masks_of_0_and_255_are_not_taken_for_unlabelled_ones() -> None:
    for function in (change_f1, mean_iou, mean_f1):
        with pytest.raises(
            ValueError, match="only 0 and 255, which is ignored: divide 0/255 masks by 255"
        ):
            function([0, 1, 1], [0, 255, 255])
        assert function([0, 1, 1], [0, 255, 255], ignore=255)["oa"] == 100
        with pytest.raises(ValueError, match=r"predicted class ids .*255"):
            function([0, 255, 255], [0, 1, 1])
        with pytest.raises(ValueError, match="only 0 and 255"):
            function([0, 0, 0], [0, 255, 255])


def test_small_integers_do_not_overflow_in_turned_boxes() -> None:
    box = [[100, 100, 250, 200, 0]]
    small = np.array(box, np.uint8)
    assert rotated_ap([(small, [0.9], [0])], [(box, [0])])["map"] == 100


def scene(**changed: Any) -> tuple[list[Any], list[Any]]:
    """One image with an object that is found, some arrays replaced."""
    arrays = {"boxes": BOX, "scores": [0.5], "labels": [0], "objects": BOX, "names": [0]} | changed
    truth = tuple(arrays[n] for n in ("objects", "names", "difficult", "crowd") if n in arrays)
    return [tuple(arrays[n] for n in ("boxes", "scores", "labels"))], [truth]


def for_form(name: str, boxes: Any) -> Any:
    return [[5, 4, 10, 8, 0.0]] if name == "rotated_ap" and boxes is BOX else boxes


@EACH_OF_BOXES
@pytest.mark.parametrize("wrap", [np.array, torch.tensor, lambda x: iter(x), lambda x: tuple(x)])
def test_boxes_of_every_kind_of_array_give_one_value(name: str, wrap: Callable[[Any], Any]) -> None:
    box = for_form(name, BOX)
    (said,), (true,) = scene(boxes=box, objects=box)
    found = BOXES[name]([tuple(wrap(x) for x in said)], [tuple(wrap(x) for x in true)])
    assert {score for of, score in found.items() if of != "doubles"} == {100.0}
    assert BOXES[name](iter([said]), iter([true])) == found
    half = torch.tensor(said[1], dtype=torch.bfloat16, requires_grad=True)
    assert BOXES[name]([(said[0], half, said[2])], [true]) == found


@EACH_OF_BOXES
@pytest.mark.parametrize(
    "changed",
    [{"scores": [np.nan]}, {"scores": ["0.5"]}, {"scores": [[0.5]]}, {"scores": None},
     {"scores": 0.5}, {"labels": [0.0]}, {"labels": [-1]}, {"labels": ["ship"]}, {"labels": [True]},
     {"labels": np.array([2**63], np.uint64)}, {"names": [None]}, {"names": [-(2**63)]},
     {"names": []}, {"objects": [[0, 0, 10, "8"]]}, {"objects": [[0, 0, np.inf, 8]]},
     {"objects": [[0, 0, 1e300, 1e300, 0]]}, {"objects": [[0, 0, 1e300, 1e300]]},
     {"objects": [[0, 0], [1]]}, {"objects": None}, {"difficult": ["no"]}, {"difficult": [2]},
     {"difficult": [-1]}, {"difficult": [0.5]}, {"difficult": None},
     {"difficult": [False], "crowd": ["yes"]}, {"difficult": [False], "crowd": [True, False]},
     {"boxes": np.ma.masked_equal([[0, 0, 10, 8]], 8)}],
    ids=str,
)  # fmt: skip
def test_boxes_that_cannot_be_scored_are_one_error(name: str, changed: dict[str, Any]) -> None:
    said, true = scene(**{n: for_form(name, BOX) for n in ("boxes", "objects")} | changed)
    with pytest.raises(ValueError, match=r"^Expected .*\.$"):
        BOXES[name](said, true)


@EACH_OF_BOXES
@pytest.mark.parametrize("wrong", [None, 3, "text", {0: ()}, [None], [3], ["abc"], [{}], [()], []])
def test_images_that_are_no_tuples_are_one_error(name: str, wrong: Any) -> None:
    said, true = scene()
    for call in ((wrong, true), (said, wrong), (wrong, wrong)):
        with pytest.raises(ValueError, match=r"^Expected "):
            BOXES[name](*call)


@pytest.mark.parametrize(
    "call",
    [lambda *x: VOC(*x, iou=0), lambda *x: VOC(*x, iou=float("nan")),
     lambda *x: VOC(*x, iou="0.5"), lambda *x: VOC(*x, points=101),
     lambda *x: VOC(*x, points=[11]), lambda *x: AP(*x, most=0),
     lambda *x: AP(*x, most="all"), lambda *x: AP(*x, count_difficult="no"),
     lambda *_: confusion([0], [0], 70001), lambda *_: confusion([0], [0], 0),
     lambda *_: IOU([0], [0], 0), lambda *_: IOU([0], [0], 2, "255"),
     lambda *_: mean_average_precision([[1]], [[1]], batch=-1),
     lambda *_: semantic_change([[[[0]], [[1]]]], [[[[0]], [[1]]]], classes=70001)],
)  # fmt: skip
def test_options_out_of_range_are_one_error(call: Metric) -> None:
    with pytest.raises(ValueError, match=r"^Expected "):
        call(*scene())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


def scores_or_none(function: Metric, *call: Any) -> list[float]:
    """The scores of a call, none if it is refused; any other error fails the test."""
    with contextlib.suppress(InvalidArray):
        found = function(*call)
        return [*found.values()] if isinstance(found, dict) else found.ravel().tolist()
    return []


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([*MAPS]), VALUES, VALUES)
def test_any_values_give_scores_or_one_error(name: str, predicted: Any, true: Any) -> None:
    assert all(np.isnan(v) or v >= 0 for v in scores_or_none(MAPS[name][0], predicted, true))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([*BOXES]), st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=2))
def test_any_values_as_boxes_give_scores_or_one_error(name: str, images: Any) -> None:
    for truth in (images, [(BOX, [0])] * len(images)):
        scores = scores_or_none(BOXES[name], images, truth)
        assert all(np.isnan(v) or 0 <= v <= 100 for v in scores)
