from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.core import UsageError
from skybench.metrics import confusion, mean_f1, mean_iou
from skybench.metrics.segmentation import Segmentation

CASES = settings(max_examples=35, deadline=None, derandomize=True, database=None)
CLASSES = ("background", "ship", "plane", "bridge")
Images = list[tuple[np.ndarray, np.ndarray]]  # predicted, true, each [H, W]


@st.composite
def images(draw: st.DrawFn, ignored: bool = True) -> Images:
    """Up to 5 images; classes may be absent, pixels ignored, but pixel (0, 0) never is."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    top = draw(st.integers(1, len(CLASSES)))
    side = draw(st.integers(1, 5))
    found = []
    for _ in range(draw(st.integers(1, 5))):
        true = rng.integers(0, top, (side, side + 1)).astype(np.uint8)
        predicted = rng.integers(0, draw(st.integers(1, len(CLASSES))), true.shape)
        if ignored:
            true[rng.random(true.shape) < 0.3] = 255
        true[0, 0] = top - 1
        found.append((predicted, true))
    return found


def filled(cases: Images, main: str = "miou", background: bool = False) -> Segmentation:
    metric = Segmentation(CLASSES, main, background)
    for predicted, true in cases:
        metric.update(predicted, true)
    return metric


def flat(cases: Images) -> tuple[np.ndarray, np.ndarray]:
    """All pixels that count: predicted, true."""
    predicted = np.concatenate([p.ravel() for p, _ in cases])
    true = np.concatenate([t.ravel() for _, t in cases])
    return predicted[true != 255], true[true != 255]


@CASES
@given(images())
def test_the_matrix_equals_scikit_learn(cases: Images) -> None:
    p, t = flat(cases)
    stacked = confusion([c[0] for c in cases], [c[1] for c in cases], 4)
    expected = sklearn.metrics.confusion_matrix(t, p, labels=range(4))
    np.testing.assert_array_equal(stacked, expected)
    assert stacked.dtype == np.int64


@CASES
@given(images())
def test_the_means_equal_scikit_learn_over_the_classes_that_count(cases: Images) -> None:
    p, t = flat(cases)
    options: dict[str, Any] = {"average": "macro", "zero_division": 0}
    present = sorted({*p.tolist(), *t.tolist()})

    def jaccard(labels: list[int]) -> float:
        return 100 * float(sklearn.metrics.jaccard_score(t, p, labels=labels, **options))

    expected = {
        "miou": jaccard(present),
        "mf1_present": 100 * sklearn.metrics.f1_score(t, p, labels=present, **options),
        "mf1": by_mmsegmentation(p, t, 4),
        "oa": 100 * sklearn.metrics.accuracy_score(t, p),
        "miou_true": jaccard(sorted({*t.tolist()})),
        "miou_all": jaccard([0, 1, 2, 3]),
    }
    assert filled(cases).scores() == pytest.approx(expected, nan_ok=True)
    maps = [c[0] for c in cases], [c[1] for c in cases]
    assert mean_iou(*maps, 4) == pytest.approx(expected, nan_ok=True)
    assert mean_iou(*maps, ignore=255)["miou_true"] == pytest.approx(expected["miou_true"])


def by_mmsegmentation(p: np.ndarray, t: np.ndarray, classes: int) -> float:
    """The nanmean of 2PR / (P + R) over classes, in percent."""
    each = []
    for c in range(classes):
        hit, said, true = ((p == c) & (t == c)).sum(), (p == c).sum(), (t == c).sum()
        precision, recall = hit / said if said else np.nan, hit / true if true else np.nan
        each.append(2 * precision * recall / (precision + recall) if hit else np.nan)
    known = [f1 for f1 in each if not np.isnan(f1)]
    return 100 * float(np.mean(known)) if known else float("nan")


@CASES
@given(images())
def test_per_class_equals_a_plain_loop(cases: Images) -> None:
    p, t = flat(cases)
    found = filled(cases).per_class()
    for c, name in enumerate(CLASSES):
        both = sum((p == c) & (t == c))
        either = sum((p == c) | (t == c))
        if not either:
            assert name not in found
            continue
        expected = {
            "iou": both / either,
            "f1": 2 * both / (sum(p == c) + sum(t == c)),
            "precision": both / sum(p == c) if sum(p == c) else np.nan,
            "recall": both / sum(t == c) if sum(t == c) else np.nan,
        }
        percent = {k: 100 * v for k, v in expected.items()}
        assert found[name] == pytest.approx(percent, nan_ok=True)


@CASES
@given(images())
def test_the_truth_gives_100(cases: Images) -> None:
    same = [(np.where(t == 255, 3, t), t) for _, t in cases]
    scores = filled(same).scores()
    present = len({*flat(same)[1].tolist()})
    assert scores.pop("miou_all") == pytest.approx(100 * present / 4)
    assert {*scores.values()} == {100.0}


@CASES
@given(images(), st.integers(0, 2**32 - 1))
def test_predictions_under_ignored_pixels_do_not_matter(cases: Images, seed: int) -> None:
    rng = np.random.default_rng(seed)
    other = [(np.where(t == 255, rng.integers(0, 4, t.shape), p), t) for p, t in cases]
    assert filled(other).scores() == pytest.approx(filled(cases).scores(), nan_ok=True)


@CASES
@given(images(), st.integers(0, 2**32 - 1))
def test_integer_weights_equal_repeated_images(cases: Images, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(cases)))
    weights[:, -1] += 1  # something is always drawn
    found = filled(cases, background=True).scores(weights.astype(np.float64))
    for row, counts in enumerate(weights):
        repeated = [case for case, n in zip(cases, counts, strict=True) for _ in range(n)]
        expected = filled(repeated, background=True).scores()
        mine = {name: values[row] for name, values in found.items()}
        assert mine == pytest.approx(expected, nan_ok=True)


@CASES
@given(images(), st.sampled_from(["miou", "oa", "mf1_present"]))
def test_chance_is_the_best_constant_answer(cases: Images, main: str) -> None:
    constants = [filled([(np.full_like(p, c), t) for p, t in cases], main) for c in range(4)]
    best = max(metric.scores()[main] for metric in constants)
    assert filled(cases, main).chance() == pytest.approx(best)


@CASES
@given(images())
def test_the_mean_without_background_is_over_the_other_classes(cases: Images) -> None:
    metric = filled(cases, background=True)
    objects = [v["iou"] for name, v in metric.per_class().items() if name != "background"]
    expected = np.mean(objects) if objects else np.nan
    assert metric.scores()["miou_objects"] == pytest.approx(expected, nan_ok=True)


def test_a_class_that_is_absent_is_left_out_and_one_only_predicted_is_0() -> None:
    true = np.array([[0, 0], [1, 1]])
    assert filled([(true, true)]).scores()["miou"] == 100.0  # classes 2 and 3 are absent
    strayed = np.array([[0, 2], [1, 1]])
    metric = filled([(strayed, true)])
    assert metric.scores()["miou"] == pytest.approx(100 * (0.5 + 1 + 0) / 3)
    assert metric.scores()["mf1_present"] == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)
    assert metric.scores()["mf1"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert metric.scores()["miou_true"] == pytest.approx(100 * (0.5 + 1) / 2)
    assert metric.scores()["miou_all"] == pytest.approx(100 * (0.5 + 1) / 4)
    assert metric.per_class()["plane"]["iou"] == 0.0
    assert "bridge" not in metric.per_class()


def test_pixels_are_pooled_over_images_and_not_averaged_per_image() -> None:
    cases = [(np.array([[1]]), np.array([[0]])), (np.array([[0, 0, 0]]), np.array([[0, 0, 0]]))]
    assert filled(cases).scores()["miou"] == pytest.approx(100 * (0.75 + 0) / 2)


def test_the_main_score_comes_first() -> None:
    case = [(np.array([[0, 1]]), np.array([[0, 1]]))]
    for main in ("miou", "mf1", "oa"):
        metric = filled(case, main)
        assert next(iter(metric.scores())) == main
        assert next(iter(metric.scores(np.ones((2, 1))))) == main
    assert next(iter(mean_f1([0, 1], [0, 1]))) == "mf1"
    assert mean_f1([0, 1], [0, 0]) == mean_iou([0, 1], [0, 0])


def test_fresh_is_empty_and_of_the_same_kind() -> None:
    metric = filled([(np.array([[0]]), np.array([[1]]))], "mf1", background=True)
    other = metric.fresh()
    other.update(np.array([[1]]), np.array([[1]]))
    scores = other.scores()
    assert next(iter(scores)) == "mf1"
    assert scores["mf1"] == scores["miou_objects"] == scores["miou_true"] == 100.0


def test_nothing_labelled_gives_nan_in_a_metric_and_an_error_in_a_function() -> None:
    empty = np.full((2, 2), 255)
    scores = filled([(np.zeros((2, 2), int), empty)]).scores()
    assert all(np.isnan(v) for v in scores.values())
    with pytest.raises(UsageError, match="at least one pixel that is not ignored"):
        mean_iou(np.zeros((2, 2), int), empty)
    with pytest.raises(UsageError, match="at least one pixel"):
        mean_f1([], [])


@pytest.mark.parametrize("function", [mean_iou, mean_f1])
@pytest.mark.parametrize("classes", [None, 2])
def test_unequal_shapes_are_refused(function: Any, classes: int | None) -> None:
    with pytest.raises(UsageError, match=r"Expected maps of one shape, but got \(1, 2\) and \(2,"):
        function([[0, 1]], [0, 1], classes)


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [([0, 2], [0, 1], r"predicted class ids in 0\.\.1 .* got 0\.\.2"),
     ([0, -1], [0, 1], r"predicted class ids .* got -1\.\.0"),
     ([0, 255], [0, 1], "predicted class ids"),
     ([0, 1], [0, 2], r"true class ids in 0\.\.1"),
     ([0, 1], [-1, 1], "true class ids")],
)  # fmt: skip
def test_ids_out_of_range_are_refused(predicted: Any, true: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        confusion(predicted, true, 2)
    with pytest.raises(UsageError, match=message):
        mean_iou(predicted, true, 2)


def test_an_ignored_id_in_a_prediction_is_no_class_of_its_own() -> None:
    with pytest.raises(UsageError, match="predicted class ids"):
        mean_iou([0, 1, 255], [0, 1, 1])


def test_another_ignored_id_can_be_given() -> None:
    assert mean_iou([0, 1, 1], [0, 1, 9], 2, ignore=9)["miou"] == 100.0
    with pytest.raises(UsageError, match="or 9 to ignore"):
        mean_iou([0, 1, 1], [0, 1, 255], 2, ignore=9)


def test_series_and_keys_count_like_single_images() -> None:
    true = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) % 4
    series, single = filled([]), filled([(true[::-1][t], true[t]) for t in range(3)])
    series.update(true[::-1], true, "image_0_0")
    assert series.scores() == single.scores()


def test_small_integer_types_do_not_overflow() -> None:
    classes = tuple(map(str, range(200)))
    ids = np.arange(200, dtype=np.uint8).reshape(10, 20)
    metric = Segmentation(classes, "miou")
    metric.update(ids, ids)
    assert metric.scores()["miou"] == 100.0


def test_scores_instead_of_class_ids_are_refused() -> None:
    with pytest.raises(UsageError, match="Expected integer class ids, but got float64 and int64"):
        mean_iou([[0.6, 1.0]], [[0, 1]])
    assert mean_iou([[True, False]], [[True, False]])["miou"] == 100.0


@pytest.mark.parametrize("ignore", [0, 250])
def test_another_ignore_value_is_left_out(ignore: int) -> None:
    classes = ("unlabelled", "a", "b") if ignore == 0 else ("x", "a", "b")
    metric = Segmentation(classes, "miou", ignore=ignore)
    true = np.array([[ignore, 1], [2, ignore]])
    metric.update(np.array([[2, 1], [2, 1]]), true)
    assert (
        metric.scores()["miou"] == metric.fresh().restored(metric.state()).scores()["miou"] == 100
    )
