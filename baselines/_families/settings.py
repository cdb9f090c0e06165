"""Choosing a variant of a network and overriding single settings of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from skybench.core import UsageError

S = TypeVar("S")


def choose(variants: Mapping[str, S], variant: str, arch: Mapping[str, Any]) -> S:
    """The settings (a frozen dataclass) of a variant, with `arch` in place of some of them.

    Raises UsageError for a variant or a setting that does not exist.
    """
    if variant not in variants:
        raise UsageError(f"No variant {variant!r}. Known: {', '.join(variants)}.")
    settings: Any = variants[variant]
    known = [f.name for f in dataclasses.fields(settings)]
    unknown = sorted(set(arch) - set(known))
    if unknown:
        raise UsageError(
            f"No setting {unknown[0]!r} of this network. Known: {', '.join(known) or 'none'}."
        )
    chosen: S = dataclasses.replace(settings, **arch)
    return chosen
