"""Settings of a plugin's variants, with overrides by the user."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from skybench.core import UsageError

S = TypeVar("S")


def variant_settings(variants: Mapping[str, S], variant: str, arch: Mapping[str, Any]) -> S:
    """Return the settings (a frozen dataclass) of a variant, with the overrides in `arch`.

    Raises UsageError for an unknown variant or setting.
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


def check_width(dim: int, factor: int, heads: int = 1) -> None:
    """Raise UsageError unless `dim` is a multiple of `factor` and of the number of heads."""
    if dim % factor or dim % heads:
        wanted = f"{factor} and of {heads} heads" if heads > 1 else f"{factor}"
        raise UsageError(f"Expected dim to be a multiple of {wanted}, but got {dim}.")
