"""Blocks that forget their activations: the same gradients from less memory."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from skybench.core import Batch, Features, ModelCard, SkybenchError
from skybench.core.model import Model
from skybench.core.registry import load
from skybench.plan.footprint import Tally
from skybench.training import activation_checkpointing
from skybench.weights.load import load_model

MODELS = [  # model, variant: ViT, Swin, ResNet, SkySense, Galileo, several tensors and lists
    ("scale_mae", "tiny"),
    ("gfm", "tiny"),
    ("caco", "tiny"),
    ("skysense", "tiny"),
    ("galileo", "tiny"),
    ("croma", "tiny"),
    ("imagenet", "tiny"),
]


def batch(model: Model, count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = {}
    for sensor in model.card.inputs[:2]:
        smallest, step = model.card.input_sizes.get(
            sensor.name, (model.card.min_pixels, model.card.multiple)
        )
        side = -(-max(smallest, 16) // step) * step
        images[sensor.name] = 200 * torch.rand(
            count, 1, len(sensor.bands), side, side, generator=generator
        )
    seen = {n: torch.ones(count, 1, dtype=torch.bool) for n in images}
    days = {n: torch.full((count, 1), 18_000) for n in images}
    return Batch(("a",) * count, images, seen, days, torch.zeros(count, 2))


def loss_of(model: Model, given: Batch) -> Tensor:
    torch.manual_seed(1)
    features = model(given)
    total: Tensor = features.pooled.sum()
    for level in features.pyramid:
        total = total + (level**2).mean()
    return total


def gradients(model: Model, given: Batch) -> list[Tensor]:
    model.zero_grad()
    torch.autograd.backward(loss_of(model, given))
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def fresh(name: str, variant: str) -> Model:
    return copy.deepcopy(load_model(name, "random", variant)).train()


@pytest.mark.parametrize(("name", "variant"), MODELS)
def test_gradients_and_running_statistics_are_the_same(name: str, variant: str) -> None:
    plain = fresh(name, variant)
    again = copy.deepcopy(plain)
    assert activation_checkpointing.enable(again) > 3
    given = batch(plain)
    expected, found = gradients(plain, given), gradients(again, given)
    assert len(expected) == len(found) > 0
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-6 * max(1, float(a.abs().max())))
    state = again.state_dict()
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=0)
    assert list(state) == list(plain.state_dict())


class Drops(Model):
    """Blocks with dropout, drop path and batch normalisation."""

    def __init__(self) -> None:
        super().__init__(load("baselines", "image_stats").CARD)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, 3, 3, padding=1),
                nn.BatchNorm2d(3),
                nn.GELU(),
                nn.Dropout(0.5),
                StochasticDepth(0.5, "row"),
            )
            for _ in range(4)
        )

    def forward(self, batch: Batch) -> Features:
        x = batch.images["hr"][:, 0]
        for block in self.blocks:
            x = x + block(x)
        return Features(x.mean((2, 3)), (x,))

    def layers(self) -> list[nn.Module]:
        return [nn.ModuleList([b, nn.ParameterList()]) for b in self.blocks]


def drops_batch(side: int = 16) -> Batch:
    one = {"hr": torch.ones(4, 1, dtype=torch.bool)}
    images = {"hr": torch.rand(4, 1, 3, side, side)}
    return Batch(("a",) * 4, images, one, {}, torch.zeros(4, 2))


def test_random_draws_are_repeated_and_statistics_counted_once() -> None:
    plain = Drops().train()
    again = copy.deepcopy(plain)
    assert activation_checkpointing.enable(again) == 4
    given = drops_batch()
    for _ in range(3):
        for a, b in zip(gradients(plain, given), gradients(again, given), strict=True):
            torch.testing.assert_close(b, a, rtol=0, atol=1e-6)
    norm = again.blocks[0][1]  # type: ignore[index]
    assert int(norm.num_batches_tracked) == 3
    assert norm.momentum == 0.1
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)


def test_norms_of_torch_that_several_processes_share_can_be_within_a_block() -> None:
    """They refuse to lose their count of batches."""
    model = Drops().train()
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
    model.blocks = convert(model.blocks)
    assert activation_checkpointing.enable(model) == 4
    assert gradients(model, drops_batch())
    assert model.get_buffer("blocks.0.1.num_batches_tracked") == 1


def held(model: Model, given: Batch) -> int:
    """Bytes that a forward pass keeps for the backward one, inputs of blocks among them."""
    tally = Tally(model)
    with tally:
        loss_of(model, given)
    return sum(x.nbytes() for x in (tally.outside | tally.inputs).values())


def test_fewer_bytes_are_kept() -> None:
    model, given = Drops().train(), drops_batch(64)
    tally = Tally(model)
    with tally:
        loss_of(model, given)
    activation_checkpointing.enable(model)
    assert held(model, given) < 0.5 * tally.plain()


def test_copies_compute_again_themselves_and_files_keep_it() -> None:
    model = Drops().train()
    activation_checkpointing.enable(model)
    other = copy.deepcopy(model)
    block = vars(other.blocks[0])["forward"].args[0]
    assert block is other.blocks[0]
    loaded = pickle.loads(pickle.dumps(model))
    assert vars(loaded.blocks[0])["forward"].args[0] is loaded.blocks[0]
    assert list(model.state_dict()) == list(Drops().state_dict())


def test_it_is_undone_and_leaves_evaluation_alone() -> None:
    model, given = Drops().eval(), drops_batch()
    expected = model(given).pooled
    activation_checkpointing.enable(model)
    activation_checkpointing.enable(model)  # twice is as once
    torch.testing.assert_close(model(given).pooled, expected, rtol=0, atol=0)
    assert activation_checkpointing.enable(model, on=False) == 0
    assert all("forward" not in vars(m) for m in model.modules())


class Outer(Model):
    """Changes its block's input in place after the block has seen it."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.block = nn.Conv2d(3, 3, 1)

    def forward(self, batch: Batch) -> Features:
        x = batch.images["hr"][:, 0].clone()
        y = self.block(x)
        x.mul_(2)
        return Features(y.mean((2, 3)), (y,))


def test_a_changed_input_is_refused() -> None:
    model = Outer(load("baselines", "image_stats").CARD).train()
    activation_checkpointing.enable(model)
    # Recent versions of torch notice it themselves, before we do.
    with pytest.raises((SkybenchError, RuntimeError), match=r"in place|inplace"):
        gradients(model, drops_batch())
