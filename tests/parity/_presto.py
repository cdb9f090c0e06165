"""Presto's goldens: encodings, tokens, and what the published decoder makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.baselines._networks.presto import GROUPS, LAND_COVER, BandGroup, Presto
from skybench.core.model import Model
from skybench.weights.checkpoint_file import read_checkpoint
from skybench.weights.load import load_model

from ._golden import Runner, native

ALL = (*GROUPS, LAND_COVER)
DECODER = "decoder."


def load(case: Mapping[str, Any], state: Mapping[str, Tensor] | Path) -> Model:
    """The adapter, and beside it the file's decoder, which it leaves out."""
    published = read_checkpoint(state) if isinstance(state, Path) else state
    model: Any = load_model("presto", dict(published))
    model.decoder = {k.removeprefix(DECODER): t for k, t in published.items() if DECODER in k}
    loaded: Model = model
    return loaded


def run(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """With all groups; without Sentinel-1; without Sentinel-1 and land cover."""
    place = torch.tensor(case["meta"]["inputs"]["latlons"]["value"])
    everything = _series(case, [3])
    tokens = model.net(_without(everything, "S1"), place)
    other = model.net(_without(_series(case, [3, 11]), "S1"), place)
    bare = model.net(_without(_series(case, [0]), "S1", LAND_COVER), place)
    months = everything["S1"].months
    normed = model.net.norm(tokens)
    values, cover = _decoded(model, normed, months)
    dates = months.shape[1]
    kept = torch.arange(dates, dates + normed.shape[1] - 1).expand(len(months), -1)
    return {
        "pooled_nomask": model.net.pool(model.net(everything, place)),
        "pooled_S1masked": model.net.pool(other),
        "pooled_noDW": model.net.pool(bare),
        "tokens_S1masked": normed,
        "kept_indices": kept,  # the first group is masked
        "recon_x": values,
        "recon_dw": cover,
    }


def _series(case: Mapping[str, Any], first: list[int]) -> dict[str, BandGroup]:
    """All groups of a case's pixels; first: the month of each pixel's first date, or of all."""
    x, land = native(case, "x"), case["meta"]["inputs"]["dynamic_world"]
    made = torch.Generator().manual_seed(land["seed"])
    low, high = land["randint"]
    classes = torch.randint(low, high, land["shape"], generator=made)
    months = (torch.tensor(first)[:, None] + torch.arange(x.shape[1])) % 12
    months = months.expand(len(x), -1)
    parts = dict(zip(ALL, (*torch.split(x, list(GROUPS.values()), 2), classes), strict=True))
    parts["SRTM"] = parts["SRTM"][:, :1]
    return {name: BandGroup(part, months) for name, part in parts.items()}


def _without(series: Mapping[str, BandGroup], *names: str) -> dict[str, BandGroup]:
    return {name: group for name, group in series.items() if name not in names}


def _decoded(model: Any, tokens: Tensor, months: Tensor) -> tuple[Tensor, Tensor]:
    """All groups and land cover again from the tokens of all groups but Sentinel-1."""
    state = model.decoder

    def linear(name: str, x: Tensor) -> Tensor:
        out: Tensor = F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])
        return out

    net = Presto(tokens.shape[-1], 2, 8)
    bare = {k.removeprefix("decoder_"): t for k, t in state.items()}
    own = {k: t for k, t in bare.items() if k.startswith(("blocks.", "norm."))}
    net.load_state_dict(own, strict=False)
    net.pos_embed = nn.Parameter(state["pos_embed"])
    net.month_embed.weight = nn.Parameter(state["month_embed.weight"])
    net.channel_embed = model.net.channel_embed  # one table serves both
    codes = {name: net.codes(name, months) for name in ALL}
    x = linear("decoder_embed", tokens)
    masked = state["mask_token"].expand_as(codes["S1"])
    codes_of_all = torch.cat((torch.zeros_like(x[:, :1]), *codes.values()), 1)
    x = torch.cat((x[:, :1], masked, x[:, 1:]), 1) + codes_of_all
    for block in net.blocks:
        x = block(x)
    parts = net.norm(x)[:, 1:].split([code.shape[1] for code in codes.values()], 1)
    named = dict(zip(ALL, parts, strict=True))
    groups = [linear(f"eo_decoder_pred.{name}", named[name]) for name in GROUPS]
    values = torch.cat([g.expand(-1, months.shape[1], -1) for g in groups], -1)
    return values, linear("dw_decoder_pred", named[LAND_COVER])


RUNNERS = {"presto": Runner(load, run)}


def _months_from_1(model: Any) -> None:
    model.net.month_embed.weight.data = model.net.month_embed.weight.roll(-1, 0)


def _longitude_first(model: Any) -> None:
    forward = model.net.forward
    model.net.forward = lambda groups, place: forward(groups, place.flip(1))


def _normed_before_the_mean(model: Any) -> None:
    model.net.pool = lambda tokens: model.net.norm(tokens).mean(1)


MISTAKES = [
    ("presto", _months_from_1),
    ("presto", _longitude_first),
    ("presto", _normed_before_the_mean),
]
