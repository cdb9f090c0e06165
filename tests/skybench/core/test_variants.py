"""Variants: which is meant, which suits a dataset, and settings given as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.core import REFLECTANCE, UINT8, CannotRun, ModelCard, Sensor, UsageError, variants

RGB = Sensor("hr", ("red", "green", "blue"), 0.3, UINT8)
S2 = Sensor("s2", ("red", "nir"), 10.0, REFLECTANCE)
DATA_S2 = Sensor("s2", ("blue", "green", "red", "nir"), 10.0, REFLECTANCE)


@dataclass(frozen=True)
class Arch:
    width: int = 8
    rate: float = 0.5
    deep: bool = False
    bands: tuple[str, ...] = ()
    sizes: tuple[int, ...] = (1, 2)


CARD = ModelCard("toy", "Toy", "extra", (RGB,), 8, (), "ours", "ours", "none")


def card(variant: str, **arch: Any) -> ModelCard:
    inputs = (S2,) if variant.endswith("ms") else (RGB,)
    return replace(CARD, inputs=inputs, dim=arch.get("width", 8))


TOY: Any = SimpleNamespace(
    CARD=CARD, card=card, VARIANTS={n: Arch() for n in ("rgb", "ms", "tiny", "tiny_ms")},
    PICK={"full": ("rgb", "ms"), "tiny": ("tiny", "tiny_ms")},
)  # fmt: skip
PLAIN: Any = SimpleNamespace(CARD=CARD, VARIANTS={"full": 1, "tiny": 2})


def test_a_name_means_one_variant_or_what_the_plugin_says() -> None:
    assert variants.resolve_variants(TOY, "full") == ("rgb", "ms")
    assert variants.resolve_variants(TOY, "ms") == ("ms",)
    assert variants.resolve_variants(PLAIN, "tiny") == ("tiny",)
    with pytest.raises(UsageError, match="Known: full, tiny, rgb, ms, tiny_ms"):
        variants.resolve_variants(TOY, "huge")


def test_the_variant_that_suits_the_sensors_is_taken() -> None:
    chosen = {
        name: variants.select_variant(TOY, "full", sensors, {})[0]
        for name, sensors in {"s2": (DATA_S2,), "hr": (RGB,), "both": (DATA_S2, RGB)}.items()
    }
    # RGB could be had from Sentinel-2 by convention; the network made for it comes first.
    assert chosen == {"s2": "ms", "hr": "rgb", "both": "rgb"}
    assert variants.select_variant(TOY, "tiny", (DATA_S2,), {})[0] == "tiny_ms"
    assert variants.select_variant(TOY, "rgb", (DATA_S2,), {})[0] == "rgb"


def test_where_none_suits_every_need_is_told() -> None:
    thermal = Sensor("s3", ("thermal",), 1000.0, REFLECTANCE)
    with pytest.raises(CannotRun, match=r"needs hr .*; toy needs s2"):
        variants.select_variant(TOY, "full", (thermal,), {})


def test_settings_are_values_of_their_kind_and_reach_the_card() -> None:
    asked = {
        "width": "16", "rate": "0.25", "deep": "True", "bands": "a,b", "sizes": "3", "other": "x"
    }  # fmt: skip
    assert variants.parse_settings(TOY, "rgb", asked) == {
        "width": 16, "rate": 0.25, "deep": True, "bands": ("a", "b"), "sizes": (3,)
    }  # fmt: skip
    assert variants.select_variant(TOY, "rgb", (RGB,), {"width": "16"})[1].dim == 16
    assert variants.parse_settings(PLAIN, "full", asked) == {}


@pytest.mark.parametrize(
    ("name", "text"), [("width", "wide"), ("deep", "1"), ("sizes", "1,x"), ("rate", "")]
)
def test_a_setting_of_another_kind_is_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"Expected {name} to be like"):
        variants.parse_settings(TOY, "rgb", {name: text})
