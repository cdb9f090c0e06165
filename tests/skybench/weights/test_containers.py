"""State dicts are found in any container, and a choice among several is never made silently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from skybench.core import UsageError, WeightsError
from skybench.weights.containers import as_tensor, choose_state

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}
OTHER = {key: tensor + 1 for key, tensor in STATE.items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def state_of(content: Any, origin: str = "it", **choice: str) -> dict[str, Tensor]:
    return choose_state(content, origin, **choice).state


def test_containers_within_containers_are_removed_and_settings_are_none() -> None:
    content = {"model": {"name": "vit"}, "state_dict": {"net": STATE}}
    assert same(state_of(content, "it"), STATE)


def test_known_containers_win_over_other_dicts() -> None:
    other = {"x": torch.zeros(9)}
    assert same(state_of({"encoder": STATE, "decoder": other}, "it"), STATE)
    assert same(state_of({"model": {"settings": other}, "state_dict": STATE}, "it"), STATE)
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}
    assert same(state_of({"optimizer": optimizer, "backbone": {"teacher": STATE}}, "it"), STATE)


def test_several_state_dicts_become_one() -> None:
    parts = {"s1_encoder": {"a": torch.ones(1)}, "s2_encoder": {"a": torch.ones(2), "n": 3}}
    flat = {"s1_encoder.a": torch.ones(1), "s2_encoder.a": torch.ones(2)}
    assert same(state_of({**parts, "epoch": 3}, "it"), flat)
    assert same(state_of({"model": parts}, "it"), flat)
    assert same(state_of({"mae_model": STATE, "epoch": 3}, "it"), STATE)  # a container after all


def test_a_dict_that_holds_itself_is_left() -> None:
    endless: dict[str, Any] = {"epoch": 1}
    endless["model"] = endless["state_dict"] = endless["net"] = endless
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        state_of(endless, "it")


def test_deep_and_listed_containers_are_opened() -> None:
    deep = {"checkpoint": {"model": {"state_dict": {"net": {"encoder": STATE}}}}}
    found = choose_state(deep, "it")
    assert same(found.state, STATE)
    assert found.path == "checkpoint.model.state_dict.net.encoder"
    assert same(state_of([STATE, {"optimizer": {"state": {0: {"exp_avg": torch.ones(9)}}}}]), STATE)


@pytest.mark.parametrize(
    ("raw", "ema"),
    [
        ("model", "model_ema"),
        ("state_dict", "state_dict_ema"),
        ("model_state_dict", "ema_state_dict"),
        ("student", "teacher"),
        ("net", "ema"),
        ("model", "averaged_model"),
    ],
)
@pytest.mark.parametrize("flat", [True, False])
def test_of_two_sets_of_weights_one_must_be_chosen(raw: str, ema: str, flat: bool) -> None:
    nested = {raw: STATE, ema: OTHER}
    joined = {f"{name}.{key}": x for name, state in nested.items() for key, x in state.items()}
    content = {"state_dict": joined} if flat else {**nested, "epoch": 3}
    with pytest.raises(WeightsError, match=f"2 sets of weights, .*{ema}.*--arch weights="):
        choose_state(content, "it")
    for which, expected in (("raw", STATE), ("student", STATE), ("ema", OTHER), ("teacher", OTHER)):
        found = choose_state(content, "it", which)
        assert same(found.state, expected)
        assert (ema if expected is STATE else raw) in found.others
    assert same(state_of(content, usual="teacher"), OTHER)


def test_the_authors_choice_is_no_matter_where_there_is_one_set() -> None:
    assert same(state_of({"student": STATE}, usual="teacher"), STATE)
    assert choose_state({"student": STATE}, "it").others == ""


def test_a_choice_that_a_file_does_not_offer_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"has no ema weights, only model \(raw\)"):
        choose_state({"model": STATE}, "it", "ema")
    with pytest.raises(UsageError, match="Expected weights to be one of raw, student, ema, teach"):
        choose_state({"model": STATE}, "it", "best")


def test_arrays_are_tensors_too() -> None:
    arrays = {key: tensor.numpy() for key, tensor in STATE.items()}
    assert same(state_of({"model": arrays}), STATE)
    assert as_tensor(np.array(["x"])) is None
    assert as_tensor(3) is None


def test_what_belongs_to_the_training_is_no_set_of_weights() -> None:
    settings = {"hyper_parameters": {"class_weights": torch.ones(99)}, "dino_loss": {"c": STATE}}
    content = {"state_dict": STATE, "optimizer_states": [{"state": {}}], **settings}
    assert same(state_of(content), STATE)


@pytest.mark.parametrize(
    ("raw", "ema"),
    [("encoder", "target_encoder"), ("model", "polyak"), ("MODEL", "EMA"), ("model", "x.shadow")],
)
def test_averages_of_other_names_are_a_choice_too(raw: str, ema: str) -> None:
    inner: Any = OTHER
    for name in reversed(ema.split(".")):
        inner = {name: inner}
    with pytest.raises(WeightsError, match=r"2 sets of weights, .*--arch weights="):
        choose_state({raw: STATE, **inner}, "it")
    assert same(state_of({raw: STATE, **inner}, which="ema"), OTHER)


def test_averages_below_a_common_prefix_and_in_callbacks_are_found() -> None:
    flat = {f"net.model.{key}": x for key, x in STATE.items()}
    flat |= {f"net.ema_model.module.{key}": x for key, x in OTHER.items()}
    nested = {"state_dict": STATE, "callbacks": {"EMACallback": {"ema_state_dict": OTHER}}}
    for content in ({"state_dict": flat}, nested):
        with pytest.raises(WeightsError, match="2 sets of weights"):
            choose_state(content, "it")
        assert same(state_of(content, which="ema"), OTHER)
    score = {"ModelCheckpoint": {"best_model_score": torch.ones(1)}}
    assert same(state_of({"state_dict": STATE, "callbacks": score}), STATE)


@pytest.mark.parametrize(
    "content",
    [
        {"model": STATE, "best_state_dict": OTHER},
        {"state_dict": STATE, "model": OTHER},
        {"model": STATE, "init": {f"module.{k}": x for k, x in OTHER.items()}},
        [STATE, OTHER],
    ],
)
def test_two_networks_without_a_role_are_refused(content: Any) -> None:
    with pytest.raises(WeightsError, match="it holds the weights of 2 networks of the same shapes"):
        choose_state(content, "it")


def test_a_copy_under_another_name_is_no_second_network() -> None:
    copy = {f"module.{key}": x.clone() for key, x in STATE.items()}
    assert same(state_of({"model": STATE, "state_dict": copy}), STATE)


def test_averages_without_names_are_told() -> None:
    content = {"model": STATE, "ema": {"decay": 0.9, "shadow_params": [*OTHER.values()]}}
    with pytest.raises(WeightsError, match="--arch weights=ema or --arch weights=raw"):
        choose_state(content, "it")
    with pytest.raises(WeightsError, match=r"ema\.shadow_params\) as a list without names"):
        choose_state(content, "it", "ema")
    assert same(state_of(content, which="raw"), STATE)


@pytest.mark.parametrize("name", ["exp_avg", "momentum_buffer", "gradients"])
def test_the_state_of_an_optimizer_is_no_network(name: str) -> None:
    with pytest.raises(WeightsError, match="no tensors by name"):
        choose_state({name: STATE}, "it")
