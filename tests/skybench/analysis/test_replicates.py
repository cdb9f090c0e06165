"""Replicates beside a record: what is kept, made once, and alike for the same samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skybench.analysis import bootstrap
from skybench.analysis.replicates import known, load_replicates, make_replicates
from skybench.core import DataError, Record
from skybench.core.sealed import unseal
from skybench.metrics.segmentation import Segmentation
from skybench.records import predictions

Made = Callable[..., Record]
RNG = np.random.default_rng(0)


def test_replicates_are_made_once_and_read_without_predictions(made: Made, tmp_path: Path) -> None:
    record = made("a", RNG.random(40) < 0.7)
    first = load_replicates(record, tmp_path)
    assert (first.score, first.images) == ("oa", 40)
    assert first.value == pytest.approx(record.scores["oa"])
    assert np.mean(known(first.values)) == pytest.approx(first.value, abs=1)
    assert np.mean(known(first.omitted)) == pytest.approx(first.value)
    kept = tmp_path / record.path.with_suffix(".npz")
    kept.unlink()
    assert load_replicates(record, tmp_path) == first
    newer = replace(record, made="2026-02-01T00:00:00+00:00")
    with pytest.raises(DataError, match="no predictions of a on aid were kept"):
        load_replicates(newer, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"record": 1}'])
def test_a_damaged_file_is_made_again(text: str, made: Made, tmp_path: Path) -> None:
    record = made("a", RNG.random(20) < 0.7)
    first = load_replicates(record, tmp_path)
    path = tmp_path / record.path.with_suffix(".draws")
    path.write_text(text)
    assert load_replicates(record, tmp_path) == first
    assert json.loads(unseal(path.read_bytes()) or "")["images"] == 20


def test_a_flipped_byte_is_found_and_a_file_without_checksum_is_read(
    made: Made, tmp_path: Path
) -> None:
    record = made("a", RNG.random(20) < 0.7)
    first = load_replicates(record, tmp_path)
    path = tmp_path / record.path.with_suffix(".draws")
    whole = path.read_bytes()
    place = whole.index(b'"value": ') + len(b'"value": ')
    path.write_bytes(whole[:place] + b"8" + whole[place + 1 :])  # another score, still JSON
    assert load_replicates(record, tmp_path) == first
    assert path.read_bytes() == whole
    path.write_text((unseal(whole) or "").replace('"images": 20', '"images": 21'))
    assert load_replicates(record, tmp_path).images == 21  # of an earlier version


def test_images_in_another_order_are_resampled_alike(made: Made, tmp_path: Path) -> None:
    right = RNG.random(30) < 0.6
    one, other = made("a", right), made("b", right)
    kept = predictions.load_predictions(other, tmp_path)
    turned = predictions.empty_metric(other)
    order = RNG.permutation(30)
    state = {n: a[order] if len(a) else a for n, a in kept.metrics[0].state().items()}
    path = tmp_path / other.path.with_suffix(".npz")
    predictions.save_predictions(path, [kept.keys[i] for i in order], [turned.restored(state)])
    first, second = load_replicates(one, tmp_path), load_replicates(other, tmp_path)
    assert (first.values, first.omitted) == (second.values, second.omitted)
    assert first.rights == second.rights


def test_seeds_are_averaged_image_by_image(made: Made, tmp_path: Path) -> None:
    one = made("a", [[True] * 8, [True] * 4 + [False] * 4])
    found = load_replicates(one, tmp_path)
    assert found.seeds == [100.0, 50.0]
    assert found.rights == [2, 2, 2, 2, 1, 1, 1, 1]
    # Half the distance of the seeds, 25 each way, varies as that of one mean of eight images does.
    assert found.interaction == pytest.approx(100**2 * 0.25 / 8 / 4, rel=0.1)


def test_tiles_of_an_image_are_drawn_and_left_out_together() -> None:
    metric = Segmentation(("a", "b"), "miou")
    rng = np.random.default_rng(0)
    for _ in range(12):
        metric.update(rng.integers(0, 2, (4, 4)), rng.integers(0, 2, (4, 4)))
    keys, groups = [f"t{i}" for i in range(12)], [f"image{i // 2}" for i in range(12)]
    found = make_replicates([metric], "miou", keys, groups, 50)
    assert (found.images, len(found.omitted), len(found.values)) == (6, 6, 50)
    (weights,) = bootstrap.omissions(groups)
    assert known(found.omitted) == pytest.approx(metric.scores(weights)["miou"].tolist())
    alone = make_replicates([metric], "miou", keys, keys, 50)
    assert alone.images == 12
    assert alone.keys != found.keys  # other units: not to be compared
