"""Settings of variants: overrides, unknown names, and widths that do not fit the heads."""

import importlib
from dataclasses import dataclass

import pytest

from skybench.core import UsageError

family = importlib.import_module("skybench.baselines._families.settings")


@dataclass(frozen=True)
class Arch:
    dim: int = 64
    depth: int = 2


VARIANTS = {"full": Arch(), "tiny": Arch(8, 1)}


def test_single_settings_are_overridden() -> None:
    assert family.variant_settings(VARIANTS, "tiny", {"depth": 3}) == Arch(8, 3)


def test_unknown_variants_and_settings_are_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'big'.*full, tiny"):
        family.variant_settings(VARIANTS, "big", {})
    with pytest.raises(UsageError, match=r"'width'.*dim, depth"):
        family.variant_settings(VARIANTS, "full", {"width": 1})


def test_a_width_is_a_multiple_of_factor_and_heads() -> None:
    family.check_width(48, 16, 3)
    with pytest.raises(UsageError, match="a multiple of 16, but got 40"):
        family.check_width(40, 16)
    with pytest.raises(UsageError, match="a multiple of 4 and of 3 heads, but got 16"):
        family.check_width(16, 4, 3)
