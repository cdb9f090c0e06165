from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard, UsageError, WeightsError, registry
from skybench.core.model import Model
from skybench.weights import coverage

GALILEO: ModelCard = registry.load("baselines", "galileo").CARD
WEIGHTS = GALILEO.weights
assert WEIGHTS is not None
CARD = replace(GALILEO, name="net", weights=replace(WEIGHTS, missing=("spare.*",)))


class Net(Model):
    def __init__(self, width: int = 4) -> None:
        super().__init__(CARD)
        self.layer = nn.Linear(4, width)  # 5 * width elements
        self.spare = nn.LayerNorm(2)  # that the published file lacks
        self.register_buffer("count", torch.zeros(3, dtype=torch.int64))

    def forward(self, batch: Batch) -> Features:
        raise NotImplementedError


def plugin(**changes: Any) -> Any:
    made = ModuleType("net")
    made.__dict__.update(CARD=CARD, VARIANTS={"full": {}, "tiny": {}}, convert=dict)
    made.__dict__.update(build=lambda _, width=4: Net(width))
    made.__dict__.update(changes)
    return made


def state() -> dict[str, Tensor]:
    return {"layer.weight": torch.ones(4, 4), "layer.bias": torch.ones(4)}


def test_what_the_card_excuses_does_not_count() -> None:
    covered = coverage.compare_keys(Net(), state())
    assert (covered.share, covered.mismatched, covered.unexpected) == (1, (), ())
    assert covered.missing == ("spare.weight", "spare.bias")
    assert covered.enough


def test_shares_are_of_elements() -> None:
    covered = coverage.compare_keys(
        Net(), {**state(), "layer.bias": torch.ones(3), "x": torch.ones(1)}
    )
    assert covered.share == 16 / 20
    assert covered.lacking == ()
    assert (covered.mismatched, covered.unexpected) == (("layer.bias",), ("x",))
    assert not covered.enough


def test_integers_are_no_weights() -> None:
    covered = coverage.compare_keys(Net(), {k: v.to(torch.int8) for k, v in state().items()})
    assert covered.mismatched == ("layer.weight", "layer.bias")
    counted = {**state(), "count": torch.ones(3, dtype=torch.int32)}
    assert coverage.compare_keys(Net(), counted).mismatched == ()


def test_measuring_makes_no_network_and_follows_settings() -> None:
    made = plugin(settings=lambda given: {"width": len(given["layer.bias"])})
    wide = {"layer.weight": torch.ones(9, 4), "layer.bias": torch.ones(9)}
    assert coverage.measure_coverage(made, "full", wide).share == 1
    assert coverage.measure_coverage(plugin(), "full", wide).mismatched == (
        "layer.weight",
        "layer.bias",
    )


def broken(_: Any) -> Any:
    raise KeyError("encoder.weight")


def misused(_: Any) -> Any:
    raise UsageError("give a variant")


@pytest.mark.parametrize("function", ["convert", "settings"])
def test_a_plugin_that_breaks_on_another_models_keys_is_told(function: str) -> None:
    with pytest.raises(
        WeightsError, match=r"do not fit net: keys such as layer\.weight, .*cannot be converted"
    ):
        coverage.measure_coverage(plugin(**{function: broken}), "full", state())
    with pytest.raises(UsageError, match="give a variant"):
        coverage.measure_coverage(plugin(**{function: misused}), "full", state())


def test_a_variant_is_told_by_the_plugin_or_not() -> None:
    assert coverage.identify_variant(plugin(), state()) == ""
    assert coverage.identify_variant(plugin(variant_of=broken), state()) == ""
    assert coverage.identify_variant(plugin(variant_of=lambda _: "tiny"), state()) == "tiny"
