from __future__ import annotations

import torch

from skybench.bench import upernet


def test_a_training_is_timed_and_the_generator_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    row = upernet.time_upernet("tiny")
    assert torch.equal(torch.rand(1), expected)
    assert row.peer == "bare loop"
    assert "2 steps of 4 images of 64 pixels" in row.what


def test_features_are_as_the_cache_has_them() -> None:
    source = upernet.MadeFeatures(3, 64)
    assert [tuple(x.shape) for x in source.pyramid([0, 2])] == [
        (2, 128, 16, 16), (2, 256, 8, 8), (2, 512, 4, 4), (2, 1024, 2, 2),
    ]  # fmt: skip
    assert source.target(0).shape == (64, 64)
