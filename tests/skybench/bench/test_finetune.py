from __future__ import annotations

import pytest
import torch

from skybench.bench import finetune
from skybench.bench.finetune import Size


def test_a_step_is_timed_beside_a_bare_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tiny = Size("scale_mae", "tiny", {}, 64, 2, "")
    monkeypatch.setitem(finetune.SIZES, "cpu", tiny)
    monkeypatch.setattr(finetune, "STEPS", 2)
    monkeypatch.setattr(finetune, "ROUNDS", 1)
    found = finetune.bench_finetuning()
    assert found.peer == "a bare loop"
    assert "2 steps of 2 images of 64 pixels" in found.what
    assert found.ratio is not None
    assert found.ratio > 0
