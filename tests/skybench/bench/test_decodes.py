from __future__ import annotations

from pathlib import Path

import pytest

from skybench.bench import decodes
from skybench.core import registry


def test_each_sample_is_decoded_once_in_all_epochs() -> None:
    row = decodes.count_decodes("tiny")
    assert (row.ours, row.must, row.holds) == (1, "<= 1", "yes")
    assert "4 streamed epochs" in row.what


def test_without_shards_training_and_validation_decode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SKYBENCH_DECODED_GB", "0")
    monkeypatch.setattr(decodes, "EPOCHS", 1)
    row = decodes.count_decodes("tiny")
    assert row.ours >= 2
    assert row.holds == "no"


def test_images_and_targets_are_counted(tmp_path: Path) -> None:
    plugin = registry.dataset(decodes.DATASET)
    plugin.write_demo(tmp_path)
    whole = plugin.open(tmp_path, "train")
    samples = decodes.CountedReads(whole)
    samples.read(0)
    samples.target(0)
    samples.target(2)
    assert samples.reads == {0: 2, 2: 1}
    assert (samples.keys, samples.card) == (whole.keys, whole.card)
