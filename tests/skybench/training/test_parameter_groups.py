from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from skybench.core import Batch, Features, ModelCard, Recipe, registry, variants
from skybench.core.model import Model
from skybench.training import parameter_groups
from skybench.weights.load import load_model

RECIPE = Recipe("finetune", lr=1.0, weight_decay=0.5, layer_decay=0.5)
ALL = {name: registry.load("baselines", name) for name in registry.names("baselines")}
NAMES = [name for name, plugin in ALL.items() if not plugin.CARD.unavailable]


class Blocks(Model):
    """A stem with a position, two blocks, and a norm and a token that belong to no layer."""

    def __init__(self) -> None:
        super().__init__(ModelCard("toy", "", "extra", (), 2, (), "", "", ""))
        self.each = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.position = nn.Parameter(torch.zeros(1, 4, 2))
        self.norm, self.token = nn.LayerNorm(2), nn.Parameter(torch.zeros(1, 1, 2))
        self.fixed = nn.Parameter(torch.zeros(2, 2), requires_grad=False)

    def forward(self, batch: Batch) -> Features:
        raise NotImplementedError

    def layers(self) -> Sequence[nn.Module]:
        stem, *blocks = self.each
        return (nn.ModuleList((stem, nn.ParameterList((self.position,)))), *blocks)


def grouped(recipe: Recipe) -> list[tuple[float, float, int]]:
    """(factor, weight decay, parameters) of every group, head first."""
    made = parameter_groups.parameter_groups(nn.Linear(3, 2), recipe, Blocks())
    return [(g["factor"], g["weight_decay"], len(g["params"])) for g in made]


def test_without_layer_decay_the_backbone_learns_at_a_tenth_of_the_rate() -> None:
    recipe = Recipe("finetune", lr=1.0, weight_decay=0.5)
    alone = parameter_groups.parameter_groups(nn.Linear(3, 2), recipe, None)
    assert [(g["factor"], g["weight_decay"]) for g in alone] == [(1.0, 0.5), (1.0, 0.0)]
    assert grouped(recipe) == [(1.0, 0.5, 1), (1.0, 0.0, 1), (0.1, 0.5, 3), (0.1, 0.0, 7)]


def test_layer_decay_goes_from_the_last_block_down_and_spares_vectors_and_tables() -> None:
    assert grouped(RECIPE) == [
        (1.0, 0.5, 1), (1.0, 0.0, 1),  # the head
        (0.125, 0.5, 1), (0.125, 0.0, 2),  # the stem, its position among what is not decayed
        (0.25, 0.5, 1), (0.25, 0.0, 1), (0.5, 0.5, 1), (0.5, 0.0, 1),
        (1.0, 0.0, 3),  # what belongs to no layer
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_learned_parameter_is_in_one_group(name: str) -> None:
    model = load_model(name, "random", variants.resolve_variants(ALL[name], "tiny")[0])
    made = parameter_groups.parameter_groups(nn.Linear(3, 2), RECIPE, model)
    found = [id(p) for group in made[2:] for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters() if p.requires_grad)


@functools.cache
def placed(name: str, variant: str) -> dict[str, tuple[int, bool]]:
    """Parameter -> the power of the decay that is its factor, and whether it has weight decay."""
    with torch.device("meta"):
        model = ALL[name].build(variant)
    found = {
        id(p): (round(-math.log2(group["factor"])), group["weight_decay"] > 0)
        for group in parameter_groups.parameter_groups(nn.Linear(1, 1), RECIPE, model)
        for p in group["params"]
    }
    return {n: found[id(p)] for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("name", "variant", "parameter", "power", "decayed"),
    [
        # 3, 4, 6 and 3 blocks, and the stem.
        ("ssl4eo", "moco_resnet50_s2", "net.conv1.weight", 17, True),
        ("ssl4eo", "moco_resnet50_s2", "net.bn1.weight", 17, False),
        ("ssl4eo", "moco_resnet50_s2", "net.layer1.0.conv1.weight", 16, True),
        ("ssl4eo", "moco_resnet50_s2", "net.layer3.0.conv1.weight", 9, True),
        ("ssl4eo", "moco_resnet50_s2", "net.layer4.2.bn3.bias", 1, False),
        # 24 blocks.
        ("satmae", "rgb", "net.patch_embed.proj.weight", 25, True),
        ("satmae", "rgb", "net.cls_token", 25, False),
        ("scale_mae", "full", "net.cls_token", 25, False),
        ("satmae", "multispectral", "net.channel_embed", 25, False),
        ("satmae", "rgb", "net.blocks.0.attn.qkv.weight", 24, True),
        ("satmae", "rgb", "net.blocks.12.mlp.fc1.bias", 12, False),
        ("satmae", "rgb", "net.blocks.23.mlp.fc2.weight", 1, True),
        ("satmae", "rgb", "net.norm.weight", 0, False),
        ("ssl4eo", "dino_vit_small_s2", "net.pos_embed", 13, False),
        # Tables of embeddings.
        ("presto", "full", "net.channel_embed.weight", 3, False),
        # 2, 2, 18 and 2 blocks; merging goes with the block after it.
        ("satlas", "aerial_swinb_si", "net.features.0.0.weight", 25, True),
        ("satlas", "aerial_swinb_si", "net.features.1.0.attn.qkv.weight", 24, True),
        ("satlas", "aerial_swinb_si", "net.features.1.0.attn.logit_scale", 24, False),
        ("satlas", "aerial_swinb_si", "net.features.2.reduction.weight", 22, True),
        ("satlas", "aerial_swinb_si", "net.features.5.9.mlp.0.weight", 11, True),
        ("satlas", "aerial_swinb_si", "net.features.7.1.norm2.bias", 1, False),
        # Of the first kind, where merging goes with the block before it.
        ("gfm", "full", "net.patch_embed.proj.weight", 25, True),
        ("gfm", "full", "net.layers.0.downsample.reduction.weight", 23, True),
        ("gfm", "full", "net.layers.2.blocks.9.attn.relative_position_bias_table", 11, False),
        ("gfm", "full", "net.layers.3.blocks.1.mlp.fc2.weight", 1, True),
        ("gfm", "full", "net.norms.3.weight", 0, False),
        # 12 blocks.
        ("rvsa", "vit_b_rvsa_dense", "net.patch_embed.proj.weight", 13, True),
        ("rvsa", "vit_b_rvsa_dense", "net.pos_embed", 13, False),
        ("rvsa", "vit_b_rvsa_dense", "net.blocks.0.attn.qkv.weight", 12, True),
        ("rvsa", "vit_b_rvsa_dense", "net.blocks.5.mlp.fc1.weight", 7, True),
        ("rvsa", "vit_b_rvsa_dense", "net.blocks.11.attn.rel_pos_h", 1, False),
        ("rvsa", "vit_b_rvsa_dense", "net.norm.weight", 0, False),
        ("rvsa", "vit_b_rvsa_dense", "net.fpn1.0.weight", 0, True),
        # 2, 2, 18 and 2 blocks beside two ViTs and the fusion of 24.
        ("skysense", "full", "net.patch_embed.projection.weight", 25, True),
        ("skysense", "full", "net.stages.0.blocks.0.attn.qkv.weight", 24, True),
        ("skysense", "full", "net.stages.1.downsample.reduction.weight", 22, True),
        ("skysense", "full", "net.stages.2.blocks.9.attn.logit_scale", 11, False),
        ("skysense", "full", "net.stages.3.blocks.1.ffn.2.weight", 1, True),
        ("skysense", "full", "net.norms.3.weight", 0, False),
        ("skysense", "full", "s2.patch_embed.projection.weight", 25, True),
        ("skysense", "full", "s1.pos_embed", 25, False),
        ("skysense", "full", "s2.cls_token", 25, False),
        ("skysense", "full", "s2.layers.0.attn.in_proj.weight", 24, True),
        ("skysense", "full", "s1.layers.12.ffn.0.weight", 12, True),
        ("skysense", "full", "s1.layers.23.ln2.weight", 1, False),
        ("skysense", "full", "fusion.project.weight", 25, True),
        ("skysense", "full", "fusion.cls_token", 25, False),
        ("skysense", "full", "fusion.layers.23.ffn.2.weight", 1, True),
        ("skysense", "full", "head_s2.decoder.0.weight", 0, True),
        ("skysense", "full", "ctpe", 0, False),
        # What belonged to no layer, or had one for itself, elsewhere.
        ("galileo", "full", "net.s_t_channel_embed", 5, False),
        ("anysat", "full", "net.cls_token", 14, False),
        ("anysat", "full", "net.spatial_encoder.norm.weight", 8, False),
        ("anysat", "full", "net.blocks.6.mlp.fc2.weight", 1, True),
        ("croma", "base", "net.s2_encoder.transformer.norm_out.weight", 7, False),
        ("croma", "base", "net.joint_encoder.layers.5.2.net.3.weight", 1, True),
        ("croma", "base", "net.s2_pool.1.weight", 0, True),
        ("imagenet", "full", "net.conv_stem.weight", 17, True),
        ("imagenet", "full", "net.blocks.6.0.conv_pw.weight", 1, True),
    ],
)
def test_a_parameter_has_the_rate_of_its_layer(
    name: str, variant: str, parameter: str, power: int, decayed: bool
) -> None:
    assert placed(name, variant)[parameter] == (power, decayed)


# In SkySense those of a branch are in the branch's own stem, which may come later.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "skysense"])
def test_positions_and_tokens_are_in_the_stem(name: str) -> None:
    model = load_model(name, "random", variants.resolve_variants(ALL[name], "tiny")[0])
    layers = [{id(p) for p in layer.parameters()} for layer in model.layers()]
    tables = [p for n, p in model.named_parameters() if n.endswith(("pos_embed", "_token"))]
    assert all(id(p) in layers[0] for p in tables if p.requires_grad)
