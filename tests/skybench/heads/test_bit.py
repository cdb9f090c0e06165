"""The bitemporal image transformer; see skybench.heads.bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.heads.bit import BIT, Attention
from skybench.heads.decoders import Levels

from ._dense import FOUR, ONE

SWIN = ((128, 4), (256, 8), (512, 16), (1024, 32))


def pair(levels: Levels, count: int, side: int = 64) -> list[Tensor]:
    made = torch.Generator().manual_seed(0)
    return [torch.randn(count, 2, c, side // s, side // s, generator=made) for c, s in levels]


def test_bit_has_the_parameters_of_its_source() -> None:
    """With Swin-B: its third stage of 512 channels, tokens of 32, blocks of 8 heads of 64."""
    with torch.device("meta"):
        head = BIT(SWIN, 2, 32)
    reduce = 512 * 32 * 9 + 32
    tokens = 32 * 4 + 8 * 32  # attention maps and positions
    attention = 3 * 32 * 512 + 512 * 32 + 32
    block = attention + 2 * 2 * 32 + (32 * 64 + 64) + (64 * 32 + 32)
    classify = 32 * 32 * 9 + 2 * 32 + 32 * 2 * 9 + 2
    found = sum(p.numel() for p in head.parameters())
    assert found == reduce + tokens + 9 * block + classify == 786_722


@pytest.mark.parametrize(("levels", "side"), [(FOUR, 64), (ONE, 64)])
def test_bit_answers_at_sixteen_times_its_level(levels: Levels, side: int) -> None:
    head = BIT(levels, 2, 8).eval()
    maps = pair(levels, 3)
    (found,) = head(maps)
    assert found.shape == (3, 2, side, side)
    names, values = zip(*head.named_parameters(), strict=True)
    gradients = zip(names, torch.autograd.grad((found**2).sum(), values), strict=True)
    # The last shift is the same on both dates, so their difference does not have it.
    assert [n for n, g in gradients if not g.abs().max() > 0] == ["decoder.7.mlp.3.bias"]
    (alone,) = head([x[:1] for x in maps])
    torch.testing.assert_close(alone, found[:1], atol=1e-5, rtol=1e-4)


def test_of_a_pyramid_the_level_of_stride_16_is_read() -> None:
    head = BIT(FOUR, 2, 8).eval()
    maps = pair(FOUR, 1)
    (found,) = head(maps)
    for i, x in enumerate(maps):
        (other,) = head([*maps[:i], x + 1, *maps[i + 1 :]])
        assert torch.equal(found, other) == (i != 2)
    assert [BIT(levels, 2, 8).level for levels in (FOUR[:3], FOUR[1:], ONE, ((3, 14),))] == [
        2, 1, 0, 0,
    ]  # fmt: skip


def test_dates_without_a_difference_in_position_and_content_show_no_change() -> None:
    head = BIT(ONE, 2, 8).eval()
    with torch.no_grad():
        head.position[:, 4:] = head.position[:, :4]
    (x,) = pair(ONE, 2)
    (same,) = head([torch.stack([x[:, 0], x[:, 0]], 1)])
    zero = head.classify(torch.zeros(1, 8, 64, 64))
    torch.testing.assert_close(same, zero.expand_as(same), atol=1e-5, rtol=1e-5)


def test_attention_is_torchs_where_it_is_as_wide_as_its_tokens() -> None:
    """Of 512 channels both have the same layers; torch scales by a head's width, 64."""
    mine, theirs = Attention(512).eval(), nn.MultiheadAttention(512, 8, batch_first=True).eval()
    mine.scale = 64**-0.5
    with torch.no_grad():
        layers = (mine.query, mine.key, mine.value)
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        theirs.in_proj_bias.zero_()
        theirs.out_proj.load_state_dict(mine.out.state_dict())
    made = torch.Generator().manual_seed(0)
    x, memory = torch.randn(2, 5, 512, generator=made), torch.randn(2, 3, 512, generator=made)
    torch.testing.assert_close(mine(x, memory), theirs(x, memory, memory)[0], atol=1e-5, rtol=1e-4)
    assert Attention(32).scale == 32**-0.5


def test_bit_learns_which_cells_changed() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head, shown = BIT(ONE, 2, 8), torch.randint(0, 2, (8, 2, 1, 2, 2)).float()
        maps = torch.cat([2 * shown - 1, 0.1 * torch.randn(8, 2, 4, 2, 2)], 2)
    changed = (shown[:, 0] != shown[:, 1])[:, 0].long()
    mask = changed.repeat_interleave(16, 1).repeat_interleave(16, 2)
    optimizer, losses = torch.optim.Adam(head.parameters(), lr=3e-3), []
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(head([maps])[0], mask)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
