"""Keys are also read below a common prefix, and without what torch wraps modules in."""

from __future__ import annotations

import torch
from torch import Tensor

from skybench.weights import layouts

from .test_coverage import plugin, state

BIG = {"layer.weight": torch.ones(4, 4), "layer.bias": torch.ones(4)}


def keys(given: dict[str, Tensor]) -> list[list[str]]:
    return [[*layout] for layout in layouts.key_layouts(given)]


def prefixed(prefix: str, given: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in given.items()}


def test_a_prefix_is_dropped_also_where_other_keys_lack_it() -> None:
    for prefix in ("module.", "model.", "student.backbone.", "0."):
        mixed = {**prefixed(prefix, state()), "head.weight": torch.ones(2)}
        assert [*mixed] in keys(mixed)
        assert any({*state()} <= {*found} for found in keys(mixed)[1:])


def test_the_names_of_wrappers_are_dropped_anywhere() -> None:
    for prefix in ("_orig_mod.", "module._orig_mod.", "net._fsdp_wrapped_module."):
        assert [*state()] in keys(prefixed(prefix, state()))
    inner = {
        key.replace("layer.", "layer._checkpoint_wrapped_module."): x for key, x in BIG.items()
    }
    assert [*BIG] in keys(inner)


def test_numbered_blocks_are_in_a_network_and_not_around_it() -> None:
    blocks = {f"blocks.{i}.weight": torch.ones(9) for i in range(5)}
    assert all(
        all(k.startswith("blocks.") or k[0].isdigit() for k in keys) for keys in keys(blocks)
    )
    assert ["weight"] not in keys(blocks)


def test_what_is_small_is_no_network() -> None:
    given = {**prefixed("net.", {"w": torch.ones(999)}), **prefixed("loss.", {"w": torch.ones(1)})}
    assert keys(given) == [[*given], ["w"]]


def test_the_layout_that_a_plugin_expects_is_taken() -> None:
    parallel = {f"module.{k}": v for k, v in state().items()}
    assert [*layouts.best_layout(plugin(), "full", parallel)] == [*state()]

    def as_published(given: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k.removeprefix("module."): v for k, v in given.items() if k.startswith("module.")}

    expects = plugin(convert=as_published)
    assert [*layouts.best_layout(expects, "full", parallel)] == [*parallel]


def test_a_part_does_not_stand_for_a_file_that_nearly_fits() -> None:
    given = {**state(), "layer.bias": torch.ones(3), "net.layer.weight": torch.ones(4, 4)}
    given["net.layer.bias"] = torch.ones(4)
    assert layouts.best_layout(plugin(), "full", given).keys() == given.keys()


def test_a_variant_is_named_below_any_prefix() -> None:
    named = plugin(variant_of=lambda given: "tiny" if "layer.bias" in given else "")
    assert layouts.find_variant(named, prefixed("a.b.", state())) == "tiny"
    assert layouts.find_variant(named, {"x": torch.ones(1)}) == ""
