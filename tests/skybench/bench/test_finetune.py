from __future__ import annotations

import pytest
import torch

from skybench.bench import finetune


def test_a_step_is_timed_beside_a_bare_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = finetune.time_finetuning("tiny")
    assert found.peer == "bare loop"
    assert "2 steps of 2 images of 64 pixels" in found.what
    assert found.ratio is not None
