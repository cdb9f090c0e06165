"""SkySense's goldens: single branches from their split files, the whole from the joint file.

The first argument is a case's keys.json, `state` its synthetic checkpoint or a file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skybench.core import Batch
from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native

DAY_2019 = 17897  # 1 January 2019, in days since 1970-01-01


def load_hr(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """The branch for images of high resolution, with a key that no network has."""
    settings = case["meta"]["constructor"]
    arch = {} if settings["arch"] == "huge" else _swin(settings["arch"])
    arch |= {k: settings[k] for k in ("in_channels", "pad_small_map") if k in settings}
    if not isinstance(state, Path):
        width = arch.get("embed_dims", 352)
        device = next(iter(state.values())).device
        state = {**state, "backbone.mask_token": torch.zeros(1, 1, width, device=device)}
        return load_model("skysense", {"model": state}, **arch)
    return load_model("skysense", state, **arch)


def run_hr(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four stages and their pooled vector."""
    features = model.extract(native(case, "x"))
    stages = {f"stage{i}": level for i, level in enumerate(features.pyramid)}
    return {**stages, "pooled": features.pooled}


def load_vit(case: Mapping[str, Any], state: Any) -> Model:
    """One Sentinel branch; its file holds the calendar embedding as well."""
    calendar = torch.zeros(1, 365, 2816, device=next(iter(state.values())).device)
    return load_model("skysense", {**state, "ctpe": calendar}, **_vit(case["meta"]["constructor"]))


def run_vit(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The map and the class token after each layer, and the pooled vector."""
    images = native(case, "x")
    (name,) = (sensor.name for sensor in model.card.inputs)
    with recorded(model.get_submodule(name).layers) as layers:
        features = model.features(batch({name: images[:, None]}))
    (last,) = features.pyramid
    outputs = {"pooled": features.pooled}
    for index, tokens in enumerate(layers):
        outputs[f"layer{index}"] = tokens[:, 1:].mT.reshape(last.shape)
        outputs[f"layer{index}_cls"] = tokens[:, 0]
    assert torch.equal(outputs[f"layer{len(layers) - 1}"], last)
    return outputs


def load_fusion(case: Mapping[str, Any], state: Any) -> Model:
    """The fusion transformer."""
    return load_model("skysense", {"state_dict": state}, **_fusion(case["meta"]["constructor"]))


def run_fusion(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The fused vectors, and all tokens after the first and the last block."""
    fusion = model.fusion
    with recorded(fusion.layers) as layers:
        fused = fusion(fusion.project(native(case, "x")))
    return {"out": fused, "block_first": layers[0], "block_last": layers[-1]}


def load_uphead(case: Mapping[str, Any], state: Any) -> Model:
    """One head, under its prefix in the joint file: bare keys do not tell whose it is."""
    settings = case["meta"]["constructor"]
    arch = {"vit_dims": settings["in_dim"], "embed_dims": settings["out_dim"] // 8}
    joint = {f"head_s2.{key}": tensor for key, tensor in state.items()}
    return load_model("skysense", {"model": joint}, **arch)


def run_uphead(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The spread-out map."""
    return {"out": model.get_submodule("head_s2")(native(case, "x"))}


def load_full(case: Mapping[str, Any], state: Any) -> Model:
    """Everything from the joint file."""
    settings = case["meta"]["constructor"]
    arch = {**_vit(settings["backbone_s2"]), **_fusion(settings["fusion"])}
    arch |= _swin(settings["backbone_gep"]["arch"])
    return load_model("skysense", {"model": state}, **arch)


def run_full(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Fused maps of several sets of sensors, with and without dates, and tokens on the way."""
    s2, s1 = (native(case, name).transpose(1, 2) for name in ("s2", "s1"))  # [B, T, C, H, W]
    images = {"hr": native(case, "hr")[:, None], "s2": s2, "s1": s1}
    days = {"s2": DAY_2019 + torch.tensor(case["meta"]["inputs"]["s2_dates"]["values"])}
    sentinel = {"s2": s2, "s1": s1}
    unknown = torch.full((len(s2),), -1)

    def tokens(name: str) -> Tensor:
        dates = [model.tokens(name, x, unknown) for x in images[name].unbind(1)]
        return torch.stack(dates, 1).flatten(3).permute(0, 3, 1, 2)  # [B, places, T, C]

    whole = model.features(batch(images, days))
    high = whole.pyramid[-2]
    return {
        "hr_stage3": high,
        "s2_tokens": tokens("s2"),
        "s1_tokens": tokens("s1").flatten(0, 1),
        "fused_hr_s2_s1": whole.pyramid[-1],
        "fused_hr_s2_s1_noctpe": model.fuse(batch(images), high),
        "fused_s2": model.fuse(batch({"s2": s2}, days), None),
        "fused_s2_s1": model.fuse(batch(sentinel, days), None),
        "pooled": whole.pooled,
    }


def batch(images: Mapping[str, Tensor], days: Mapping[str, Tensor] | None = None) -> Batch:
    """Every date is seen; a day that is not given is unknown."""
    seen = {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in images.items()}
    unknown = {name: torch.full(x.shape[:2], -1) for name, x in images.items()}
    return Batch((), images, seen, {**unknown, **(days or {})}, torch.zeros(0, 2))


@contextlib.contextmanager
def recorded(modules: Iterable[Any]) -> Iterator[list[Tensor]]:
    """The outputs of modules, in the order in which they run."""
    outputs: list[Tensor] = []
    hooks = [m.register_forward_hook(lambda *call: outputs.append(call[-1])) for m in modules]
    yield outputs
    for hook in hooks:
        hook.remove()


def _swin(settings: Mapping[str, Any]) -> dict[str, Any]:
    assert settings["extra_norm_every_n_blocks"] == 6
    return {key: value for key, value in settings.items() if key != "extra_norm_every_n_blocks"}


def _vit(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = {"embed_dims": "vit_dims", "num_layers": "vit_layers", "num_heads": "vit_heads"}
    found = {ours: settings[theirs] for theirs, ours in names.items() if theirs in settings}
    return {**found, "vit_grid": settings.get("img_size", 64) // 4}


def _fusion(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "embed_dims": settings["input_dims"] // 8,
        "fusion_dims": settings["embed_dims"],
        "fusion_layers": settings["num_layers"],
        "fusion_heads": settings["num_heads"],
    }


RUNNERS = {
    "skysense_hr": Runner(load_hr, run_hr),
    "skysense_s2": Runner(load_vit, run_vit),
    "skysense_s1": Runner(load_vit, run_vit),
    "skysense_fusion": Runner(load_fusion, run_fusion),
    "skysense_uphead": Runner(load_uphead, run_uphead),
    "skysense_full": Runner(load_full, run_full),
}


def _without_extra_norm(model: Any) -> None:
    model.net.stages[2].blocks[5].norm3 = None


def _without_shift(model: Any) -> None:
    model.net.stages[0].blocks[1].shifted = False


def _with_tanh(model: Any) -> None:
    for stage in model.net.stages:
        for block in stage.blocks:
            block.ffn[1] = torch.nn.GELU("tanh")


def _with_finer_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.eps = 1e-6


def _a_day_late(model: Any) -> None:
    model.ctpe.data = model.ctpe.roll(1, 1)


MISTAKES = [
    ("skysense_hr_tiny_sharp", _without_extra_norm),
    ("skysense_hr_tiny_sharp", _without_shift),
    ("skysense_hr_tiny_sharp", _with_tanh),
    ("skysense_s1_tiny", _with_finer_epsilon),
    ("skysense_full_tiny", _a_day_late),
]
