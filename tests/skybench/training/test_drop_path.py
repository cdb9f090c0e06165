from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers.drop import DropPath
from torch import nn

from skybench.baselines._networks.galileo import Block
from skybench.baselines._networks.swin_v2 import SwinV2
from skybench.core import UsageError, registry
from skybench.training import drop_path
from skybench.weights.load import load_model


def rates(network: nn.Module) -> list[list[float]]:
    """The rate of each block of each transformer; those of its branches are equal."""
    found: list[list[float]] = []
    for blocks in drop_path.transformers(network):
        found.append([])
        for block in blocks:
            slots = [getattr(block, n) for n in drop_path.SLOTS if getattr(block, n, None)]
            (rate,) = {s.drop_prob if isinstance(s, DropPath) else 0.0 for s in slots}
            found[-1].append(rate)
    return found


def test_a_branch_is_dropped_for_whole_samples_and_the_rest_is_scaled() -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(Block(8, 2, 16), Block(8, 2, 16)).eval(), torch.randn(64, 5, 8)
    block: Any = net[1]
    before = net[0](x, None)
    plain = block(before, None)
    assert drop_path.insert(net, 0.5) == 2
    assert torch.equal(block(before, None), plain)
    net.train()
    assert torch.equal(net[0](x, None), before)  # the first block's rate is 0
    out, met = block(before, None), set()
    for attention in (0, 2):
        middle = before + attention * block.attn(block.norm1(before), None)
        for mlp in (0, 2):
            expected = middle + mlp * block.mlp(block.norm2(middle))
            same = (out - expected).abs().amax((1, 2)) < 1e-5
            met |= {(attention, mlp, i) for i in same.nonzero().flatten().tolist()}
    assert sorted(i for *_, i in met) == list(range(64))  # each sample is one of the four
    assert {(a, m) for a, m, _ in met} == {(0, 0), (0, 2), (2, 0), (2, 2)}


def test_the_rates_rise_linearly_over_all_blocks() -> None:
    net = SwinV2(8, (2, 3), (2, 4))
    keys = net.state_dict().keys()
    assert drop_path.insert(net, 0.4) == 4 * 2
    assert rates(net) == [pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])]
    assert net.state_dict().keys() == keys
    assert drop_path.insert(net, 0.2) == 4 * 2
    assert rates(net) == [pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])]
    assert drop_path.insert(net, 0) == 0
    assert not any(isinstance(m, DropPath) for m in net.modules())


@pytest.mark.parametrize(
    ("name", "variant", "blocks", "branches"),
    [
        ("ssl4eo", "moco_resnet50_s2", [], 0),
        ("imagenet", "full", [], 0),
        ("satmae", "rgb", [24], 46),  # timm's blocks
        ("satlas", "aerial_swinb_si", [24], 46),  # torchvision's
        ("gfm", "full", [24], 46),  # ours
        ("rvsa", "vitae_b_rvsa_kvdiff_dense", [12], 33),  # attention, convolutions, MLP
        ("rsp", "vitaev2_s", [14], 39),  # without reduction cells
        ("croma", "base", [12, 6, 6], 22 + 10 + 15),  # the joint encoder has cross-attention
        ("skysense", "full", [24, 24, 24, 24], 4 * 46),
        ("clay", "v15_s2", [24], 46),
        ("anysat", "full", [7, 6], 11 + 10),  # the last attention is no residual branch
    ],
)
def test_each_transformer_has_its_own_rise(
    name: str, variant: str, blocks: list[int], branches: int
) -> None:
    with torch.device("meta"):
        model = registry.load("baselines", name).build(variant)
    assert drop_path.insert(model, 0.3) == branches
    found = sorted(rates(model), key=len, reverse=True)
    assert found == [pytest.approx(torch.linspace(0, 0.3, n).tolist()) for n in blocks]


def test_what_is_inserted_has_the_mode_of_its_block() -> None:
    model = load_model("satmae", "random", "tiny")
    drop_path.insert(model, 0.5)
    assert not any(m.training for m in model.modules())
    drop_path.insert(model.train(), 0.5)
    assert all(m.training for m in model.modules() if isinstance(m, DropPath))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 20.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match=f"drop path of {rate} was given; give one of at least 0"):
        drop_path.insert(nn.Identity(), rate)
