"""GASSL, SeCo, TOV and CACo: published layouts, which network a file is of, what is normalised."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from skybench.core import Batch, WeightsError, registry
from skybench.core.variants import select_variant
from skybench.weights.load import load_model

GOLDENS = Path(__file__).parents[1] / "goldens"
State = dict[str, Tensor]
PLACES = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


def batch(**images: Tensor) -> Batch:
    """One date of images [B, C, H, W]."""
    count = len(next(iter(images.values())))
    seen = {n: torch.ones(count, 1, dtype=torch.bool) for n in images}
    days = {n: torch.full((count, 1), -1) for n in images}
    dated = {n: x[:, None] for n, x in images.items()}
    return Batch(tuple(map(str, range(count))), dated, seen, days, torch.zeros(count, 2))


def bare(name: str) -> State:
    """The tiny network's weights, of another seed, under torchvision's names."""
    state = load_model(name, "random", "tiny", seed=7).state_dict()
    return {key.removeprefix("net."): tensor for key, tensor in state.items()}


def below(prefix: str, state: State) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


def sequential(state: State) -> State:
    """Keys of an nn.Sequential of the network's children."""
    parts = (key.partition(".") for key in state)
    keys = [f"{PLACES[first]}.{rest}" for first, _, rest in parts]
    return dict(zip(keys, state.values(), strict=True))


def momentum(state: State) -> State:
    """Further entries of momentum-contrast checkpoints, with other values."""
    return {key: torch.full_like(tensor, 9) for key, tensor in state.items()} | {
        "fc.0.weight": torch.zeros(8, 256)
    }


def gassl_file(state: State) -> Any:
    others = below("module.encoder_k.", momentum(state))
    head = {"module.encoder_q.fc.0.weight": torch.zeros(8, 256), "module.queue": torch.zeros(8, 4)}
    return {"epoch": 200, "state_dict": {**others, **head, **below("module.encoder_q.", state)}}


def lightning_file(state: State) -> Any:
    others = below("encoder_k.", sequential(state)) | {"heads_q.0.0.weight": torch.zeros(8, 256)}
    others = {key: torch.full_like(tensor, 9) for key, tensor in others.items()}
    return {"state_dict": {**others, **below("encoder_q.", sequential(state))}}


def flat_file(state: State) -> Any:
    return state | {"fc.weight": torch.zeros(10, 256)}


def parallel_file(state: State) -> Any:
    return {"state_dict": below("module.", flat_file(state))}


LAYOUTS: list[tuple[str, Callable[[State], Any]]] = [
    ("gassl", gassl_file),
    ("gassl", flat_file),
    ("seco", lightning_file),
    ("seco", flat_file),
    ("caco", lightning_file),
    ("caco", sequential),
    ("tov", flat_file),
    ("tov", parallel_file),
]


@pytest.mark.parametrize(("name", "layout"), LAYOUTS)
def test_every_published_layout_gives_the_encoder(
    name: str, layout: Callable[[State], Any]
) -> None:
    state = bare(name)
    model = load_model(name, layout(state), "tiny")
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1
    assert not model.loaded.coverage.missing
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[key.removeprefix("net.")]), key


def published(case: str) -> State:
    """Keys of a golden with meta tensors."""
    keys = json.loads((GOLDENS / f"{case}.keys.json").read_text())["keys"]
    return {k: torch.empty(entry["shape"], device="meta") for k, entry in keys.items()}


@pytest.mark.parametrize("name", ["seco", "caco"])
def test_a_file_tells_which_network_it_is_of(name: str) -> None:
    plugin: Any = registry.model(name)
    assert plugin.variant_of(published(f"{name}_resnet18")) == "resnet18"
    assert plugin.variant_of(published(f"{name}_resnet50")) == "resnet50"
    assert plugin.variant_of(sequential(bare(name))) == ""
    assert plugin.variant_of({"a.weight": torch.zeros(1)}) == ""


def test_the_file_of_another_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit seco"):
        load_model("seco", {"state_dict": sequential(bare("seco"))}, "tiny_resnet18")


def normalised(name: str, variant: str = "tiny", **images: Tensor) -> Tensor:
    """Input of a model's network."""
    model: Any = load_model(name, "random", variant)
    seen: list[Tensor] = []
    model.net.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.inference_mode():
        model(batch(**images))
    return seen[0]


def pixels(*values: float) -> Tensor:
    """An image of one colour, [1, 3, 32, 32]."""
    return torch.tensor(values)[None, :, None, None].expand(1, 3, 32, 32).clone()


def colour(x: Tensor) -> list[float]:
    first: list[float] = x[0, :, 0, 0].tolist()
    return first


def test_bytes_are_normalised_as_photographs() -> None:
    # (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225) of x / 255
    image = pixels(255.0, 0.0, 51.0)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    for name, variant in (("gassl", "tiny"), ("seco", "tiny_hr"), ("caco", "tiny_hr")):
        assert colour(normalised(name, variant, hr=image)) == pytest.approx(expected, abs=1e-5)


def test_tov_is_normalised_to_plus_and_minus_one() -> None:
    assert colour(normalised("tov", hr=pixels(0.0, 255.0, 127.5))) == pytest.approx([-1, 1, 0])


@pytest.mark.parametrize("name", ["seco", "caco"])
def test_reflectance_is_stretched_as_in_pre_training(name: str) -> None:
    # red 2000 -> byte 51 -> 51 / 129 * 255 = 100.8; green above 103 and blue below 3 are cut off
    got = colour(normalised(name, s2=pixels(2000.0, 9000.0, 50.0)))
    expected = [(100 - 123.675) / 58.395, (255 - 116.28) / 57.12, (0 - 103.53) / 57.375]
    assert got == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["seco", "caco"])
def test_every_reflectance_gives_numpys_bytes(name: str) -> None:
    reflectance = np.arange(12_000)
    stored = np.clip(reflectance / 10_000 * 255, 0, 255).astype(np.uint8)
    quantiles = {0: (0.0, 129.0), 1: (2.0, 103.0), 2: (3.0, 88.0)}
    image = torch.from_numpy(reflectance).float().reshape(1, 1, 60, 200).repeat(1, 3, 1, 1)
    image = torch.nn.functional.pad(image, (0, 24, 0, 4))
    got = normalised(name, s2=image)[0, :, :60, :200].flatten(1)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for band, (low, high) in quantiles.items():
        bytes_ = np.clip((stored - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        expected = (bytes_ / 255 - mean[band]) / std[band]
        np.testing.assert_allclose(got[band].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["seco", "caco"])
def test_reflectance_is_read_where_there_is_some_and_bytes_elsewhere(name: str) -> None:
    plugin: Any = registry.model(name)
    chosen = {
        dataset: select_variant(plugin, "full", registry.dataset(dataset).CARD.sensors)
        for dataset in ("pastis_mm", "eurosat", "aid")
    }
    assert [variant for variant, _ in chosen.values()] == ["resnet50", "resnet50", "resnet50_hr"]
    assert [[s.name for s in card.inputs] for _, card in chosen.values()] == [
        ["s2"],
        ["s2"],
        ["hr"],
    ]


def test_one_file_serves_both_kinds_of_images() -> None:
    for variant in ("tiny", "tiny_hr"):
        coverage = load_model("seco", lightning_file(bare("seco")), variant).loaded.coverage
        assert coverage is not None
        assert coverage.share == 1


def test_the_network_is_torchvisions() -> None:
    model: Any = load_model("tov", "random")
    own = torchvision.models.resnet50()
    own.fc = nn.Identity()
    own.load_state_dict(model.net.state_dict())
    image = torch.randn(1, 3, 64, 32)
    with torch.inference_mode():
        expected = own.eval()(image)
        features = model.extract(image)
    torch.testing.assert_close(features.pooled, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(features.pooled, features.pyramid[-1].mean((2, 3)))


def test_statistics_stand_still_in_training() -> None:
    model = load_model("gassl", "random", "tiny").train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)
    assert model.training
