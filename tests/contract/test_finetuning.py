"""What every model keeps when it learns along with a head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor

from skybench.core import Batch, ModelCard, registry
from skybench.core.model import Model
from skybench.training import drop_path
from skybench.weights.load import load_model

from ._batches import random_batch

PLUGINS: dict[str, Any] = {n: registry.load("baselines", n) for n in registry.names("baselines")}
NETWORKS = [(n, v) for n, p in PLUGINS.items() if not p.CARD.unavailable for v in p.VARIANTS]
TINY = [(n, v) for n, v in NETWORKS if v.startswith("tiny")]
PUBLISHED = [(n, v) for n, v in NETWORKS if not v.startswith("tiny")]
CONVOLUTIONAL = (BasicBlock, Bottleneck, InvertedResidual, DepthwiseSeparableConv)

UNDROPPED = ("image_stats", "rcf", "presto")  # two learn nothing, one has a single block when tiny
# Where parameters begin that no gradient reaches when all inputs are given, and why.
UNREACHED = {
    "anysat": (("net.aerial.",), "aerial images are read alone"),
    "copernicus_fm": (
        ("net.patch_embed_variable.", "net.coord_token", "net.scale_token", "net.time_token"),
        "for what has no wavelength, and for a place, a scale and a time that are not known",
    ),
    "croma": (("net.s2_pool.", "net.s1_pool."), "of one sensor alone"),
    "galileo": (
        ("net.sp_", "net.t_", "net.st_", "net.space_embed.", "net.time_embed.", "net.static_embed"),
        "of weather, relief, land cover and the like, which no dataset has",
    ),
    "mtp": (("net.norm.",), "the authors take the maps before it"),
    "panopticon": (("net.patch_embed.chnfus.chnemb.",), "of radar, which RGB variants do not read"),
    "presto": (
        ("net.eo_patch_embed.ERA5.", "net.eo_patch_embed.SRTM.", "net.dw_embed."),
        "of weather, relief and land cover, which no dataset has",
    ),
    "samrs": (("net.norm.",), "the authors take the maps before it"),
}


def batch(card: ModelCard) -> Batch:
    """Three samples of all inputs; of two dates where there is time."""
    names = [sensor.name for sensor in card.inputs]
    return random_batch(card, names, 3, 2 if card.temporal else 1, square=True)


def tiny(name: str, variant: str) -> Model:
    """A network in which no parameter is 0: a branch may begin with that."""
    model = load_model(name, "random", variant)
    made = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=made)
    return model


def outputs(model: Model, given: Batch, seed: int = 0) -> Tensor:
    """All features in one vector."""
    torch.manual_seed(seed)
    features = model(given)
    return torch.cat([x.flatten() for x in (features.pooled, *features.pyramid)])


@pytest.mark.parametrize(("name", "variant"), TINY)
@torch.no_grad()
def test_drop_path_acts_in_training_alone(name: str, variant: str) -> None:
    model = tiny(name, variant)
    given, keys = batch(model.card), model.state_dict().keys()
    plain = outputs(model, given)
    dropped = drop_path.insert(model, 0.5)
    residual = any(isinstance(m, CONVOLUTIONAL) for m in model.modules())
    assert (dropped == 0) == (residual or name in UNDROPPED)
    assert model.state_dict().keys() == keys
    assert torch.equal(outputs(model, given), plain)
    model.train()
    first, other = (outputs(model, given, seed) for seed in (0, 3))
    assert torch.equal(first, other) == (dropped == 0)
    model.eval()
    assert torch.equal(outputs(model, given), plain)  # nor did training mode leave anything behind


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_gradients_reach_every_parameter(name: str, variant: str) -> None:
    model = tiny(name, variant).train()
    learned = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if not learned:
        pytest.skip("nothing is learned")
    found = outputs(model, batch(model.card))
    made = torch.Generator().manual_seed(0)
    torch.autograd.backward((found * torch.randn(found.shape, generator=made)).sum())
    never, _ = UNREACHED.get(name, ((), ""))
    missed = [n for n, p in learned.items() if p.grad is None or not p.grad.any()]
    assert [n for n in missed if not n.startswith(never)] == []
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in learned.values())


@pytest.mark.parametrize(("name", "variant"), PUBLISHED)
def test_every_block_has_a_layer(name: str, variant: str) -> None:
    """Transformers, or the networks of sensors, may share layers; they are counted apart."""
    with torch.device("meta"):
        model = PLUGINS[name].build(variant)
    apart = [*getattr(model, "nets", {"": model}).values()]
    longest = max(sum(isinstance(m, CONVOLUTIONAL) for m in net.modules()) for net in apart)
    transformers = drop_path.transformers(model)
    longest = max([longest, *map(len, transformers)])
    layers = model.layers()
    assert len(layers) > longest or not longest
    blocks = {id(m) for m in model.modules() if isinstance(m, CONVOLUTIONAL)}
    blocks |= {id(block) for each in transformers for block in each}
    for layer in layers:
        assert sum(id(m) in blocks for m in layer.modules()) <= max(len(apart), len(transformers))
