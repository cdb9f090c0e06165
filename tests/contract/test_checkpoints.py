"""What every model makes of files in its published layout, and of others."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skybench.core import WeightsError, registry, variants
from skybench.core.model import Model
from skybench.weights import coverage, identify, meta_init
from skybench.weights.load import load_model

from ._batches import random_batch

PLUGINS = {name: registry.model(name) for name in registry.names("baselines")}
NAMES = [n for n, p in PLUGINS.items() if not p.CARD.unavailable and p.CARD.weights]
TINY = [(n, v) for n in NAMES for v in PLUGINS[n].VARIANTS if v.startswith("tiny")]
FIRST = [(n, variants.resolve_variants(PLUGINS[n], "tiny")[0]) for n in NAMES]


@functools.cache
def source(name: str, variant: str) -> Model:
    return load_model(name, "random", variant, seed=5)


@functools.cache
def layout(name: str, variant: str) -> str | None:
    """Prefix of the network's keys that published layouts lack; None if more differs."""
    own = source(name, variant).state_dict()
    for prefix in ("net.", ""):
        state = {key.removeprefix(prefix): tensor for key, tensor in own.items()}
        try:
            covered = coverage.measure_coverage(PLUGINS[name], variant, state)
            whole = len(coverage.convert_keys(PLUGINS[name], state)) == len(own)
            if whole and covered.share == 1:
                return prefix
        except WeightsError:
            continue
    return None


@pytest.fixture
def published(name: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """A state dict in a published layout.

    Conversions that do more than rename are proven by the goldens; here they are put aside.
    """
    prefix = layout(name, variant)
    if prefix is None:
        monkeypatch.setattr(PLUGINS[name], "convert", dict)
        monkeypatch.delattr(PLUGINS[name], "settings", raising=False)
    own = source(name, variant).state_dict()
    return {key.removeprefix(prefix or ""): tensor.clone() for key, tensor in own.items()}


def test_most_layouts_are_real() -> None:
    assert sum(layout(*case) is not None for case in FIRST) > 0.6 * len(FIRST)


def wrapped(state: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"state_dict": dict(state), "epoch": 1}


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items()}


def as_safetensors(state: Mapping[str, Tensor], path: Path) -> None:
    save_file({k: v.contiguous() for k, v in state.items()}, path)


Write = Callable[[Mapping[str, Tensor], Path], None]
FORMS: dict[str, Write] = {
    "parallel": lambda s, p: torch.save(wrapped({f"module.{k}": v for k, v in s.items()}), p),
    "fp16": lambda s, p: torch.save(wrapped(halved(s)), p),
    "safetensors": as_safetensors,
}


def assert_same(model: Model, expected: Model, tolerance: float = 0.0) -> None:
    own = expected.state_dict()
    for key, x in model.state_dict().items():
        torch.testing.assert_close(x, own[key], atol=tolerance, rtol=tolerance, msg=key)
    buffers = dict(expected.named_buffers())  # also those that are in no file
    for key, x in model.named_buffers():
        torch.testing.assert_close(x, buffers[key], atol=tolerance, rtol=tolerance, msg=key)
    grads = {k: p.requires_grad for k, p in expected.named_parameters()}
    assert {k: p.requires_grad for k, p in model.named_parameters()} == grads


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_a_state_dict_in_the_published_layout_fills_the_network(
    name: str, variant: str, published: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        meta_init, "LARGE_PARAMETER", 1
    )  # no parameter has memory before it is filled
    model = load_model(name, wrapped(published), variant)
    assert model.loaded.coverage is not None
    assert (model.loaded.coverage.share, model.loaded.coverage.mismatched) == (1, ())
    assert_same(model, source(name, variant))
    assert not any(x.is_meta for x in (*model.parameters(), *model.buffers()))


@pytest.mark.parametrize(("name", "variant"), FIRST)
@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_every_form_is_read(
    name: str, variant: str, published: dict[str, Tensor], form: str, tmp_path: Path
) -> None:
    FORMS[form](published, tmp_path / "mine.pth")
    loaded = load_model(name, tmp_path / "mine.pth", variant)
    assert_same(loaded, source(name, variant), 0.01 if form == "fp16" else 0.0)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert (loaded.loaded.source, loaded.loaded.path) == ("file", str(tmp_path / "mine.pth"))


class Trap:
    """Unpickling it would make a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(("name", "variant"), FIRST)
def test_code_in_a_file_is_not_run_and_told(
    name: str, variant: str, published: dict[str, Tensor], tmp_path: Path
) -> None:
    trap = Trap(tmp_path / "ran")
    content = {"hyper_parameters": trap, "model": {**published, "hook": trap}}
    torch.save(content, tmp_path / "x.pth")
    loaded = load_model(name, tmp_path / "x.pth", variant)
    assert not trap.mark.exists()
    assert "objects beside tensors were left out: posix.mkdir" in loaded.loaded.note
    assert_same(loaded, source(name, variant))


@pytest.mark.parametrize(("name", "variant"), FIRST)
def test_a_file_cut_short_is_refused(
    name: str, variant: str, published: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(wrapped(published), tmp_path / "x.pth")
    whole = (tmp_path / "x.pth").read_bytes()
    (tmp_path / "x.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="it was cut short"):
        load_model(name, tmp_path / "x.pth", variant)


def reshaped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: torch.cat((v, v)) if v.ndim else v for k, v in state.items()}


WRONG: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]] = {
    "renamed": lambda state: {f"x_{k}": v for k, v in state.items()},
    "of another size": reshaped,
    "numbered": lambda state: {str(i): v for i, v in enumerate(state.values())},
}


@pytest.mark.parametrize(("name", "variant"), FIRST)
@pytest.mark.parametrize("wrong", WRONG)
def test_another_networks_weights_are_refused(
    name: str,
    variant: str,
    published: dict[str, Tensor],
    wrong: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if (name, wrong) == ("imagenet", "numbered"):
        pytest.skip("its file is read by position")
    monkeypatch.setattr(identify, "model_hint", lambda _: "")  # it asks all models
    with pytest.raises(WeightsError, match=f"do not fit {name}"):
        load_model(name, {"model": WRONG[wrong](published)}, variant)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_are_unambiguous(name: str) -> None:
    cards = [variants.variant_card(PLUGINS[name], v) for v in PLUGINS[name].VARIANTS]
    sources = {c.weights.filename: c.weights for c in cards if c.weights}
    for filename, file in sources.items():
        assert Path(filename).name == filename, "it lies in the model's own folder"
        assert file.noncommercial or "non-commercial" not in file.licence.lower()
        assert not file.md5 or re.fullmatch("[0-9a-f]{32}", file.md5)
        assert not file.sha256 or re.fullmatch("[0-9a-f]{8}([0-9a-f]{56})?", file.sha256)
        assert not file.url or re.match("https://", file.url)
    files = getattr(PLUGINS[name], "FILES", {})
    assert all(isinstance(n, str) and isinstance(p, str) for n, p in files.items())


@pytest.mark.parametrize("name", NAMES)
def test_no_card_says_that_objects_beside_tensors_keep_a_file_from_being_read(name: str) -> None:
    for variant in PLUGINS[name].VARIANTS:
        card = variants.variant_card(PLUGINS[name], variant)
        told = " ".join((card.weights.obtain if card.weights else "", *card.caveats))
        assert not re.search(r"saved anew|does not open|skybench refuses|it is refused", told)


@pytest.mark.parametrize(("name", "variant"), FIRST)
def test_bfloat16_gives_about_the_same_features(
    name: str, variant: str, published: dict[str, Tensor]
) -> None:
    whole, half = (load_model(name, published, variant, dtype=d) for d in ("float32", "bfloat16"))
    with torch.inference_mode():
        given = random_batch(whole.card, [whole.card.inputs[0].name], 1, square=True, seed=0)
        expected, found = whole(given), half(given)
    for a, b in zip(
        (expected.pooled, *expected.pyramid), (found.pooled, *found.pyramid), strict=True
    ):
        assert b.dtype == found.pooled.dtype == torch.float32
        assert float((a - b).norm() / a.norm()) < 0.05
    assert float((expected.pooled - found.pooled).norm() / expected.pooled.norm()) < 0.05
    sizes = [sum(p.numel() * p.element_size() for p in m.parameters()) for m in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]
