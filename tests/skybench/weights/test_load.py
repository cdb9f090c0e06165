from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.core import UsageError, WeightsError, registry
from skybench.weights import load, meta_init
from skybench.weights.load import Coverage, load_into, load_model, sha256_file


def published(prefix: str = "backbone.", **arch: Any) -> dict[str, Tensor]:
    """SkySense's tiny network under published keys, with numbers of its own."""
    renamed = (("ffn.0.", "ffn.layers.0.0."), ("ffn.2.", "ffn.layers.1."), ("norms.", "norm"))
    state = {}
    model = load_model("skysense", "random", "tiny", 7, parts=("hr",), **arch)
    for key, tensor in model.state_dict().items():
        own = key.removeprefix("net.").replace(".attn.", ".attn.w_msa.")
        for ours, theirs in renamed:
            own = own.replace(ours, theirs)
        if not own.startswith(("norm0", "norm1", "norm2")):
            state[prefix + own] = tensor
    return state


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("prefix", ["backbone.", "backbone_gep.", ""])
@pytest.mark.parametrize("container", ["model", "state_dict", None])
def test_skysense_is_read_in_every_published_layout(prefix: str, container: str | None) -> None:
    state = published(prefix)
    others = ("backbone_s2.x", "backbone_s1.x", "fusion.x", "head_s2.x", "ctpe")
    full = {**state, **dict.fromkeys(others, torch.ones(3)), f"{prefix}mask_token": torch.ones(1)}
    rebuilt = f"{prefix}stages.0.blocks.0.attn.w_msa.relative_position_index"
    content = {**full, rebuilt: torch.ones(64, 64).long()}
    model = load_model("skysense", content if container is None else {container: content}, "tiny")
    coverage = model.loaded.coverage
    assert coverage is not None
    assert coverage.share == 1
    assert coverage.unexpected == ("net.mask_token",)
    assert {k.rsplit(".", 1)[0] for k in coverage.missing} == {f"net.norms.{i}" for i in range(3)}
    own = model.state_dict()
    stem = own["net.patch_embed.projection.weight"]
    assert torch.equal(stem, state[f"{prefix}patch_embed.projection.weight"])
    assert own["net.norms.0.weight"].eq(1).all()
    assert own["net.norms.0.bias"].eq(0).all()


def test_skysense_with_near_infrared_starts_it_as_red() -> None:
    model = load_model("skysense", published(), "tiny", in_channels=4)
    kernel = model.state_dict()["net.patch_embed.projection.weight"]
    assert kernel.shape[1] == 4
    assert torch.equal(kernel[:, 3], kernel[:, 0])
    assert model.card.inputs[0].bands == ("red", "green", "blue", "nir")
    four = published(in_channels=4)
    model = load_model("skysense", four, "tiny", in_channels=4)
    kernel = model.state_dict()["net.patch_embed.projection.weight"]
    assert torch.equal(kernel, four["backbone.patch_embed.projection.weight"])


def test_skysense_has_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        model = registry.load("baselines", "skysense").build("full", parts=("hr",))
    assert sum(p.numel() for p in model.parameters()) == 655_079_632


def test_another_models_file_is_refused_and_nothing_loaded(tmp_path: Path) -> None:
    state = load_model("galileo", "random", "tiny").state_dict()
    torch.save({k.removeprefix("net."): v for k, v in state.items()}, tmp_path / "galileo.pth")
    with pytest.raises(WeightsError, match=r"do not fit skysense: they match 0\.0 %.*pos_embed"):
        load_model("skysense", tmp_path / "galileo.pth", "tiny")


def test_a_refused_file_leaves_the_model_as_it_was() -> None:
    plugin: Any = registry.load("baselines", "skysense")
    model = load_model("skysense", "random", "tiny")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = published()
    half = dict(list(state.items())[: len(state) // 2])
    with pytest.raises(WeightsError, match="missing: "):
        load_into(model, plugin, half)
    stem = "backbone.patch_embed.projection.weight"
    with pytest.raises(WeightsError, match="of another shape: 1"):
        load_into(model, plugin, {**state, stem: torch.ones(32, 5, 4, 4)})
    assert same(model.state_dict(), before)


def test_every_parameter_is_needed_whatever_its_share() -> None:
    plugin: Any = registry.load("baselines", "skysense")
    model = load_model("skysense", "random", "tiny", parts=("hr",))
    state = published()
    coverage = load_into(model, plugin, state)
    assert isinstance(coverage, Coverage)
    assert coverage.share == 1
    assert coverage.missing[0] == "net.norms.0.weight"  # as the card declares
    del state["backbone.norm3.bias"]
    with pytest.raises(WeightsError, match=r"missing: 1 \(net\.norms\.3\.bias\)"):
        load_into(model, plugin, state)


def test_a_file_with_another_hash_is_refused_unless_given_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYBENCH_WEIGHTS", str(tmp_path))
    state = load_model("galileo", "random").state_dict()
    file = tmp_path / "galileo" / "encoder.pt"
    file.parent.mkdir()
    torch.save({k.removeprefix("net."): v for k, v in state.items()}, file)
    with pytest.raises(WeightsError, match="is not the published file's"):
        load_model("galileo")
    told = load_model("galileo", file).loaded
    assert "is not the published file's" in told.note
    assert (told.source, told.path, told.sha256) == ("file", str(file), sha256_file(file))


def test_the_shipped_imagenet_weights_load() -> None:
    told = load_model("imagenet", variant="tiny").loaded
    assert told.source == "file"
    assert told.note == "not read: _fc (2)"
    assert told.coverage == Coverage(1.0, (), (), (), unused=("_fc (2)",))


def test_galileos_published_weights_load(shared: Path) -> None:
    folder = shared / "weights" / "galileo_nano"
    if not folder.is_dir():
        pytest.skip("needs Galileo's published weights")
    told = load_model("galileo", folder).loaded
    assert told.note == ""
    assert told.coverage == Coverage(1.0, (), (), ())


def test_random_weights_follow_the_seed() -> None:
    first, again, other = (load_model("galileo", "random", "tiny", s) for s in (3, 3, 4))
    assert same(first.state_dict(), again.state_dict())
    assert not same(first.state_dict(), other.state_dict())


def test_random_weights_are_what_the_constructor_draws() -> None:
    plugin: Any = registry.load("baselines", "galileo")
    torch.manual_seed(3)
    assert same(
        load_model("galileo", "random", "tiny", 3).state_dict(), plugin.build("tiny").state_dict()
    )


def test_what_a_card_declares_as_missing_keeps_its_initial_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meta_init, "LARGE_PARAMETER", 1)
    plugin: Any = registry.load("baselines", "galileo")
    gone = "space_time_embed.S2_NIR_10m.proj.weight"
    weights = replace(plugin.CARD.weights, missing=(f"net.{gone}",))
    monkeypatch.setattr(plugin, "CARD", replace(plugin.CARD, weights=weights))
    state = {
        k.removeprefix("net."): v.clone()
        for k, v in load_model("galileo", "random", seed=1).state_dict().items()
    }
    lacking = state.pop(gone)
    model = load_model("galileo", state, seed=2)
    initial = load_model("galileo", "random", seed=2).state_dict()
    own = model.state_dict()
    assert torch.equal(own.pop(f"net.{gone}"), initial[f"net.{gone}"])
    assert same(own, {f"net.{k}": v for k, v in state.items()})
    assert not torch.equal(lacking, initial[f"net.{gone}"])
    told = load.partial_note(model.loaded)
    assert "lack 1 tensors of the network, which keep random values until" in told
    assert gone in told


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match=r"dtype to be one of float32, bfloat16, but got 'int8'"):
        load_model("galileo", "random", "tiny", dtype="int8")


def test_objects_in_a_file_are_told(tmp_path: Path) -> None:
    state = load_model("galileo", "random", "tiny").state_dict()
    content = {"model": {k.removeprefix("net."): v for k, v in state.items()}, "at": tmp_path}
    torch.save(content, tmp_path / "x.pth")
    note = load_model("galileo", tmp_path / "x.pth", "tiny").loaded.note
    assert re.search(r"not the published.*; objects beside tensors were left out: pathlib", note)


def test_a_declared_missing_key_does_not_count() -> None:
    model = load_model("skysense", "random", "tiny", parts=("hr",))
    own = {k: v for k, v in model.state_dict().items() if not k.startswith("net.stages.3.")}
    assert load.compare_keys(model, own).share < 0.5
    assert model.card.weights is not None
    lenient = replace(model.card.weights, missing=("net.stages.3.*",))
    model.card = replace(model.card, weights=lenient)
    assert load.compare_keys(model, own).share == 1


def test_a_model_that_learns_nothing_takes_no_weights() -> None:
    with pytest.raises(WeightsError, match="do not fit rcf"):
        load_model("rcf", {"model": {"bias": torch.ones(3)}})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    state = load_model("galileo", "random", "tiny").state_dict()
    state = {key.removeprefix("net."): tensor.clone() for key, tensor in state.items()}
    key = next(k for k in state if k.endswith("weight"))
    state[key].view(-1)[3] = bad
    with pytest.raises(WeightsError, match=rf"galileo hold NaN or infinity in 1 of \d+ .*{key}"):
        load_model("galileo", state, "tiny")


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(UsageError, match="Did you mean 'skysense'"):
        load_model("skysens")
