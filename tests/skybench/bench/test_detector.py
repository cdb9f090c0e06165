from __future__ import annotations

import torch

from skybench.bench import detector


def test_a_training_step_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    row = detector.time_detector("tiny")
    assert torch.equal(torch.rand(1), expected)
    assert row.peer == "torchvision"
