from __future__ import annotations

import pytest
import torch

from skybench.bench import detector


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"IMAGES": 1, "SIDE": 64, "OBJECTS": 2, "WIDTH": 8, "ROUNDS": 1}.items():
        monkeypatch.setattr(detector, name, value)


def test_a_training_step_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    detector.training_step()
    assert torch.equal(torch.rand(1), expected)
