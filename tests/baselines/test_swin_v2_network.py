from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from skybench.baselines._networks.swin_v2 import (
    PatchMerging,
    SwinV2,
    WindowAttention,
    relative_coords,
    relative_index,
)
from skybench.baselines._networks.windows import shift_mask


def tiny(pad_small_map: bool = False) -> SwinV2:
    torch.manual_seed(0)
    return SwinV2(8, (2, 2), (2, 4), 3, pad_small_map).eval()


def test_a_mask_made_in_inference_mode_serves_in_training() -> None:
    shift_mask.cache_clear()
    net = tiny()
    image = torch.rand(1, 3, 72, 72)
    with torch.inference_mode():
        net(image)
    net.train()
    (net(image)[-1] * torch.rand(1, 16, 9, 9)).sum().backward()
    for name, parameter in net.named_parameters():
        if not name.startswith("norms.0."):  # the first map's own norm is not asked for
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_relative_positions_are_of_the_query_from_the_key() -> None:
    index, coords = relative_index(), relative_coords()
    query, key = (5, 2), (1, 6)
    row = index[query[0] * 8 + query[1], key[0] * 8 + key[1]]
    assert row == (4 + 7) * 15 + (-4 + 7)
    expected = math.log2(4 / 7 * 8 + 1) / 3
    assert coords[row].tolist() == pytest.approx([expected, -expected])
    assert coords.abs().max() == pytest.approx(math.log2(9) / 3)


def test_attention_is_that_of_the_formula() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(8, 2).double()
    attention.logit_scale.data = torch.tensor([1.5, 9.0]).view(2, 1, 1).double()
    torch.nn.init.normal_(attention.q_bias)
    torch.nn.init.normal_(attention.v_bias)
    x = torch.randn(2, 3, 64, 8).double()
    mask = torch.where(torch.rand(3, 64, 64) < 0.3, -100.0, 0.0).double()

    def by_hand(window: Tensor, apart: Tensor) -> Tensor:
        q, k, v = torch.chunk(window @ attention.qkv.weight.T, 3, -1)
        q, v = q + attention.q_bias, v + attention.v_bias
        heads = []
        for h, part in enumerate((slice(0, 4), slice(4, 8))):
            cosine = torch.nn.functional.cosine_similarity(q[:, None, part], k[None, :, part], -1)
            scale = attention.logit_scale[h].clamp(max=math.log(100)).exp()
            heads.append((cosine * scale + attention.bias()[h] + apart).softmax(-1) @ v[:, part])
        out: Tensor = attention.proj(torch.cat(heads, -1))
        return out

    for given in (None, mask):
        out = attention(x, given)
        for b, w in itertools.product(range(2), range(3)):
            apart = torch.zeros(64, 64) if given is None else given[w]
            torch.testing.assert_close(out[b, w], by_hand(x[b, w], apart))


def test_merging_takes_columns_as_unfold_does() -> None:
    torch.manual_seed(0)
    merging, x = PatchMerging(4), torch.randn(2, 6, 8, 4)
    columns = torch.nn.functional.unfold(x.permute(0, 3, 1, 2), 2, stride=2).mT  # [B, 12, 16]
    expected = merging.norm(merging.reduction(columns)).view(2, 3, 4, 8)
    torch.testing.assert_close(merging(x), expected)
    assert merging(x[:, :5, :7]).shape == (2, 3, 4, 8)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 70), (72, 200)])
def test_any_size_from_the_window_up_gives_maps_rounded_up(height: int, width: int) -> None:
    with torch.inference_mode():
        first, second = tiny()(torch.rand(2, 3, height, width))
    rows, columns = -(-height // 4), -(-width // 4)
    assert first.shape == (2, 8, rows, columns)
    assert second.shape == (2, 16, -(-rows // 2), -(-columns // 2))


def test_a_map_smaller_than_the_window_is_refused_unless_padded() -> None:
    image = torch.rand(1, 3, 56, 56)
    with pytest.raises(ValueError, match=r"7 x 7 is smaller than the window.*pad_small_map"):
        tiny()(image)
    with torch.inference_mode():
        assert tiny(pad_small_map=True)(image)[1].shape == (1, 16, 7, 7)


def test_a_map_of_one_window_is_shifted_only_if_small_maps_are_padded() -> None:
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        plain, padded = tiny()(image), tiny(pad_small_map=True)(image)
    assert torch.equal(plain[0], padded[0])
    assert not torch.allclose(plain[1], padded[1])


def test_layers_go_from_the_stem_to_the_last_block() -> None:
    net = tiny()
    layers = net.layer_groups()
    assert len(layers) == 1 + 4
    assert layers[0] is net.patch_embed
    counted = sum(p.numel() for layer in layers for p in layer.parameters())
    norms = sum(p.numel() for p in net.norms.parameters())
    assert counted + norms == sum(p.numel() for p in net.parameters())
