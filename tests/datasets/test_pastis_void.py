"""PASTIS's void label and background, beside the rules of utae-paps and mmsegmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skybench.core import InvalidArray
from skybench.metrics.segmentation import Segmentation

from ._pastis import SIDE, opened, pastis, save, write

VOID = 19  # in the files
CLASSES = pastis.CARD.classes


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("pastis") / "PASTIS-R"
    write(tree, {10_001: 1})
    ids = np.arange(3 * SIDE * SIDE).reshape(3, SIDE, SIDE) % (VOID + 1)
    save(tree / "ANNOTATIONS" / "TARGET_10001.npy", ids.astype(np.uint8))
    return tree


def by_utae_paps(predicted: np.ndarray, stored: np.ndarray) -> tuple[float, float]:
    """OA and mIoU of a matrix of 20 classes whose last row and column are set to 0.

    As utae-paps@5e75f03:src/learning/miou.py with 20 classes and ignore_index -1.
    """
    matrix = np.zeros((20, 20), int)
    np.add.at(matrix, (stored.ravel(), predicted.ravel()), 1)
    matrix[-1, :] = matrix[:, -1] = 0
    hit, either = np.diag(matrix), matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    occurs = either > 0
    return 100 * hit.sum() / matrix.sum(), 100 * float(np.mean(hit[occurs] / either[occurs]))


def test_pixels_of_void_count_nowhere_as_in_utae_paps(tree: Path) -> None:
    stored = np.load(tree / "ANNOTATIONS" / "TARGET_10001.npy")[0].astype(int)
    assert {*stored.ravel().tolist()} == {*range(VOID + 1)}
    rng = np.random.default_rng(0)
    predicted = np.where(rng.random(stored.shape) < 0.6, stored, rng.integers(0, 19, stored.shape))
    predicted[stored == VOID] = rng.integers(0, 19, (stored == VOID).sum())
    metric = Segmentation(CLASSES, "oa")
    metric.update(predicted, opened(tree.parent)[0].target.numpy())
    scores = metric.scores()
    assert (scores["oa"], scores["miou"]) == pytest.approx(by_utae_paps(predicted, stored))
    moved = np.where(stored == VOID, 0, predicted)
    assert by_utae_paps(moved, stored) == by_utae_paps(predicted, stored)


def test_void_is_no_class_that_a_head_can_predict(tree: Path) -> None:
    """In utae-paps it is a 20th output: a labelled pixel that gets it counts nowhere either."""
    target = opened(tree.parent)[0].target.numpy()
    said = np.where(target == 255, 0, target).astype(int)
    said.flat[np.flatnonzero(target.ravel() < VOID)[0]] = VOID
    metric = Segmentation(CLASSES, "oa")
    assert len(CLASSES) == VOID
    with pytest.raises(InvalidArray, match=r"predicted class ids in 0\.\.18"):
        metric.update(said, target)
    stored = np.where(target == 255, VOID, target).astype(int)
    assert by_utae_paps(said, stored) == (100, 100)  # though a pixel is wrong


def test_eighteen_classes_are_those_of_reduce_zero_label(tree: Path) -> None:
    """mmsegmentation sets label 0 to 255 and lowers the others by one; void stays without label.

    Background counts neither in the truth nor as a prediction, for there is no such class.
    """
    stored = np.load(tree / "ANNOTATIONS" / "TARGET_10001.npy")[0]
    reduced = np.where(stored == VOID, 255, stored).astype(np.uint8)
    reduced[reduced == 0] = 255
    reduced = reduced - 1
    reduced[reduced == 254] = 255
    samples = opened(tree.parent, classes="18")
    np.testing.assert_array_equal(samples[0].target, reduced)
    assert samples.card.classes == CLASSES[1:]
    metric = Segmentation(samples.card.classes, "oa")
    for under in (0, 17):  # whatever is predicted on background and void
        metric.update(np.where(reduced == 255, under, reduced), samples[0].target.numpy())
    assert metric.scores()["oa"] == metric.scores()["miou"] == 100
