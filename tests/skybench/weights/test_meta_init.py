from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard, registry
from skybench.core.model import Model
from skybench.weights import meta_init

CARD: ModelCard = registry.load("baselines", "rcf").CARD
SIDE = 300  # a matrix of this side is large


class Net(Model):
    """What constructors do: computed buffers and positions, shared and frozen parameters."""

    def __init__(self) -> None:
        super().__init__(CARD)
        self.first = nn.Linear(SIDE, SIDE)
        self.second = nn.Linear(SIDE, SIDE)
        self.second.weight = self.first.weight
        self.norm = nn.LayerNorm(SIDE)
        self.positions = nn.Parameter(torch.linspace(0, 1, SIDE), requires_grad=False)
        self.register_buffer("table", torch.arange(SIDE * SIDE).view(SIDE, SIDE), persistent=False)
        self.register_buffer("mean", torch.full((SIDE,), 3.0))
        nn.init.trunc_normal_(self.first.weight, std=0.02)

    def forward(self, batch: Batch) -> Features:
        x = batch.images["s2"].flatten(1)[:, :SIDE]
        pooled = self.norm(self.second(self.first(x + self.positions)))
        return Features(pooled, (pooled[:, :, None, None],))


class Computing(Net):
    """A constructor that computes with a large parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = float(self.first.weight.detach().abs().max())


class Derived(Net):
    """A constructor that derives a buffer from a large parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turned", self.first.weight.detach().T.clone(), persistent=False)


def metas(model: Model) -> set[str]:
    return {name for name, p in model.named_parameters() if p.is_meta}


def state(seed: int = 1) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {k: v.clone() for k, v in Net().state_dict().items()}


def batch() -> Batch:
    images = torch.rand(2, 1, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    return Batch(("a", "b"), {"s2": images}, {}, {}, torch.zeros(2, 2))


def test_only_large_parameters_are_hollow_and_buffers_are_computed() -> None:
    model = meta_init.build_on_meta(Net)
    assert metas(model) == {"first.weight"}
    assert model.get_buffer("table")[1, 1] == SIDE + 1
    assert model.get_buffer("mean").eq(3).all()
    assert model.get_parameter("norm.weight").eq(1).all()
    assert model.get_parameter("positions")[-1] == 1
    assert not meta_init.has_all_tensors(model, {})
    assert meta_init.has_all_tensors(model, state())


def test_a_filled_hollow_model_equals_a_loaded_whole_one() -> None:
    model, whole = meta_init.build_on_meta(Net), Net()
    given = state()
    whole.load_state_dict(given)
    meta_init.load_tensors(model, given)
    assert given == {}
    assert not metas(model)
    assert all(torch.equal(x, whole.state_dict()[k]) for k, x in model.state_dict().items())
    assert model.get_parameter("first.weight") is model.get_parameter("second.weight")
    grads = {k: p.requires_grad for k, p in model.named_parameters()}
    assert grads == {k: p.requires_grad for k, p in whole.named_parameters()}
    assert torch.equal(model(batch()).pooled, whole(batch()).pooled)
    model(batch()).pooled.sum().backward()
    assert model.get_parameter("first.weight").grad is not None


@pytest.mark.parametrize("kind", [Computing, Derived])
def test_a_constructor_that_needs_its_parameters_gets_them(kind: type[Net]) -> None:
    assert not metas(meta_init.build_on_meta(kind))


def test_half_precision_files_become_float32() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        model = meta_init.build_on_meta(Net)
        given = {k: v.to(dtype) for k, v in state().items()}
        expected = given["first.weight"].float()
        meta_init.load_tensors(model, given)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert torch.equal(model.get_parameter("first.weight"), expected)


@pytest.mark.parametrize("hollow", [True, False])
def test_a_lowered_model_computes_about_the_same_in_half_of_the_memory(hollow: bool) -> None:
    whole, model = Net(), meta_init.build_on_meta(Net) if hollow else Net()
    whole.load_state_dict(state())
    meta_init.load_tensors(model, state(), torch.bfloat16)
    meta_init.lower_precision(model, torch.bfloat16)
    kept = {k: p.dtype for k, p in model.named_parameters()}
    assert kept.pop("first.weight") == torch.bfloat16
    assert set(kept.values()) == {torch.float32}
    for again in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        features = again(batch())
        assert {x.dtype for x in (features.pooled, *features.pyramid)} == {torch.float32}
        torch.testing.assert_close(features.pooled, whole(batch()).pooled, atol=0.05, rtol=0.05)
        assert not torch.is_autocast_enabled("cpu")


def test_a_forward_pass_that_fails_leaves_autocast() -> None:
    model = Net()
    meta_init.lower_precision(model, torch.bfloat16)
    wrong: Any = Batch(("a",), {}, {}, {}, torch.zeros(1, 2))
    for _ in range(2):
        with pytest.raises(KeyError):
            model(wrong)
        assert not torch.is_autocast_enabled("cpu")
