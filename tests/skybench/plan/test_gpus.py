from __future__ import annotations

import pytest
import torch

from skybench.core import UsageError
from skybench.plan import gpus


def test_gpus_are_found_by_name_and_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus.pick_gpu("H100-80").half == 989
    with pytest.raises(UsageError, match=r"No GPU 'h1000'\. Known: v100-16"):
        gpus.pick_gpu("h1000")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpus.pick_gpu().name == "a100-80"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, memory, half in (
        ("NVIDIA A100-SXM4-40GB", 39.4, 312.0),
        ("NVIDIA T4", 15.0, None),
        ("NVIDIA RTX A1000 Laptop GPU", 4.0, None),
    ):
        there = type("There", (), {"name": name, "total_memory": int(memory * gpus.GB)})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, there=there: there)
        gpu = gpus.pick_gpu()
        assert gpu.memory == pytest.approx(memory)
        assert gpu.half == half if half else gpu.half != gpu.half
