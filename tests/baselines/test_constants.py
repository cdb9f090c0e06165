from __future__ import annotations

import torch

from skybench.baselines._families.constants import constant, per_channel


def test_a_constant_has_dtype_and_device_of_the_tensor_and_is_made_once() -> None:
    like = torch.zeros(2, dtype=torch.float64)
    with torch.inference_mode():
        made = constant([0.1, 2.0], like)
    assert made.dtype == torch.float64
    assert made.tolist() == [0.1, 2.0]
    assert not made.is_inference()  # it may serve in training
    assert constant((0.1, 2.0), like) is made
    assert constant((0.1, 2.0), like.float()).dtype == torch.float32
    assert constant((0.1, 2.0), like.to("meta")).device.type == "meta"
    assert per_channel((1, 2, 3), like).shape == (3, 1, 1)
