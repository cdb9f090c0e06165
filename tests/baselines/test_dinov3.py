"""DINOv3 beyond the contract: published layouts, the key's bias, periods, statistics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.core import Batch, WeightsError
from skybench.weights.load import load_model

OWN = {"reg_token": "storage_tokens", "gamma_1": "ls1.gamma", "gamma_2": "ls2.gamma"}


def published() -> dict[str, Tensor]:
    """A tiny network's weights, of another seed, under the authors' names."""
    found: dict[str, Tensor] = {}
    for key, tensor in load_model("dinov3", "random", "tiny", seed=7).state_dict().items():
        key = key.removeprefix("net.").replace("rope.", "rope_embed.")
        for ours, theirs in OWN.items():
            key = key.replace(ours, theirs)
        if key.endswith("q_bias"):
            stem = key.removesuffix("q_bias")
            found[f"{stem}qkv.bias"] = torch.arange(96.0)
            found[f"{stem}qkv.bias_mask"] = torch.ones(96)
        elif not key.endswith("v_bias"):
            found[key] = tensor
    beside = {"mask_token": torch.zeros(1, 32), "local_cls_norm.weight": torch.zeros(32)}
    return found | beside | {"rope_embed.periods": torch.tensor([1.0, 3, 10, 31])}


def timms() -> dict[str, Tensor]:
    """timm's layout: without the zero biases and the rotary periods."""
    state = load_model("dinov3", "random", "tiny", seed=7).state_dict()
    bare = {key.removeprefix("net."): tensor for key, tensor in state.items()}
    return {k: t for k, t in bare.items() if not k.endswith(("_bias", "periods"))}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_authors_file_loads(prefix: str) -> None:
    state = published()
    model = load_model("dinov3", {f"{prefix}{k}": t for k, t in state.items()}, "tiny")
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())
    own = model.state_dict()
    assert torch.equal(own["net.reg_token"], state["storage_tokens"])
    assert torch.equal(own["net.blocks.1.gamma_2"], state["blocks.1.ls2.gamma"])
    assert torch.equal(own["net.blocks.0.attn.q_bias"], torch.arange(32.0))
    assert torch.equal(own["net.blocks.0.attn.v_bias"], torch.arange(64.0, 96.0))
    assert own["net.rope.periods"].tolist() == [1, 3, 10, 31]


def test_timms_file_loads_with_computed_periods() -> None:
    model = load_model("dinov3", timms(), "tiny")
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1
    own = model.state_dict()
    assert not own["net.blocks.0.attn.q_bias"].any()
    expected = 100 ** (torch.arange(4) / 4)
    torch.testing.assert_close(own["net.rope.periods"], expected)


def transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' file in the layout of transformers' DINOv3ViTModel."""
    names = {
        "storage_tokens": "embeddings.register_tokens",
        "cls_token": "embeddings.cls_token",
        "mask_token": "embeddings.mask_token",
        "patch_embed.proj.": "embeddings.patch_embeddings.",
        "blocks.": "layer.",
        ".attn.proj.": ".attention.o_proj.",
        ".ls1.gamma": ".layer_scale1.lambda1",
        ".ls2.gamma": ".layer_scale2.lambda1",
        ".mlp.fc1.": ".mlp.up_proj.",
        ".mlp.fc2.": ".mlp.down_proj.",
    }
    made = {}
    for key, tensor in state.items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        stem, found, kind = key.partition(".attn.qkv.")
        for name, part in zip("qkv", tensor.chunk(3) if found else (), strict=False):
            if (name, kind) != ("k", "bias"):
                made[f"{stem}.attention.{name}_proj.{kind}"] = part
        if not found and "rope" not in key and "bias_mask" not in key and "local_cls" not in key:
            made[key] = tensor
    return made


@pytest.mark.parametrize("prefix", ["", "model."])
def test_the_file_of_transformers_loads(prefix: str) -> None:
    state = transformers(published())
    assert "layer.1.attention.k_proj.weight" in state
    assert "layer.1.attention.k_proj.bias" not in state
    model = load_model("dinov3", {f"{prefix}{key}": x for key, x in state.items()}, "tiny")
    expected = load_model("dinov3", published(), "tiny").state_dict()
    own = model.state_dict()
    del own["net.rope.periods"]  # computed
    assert all(torch.equal(x, expected[key]) for key, x in own.items())


def test_the_bias_of_the_key_does_nothing() -> None:
    state, changed = published(), published()
    changed["blocks.0.attn.qkv.bias"][32:64] = 9
    images = torch.randn(1, 3, 32, 48)
    models: list[Any] = [load_model("dinov3", file, "tiny") for file in (state, changed)]
    with torch.inference_mode():
        first, second = (model.extract(images).pooled for model in models)
    assert torch.equal(first, second)


def test_the_network_with_gates_is_refused() -> None:
    state = {k.replace("mlp.fc", "mlp.w"): t for k, t in published().items()}
    with pytest.raises(WeightsError, match="do not fit dinov3"):
        load_model("dinov3", state, "tiny")


def test_norms_have_the_epsilon_of_the_published_network() -> None:
    model: Any = load_model("dinov3", "random", "tiny")
    assert {m.eps for m in model.modules() if isinstance(m, torch.nn.LayerNorm)} == {1e-5}


def test_images_are_standardised_as_the_pretraining_set() -> None:
    model: Any = load_model("dinov3", "random", "tiny")
    images = torch.full((1, 1, 3, 32, 32), 51.0)
    seen, days = torch.ones(1, 1, dtype=torch.bool), torch.full((1, 1), -1)
    given = Batch(("a",), {"hr": images}, {"hr": seen}, {"hr": days}, torch.zeros(1, 2))
    normed = torch.tensor([(0.2 - 0.430) / 0.213, (0.2 - 0.411) / 0.156, (0.2 - 0.296) / 0.143])
    with torch.inference_mode():
        expected = model.extract(normed.view(1, 3, 1, 1).expand(1, 3, 32, 32))
        torch.testing.assert_close(model(given).pooled, expected.pooled)
