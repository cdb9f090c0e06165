"""DeCUR: published layouts, which network and sensors a file is of, what is normalised, fusion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import Batch, CannotRun, WeightsError, match, registry
from skybench.core.model import Model
from skybench.weights.load import load_model

GOLDENS = Path(__file__).parents[1] / "goldens"
State = dict[str, Tensor]
# Our name of a part of the attention -> the published one.
ATTENTION = {
    "offset.0": "conv_offset.0",
    "offset.1": "conv_offset.1.norm",
    "offset.3": "conv_offset.3",
    "query": "proj_q",
    "key": "proj_k",
    "value": "proj_v",
    "out": "proj_out",
    "table": "rpe_table",
}
NUMBER = {"s1": "1", "s2": "2"}


def batch(**images: Tensor) -> Batch:
    """One date of images [B, C, H, W]."""
    count = len(next(iter(images.values())))
    seen = {n: torch.ones(count, 1, dtype=torch.bool) for n in images}
    days = {n: torch.full((count, 1), -1) for n in images}
    dated = {n: x[:, None] for n, x in images.items()}
    return Batch(tuple(map(str, range(count))), dated, seen, days, torch.zeros(count, 2))


def published(state: State, sensor: str, prefix: str) -> State:
    """The keys of one sensor's network as a published file has them."""
    found = {}
    for key, tensor in state.items():
        own = key.removeprefix(f"nets.{sensor}.")
        if own.startswith("attention."):
            stage, _, rest = own.removeprefix("attention.layer").partition(".")
            part = next(p for p in ATTENTION if rest.startswith(p))
            own = f"da{NUMBER[sensor]}_l{stage}.{ATTENTION[part]}{rest.removeprefix(part)}"
            found[own] = tensor
        elif own != key:
            found[prefix + own.removeprefix("net.")] = tensor
    return found


def joint(state: State) -> State:
    """A joint file, with what it holds beside."""
    both = published(state, "s1", "backbone_1.") | published(state, "s2", "backbone_2.")
    others = {"projector1.0.weight": torch.zeros(8, 8), "bn.running_mean": torch.zeros(8)}
    return {f"module.{key}": tensor for key, tensor in (both | others).items()}


def weights(variant: str) -> State:
    """A variant's weights, of another seed."""
    return load_model("decur", "random", variant, seed=7).state_dict()


def assert_holds(model: Model, state: State) -> None:
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1
    assert not model.loaded.coverage.missing
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[key]), key


@pytest.mark.parametrize("variant", ["tiny_joint", "tiny_rda", "tiny_vit"])
@pytest.mark.parametrize("container", ["", "model"])
def test_a_joint_file_gives_both_networks(variant: str, container: str) -> None:
    state = weights(variant)
    file: Any = {container: joint(state), "epoch": 99} if container else joint(state)
    assert_holds(load_model("decur", file, variant), state)


@pytest.mark.parametrize("sensor", ["s1", "s2"])
@pytest.mark.parametrize("variant", ["tiny", "tiny_rda", "tiny_vit"])
def test_one_sensors_network_comes_from_its_own_file_or_the_joint_one(
    variant: str, sensor: str
) -> None:
    state = load_model("decur", "random", variant, seed=7, sensors=("s1", "s2")).state_dict()
    own = published(state, sensor, "backbone." if variant == "tiny_rda" else "")
    for file in (own, joint(state)):
        assert_holds(load_model("decur", file, variant, sensors=(sensor,)), state)


def test_a_file_on_disk_is_read(tmp_path: Path) -> None:
    state = weights("tiny")
    torch.save(published(state, "s2", ""), tmp_path / "ms.pth")
    model = load_model("decur", tmp_path / "ms.pth", "tiny")
    assert model.loaded.source == "file"
    assert_holds(model, state)


def test_the_file_of_the_other_sensor_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"do not fit decur: they match 0\.0 %"):
        load_model("decur", published(weights("tiny_s1"), "s1", ""), "tiny")


def test_files_of_other_data_are_refused() -> None:
    state = published(weights("tiny"), "s2", "")
    state["conv1.weight"] = state["conv1.weight"][:, :3]  # GeoNRW's, of three bands
    with pytest.raises(WeightsError, match=r"match 0\.0 %"):
        load_model("decur", state, "tiny")


def golden(case: str) -> State:
    """Keys of a golden with meta tensors."""
    keys = json.loads((GOLDENS / f"{case}.keys.json").read_text())["keys"]
    return {k: torch.empty(entry["shape"], device="meta") for k, entry in keys.items()}


def test_a_file_tells_its_network_and_sensors() -> None:
    plugin: Any = registry.model("decur")
    variant_of = plugin.variant_of
    assert variant_of(golden("decur_rn50_s1")) == "resnet50_s1"
    assert variant_of(golden("decur_rn50_s2")) == "resnet50_s2"
    assert variant_of(golden("decur_rn50_rda_s2")) == "resnet50_rda_s2"
    assert variant_of(golden("decur_vits16_s1")) == "vit_small_s1"
    assert variant_of(golden("decur_vits16_s2")) == "vit_small_s2"
    both = {
        f"module.backbone_{n}.{key}": tensor
        for n, case in (("1", "decur_rn50_s1"), ("2", "decur_rn50_s2"))
        for key, tensor in golden(case).items()
    }
    assert variant_of(both) == "resnet50_joint"
    assert variant_of(published(weights("tiny"), "s2", "")) == ""
    assert variant_of(published(weights("tiny_vit"), "s2", "")) == ""
    assert variant_of({"a.weight": torch.zeros(2)}) == ""


def read(name: str, image: Tensor) -> Tensor:
    """Input of the first convolution of a sensor's network."""
    model: Any = load_model("decur", "random", "tiny_joint")
    seen: list[Tensor] = []
    model.nets[name.partition("_")[0]].net.conv1.register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    with torch.inference_mode():
        model(batch(**{name: image}))
    return seen[0]


def colour(x: Tensor) -> list[float]:
    first: list[float] = x[0, :, 0, 0].tolist()
    return first


def test_sentinel_2_goes_from_two_deviations_below_the_mean_to_two_above() -> None:
    image = torch.zeros(1, 13, 32, 32)
    image[:, 0] = 1605.57504906  # the mean of B1: the middle, 127.5, rounded down
    image[:, 1] = 1390.78157673 + 850.34818441  # B2: one deviation above, 191.25
    image[:, 3] = 9000  # B4: cut off
    image[:, 12] = 1524.06546312 - 1.5 * 1136.53823676  # B12: 31.875
    got = colour(read("s2", image))
    bytes_ = [127, 191, 255, 31]
    assert [got[i] for i in (0, 1, 3, 12)] == pytest.approx([b / 255 for b in bytes_])


def test_sentinel_1_is_read_in_the_order_vv_vh() -> None:
    image = torch.tensor([-12.54847273, -20.19237134 - 5.91150917]).reshape(1, 2, 1, 1)
    got = colour(read("s1", image.expand(1, 2, 32, 32)))
    assert got == pytest.approx([127 / 255, 63 / 255])


def test_where_b10_lacks_its_channel_is_zero() -> None:
    whole = torch.rand(1, 13, 32, 32, generator=torch.Generator().manual_seed(0)) * 4000
    got = read("s2_l2a", torch.cat((whole[:, :10], whole[:, 11:]), 1))
    expected = read("s2", whole).clone()
    expected[:, 10] = 0
    assert torch.equal(got, expected)


def test_bands_are_found_with_and_without_b10() -> None:
    card = registry.model("decur").CARD
    for dataset, name, count in (("ben_s2", "s2_l2a", 12), ("fmow_s2", "s2", 13)):
        found = match(card, registry.dataset(dataset).CARD.sensors)
        assert list(found) == [name]
        assert len(found[name].channels) == count


def features(model: Any, **images: Tensor) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        got = model(batch(**images))
    return (got.pooled, *got.pyramid)


@pytest.mark.parametrize("variant", ["tiny_joint", "tiny_rda", "tiny_vit"])
def test_of_both_sensors_features_are_stacked_sentinel_1_first(variant: str) -> None:
    model = load_model("decur", "random", variant)
    made = torch.Generator().manual_seed(0)
    s2 = torch.rand(2, 13, 64, 96, generator=made) * 4000
    s1 = torch.rand(2, 2, 64, 96, generator=made) * -25
    both = features(model, s1=s1, s2=s2)
    each = zip(features(model, s1=s1), features(model, s2=s2), strict=True)
    for together, (first, second) in zip(both, each, strict=True):
        torch.testing.assert_close(together, torch.cat((first, second), 1))
    assert both[0].shape == (2, model.card.dim)


def test_sensors_of_different_grids_are_refused() -> None:
    model = load_model("decur", "random", "tiny_joint")
    with pytest.raises(CannotRun, match="one grid"):
        features(model, s1=torch.zeros(1, 2, 32, 32), s2=torch.zeros(1, 13, 64, 64))


def test_attention_at_its_smallest_size_is_a_sum_over_its_points() -> None:
    """Against attention written out place by place, for a map that is not square."""
    net = load_model("decur", "random", "tiny_rda", seed=3).get_submodule("nets.s2")
    attention: Any = net.get_submodule("attention.layer4")
    x = torch.randn(1, 256, 2, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        query = attention.query(x)
        points = attention.points(query)  # [8, 2, 3, 2]
        parts = x.reshape(8, 32, 2, 3)
        at = F.grid_sample(parts, points.flip(-1), align_corners=True).reshape(1, 256, 1, 6)
        key, value = (layer(at).reshape(16, 16, 6) for layer in (attention.key, attention.value))
        mixed = torch.empty(16, 16, 2, 3)
        for head in range(16):
            table = attention.table[head][None, None]
            for row in range(2):
                for column in range(3):
                    place = torch.tensor([2 * row - 1.0, column - 1.0])
                    apart = (place - points[head // 2].reshape(6, 2)) / 2
                    bias = F.grid_sample(table, apart.flip(-1)[None, None], align_corners=True)
                    asked = query.reshape(16, 16, 2, 3)[head, :, row, column]
                    scores = asked @ key[head] / 16**0.5 + bias.flatten()
                    mixed[head, :, row, column] = value[head] @ scores.softmax(0)
        expected = attention.out(mixed.reshape(1, 256, 2, 3))
        torch.testing.assert_close(attention(x), expected)


def test_attention_learns_right_after_its_stage() -> None:
    model: Any = load_model("decur", "random", "tiny_rda", sensors=("s2",))
    net = model.nets["s2"]
    order = [layer[0] for layer in model.layers()]
    assert order[1:] == [
        *(net.net.layer1[0], net.net.layer2[0], net.net.layer3[0], net.attention["layer3"]),
        *(net.net.layer4[0], net.attention["layer4"]),
    ]
