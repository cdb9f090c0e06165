"""Identification of a published checkpoint by its keys and shapes, without building networks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import ModelCard, WeightsError, loaded, registry, variants
from skybench.weights import coverage, layouts

if TYPE_CHECKING:
    from torch import Tensor

# Bounds of a file's elements, relative to the model's parameters, for the model to be compared:
# positional embeddings may differ in size, and a file may include heads (MOST), or be one of
# several parts (PART). Building models for the comparison is what takes time.
LEAST, MOST, PART = 0.9, 1.5, 0.01
PATIENCE = 2.0  # seconds that a refusal may take to find the model that weights belong to
CLOSE = 0.5  # least coverage of a model to be named
MAIN_SHARE = 0.5  # least share of a file's elements below a prefix of its keys


class PublishedMatch(NamedTuple):
    """A published file that a state dict may come from."""

    card: ModelCard  # of the first variant that the file fits
    variants: tuple[str, ...]  # all variants that the file fits
    filename: str
    coverage: loaded.Coverage

    @property
    def title(self) -> str:
        """The model, the variants and the file, for a message."""
        return f"{self.card.name} ({', '.join(self.variants)}; {self.filename})"


def identify_weights(state: Mapping[str, Tensor]) -> list[PublishedMatch]:
    """Return the published files that a state dict may come from; several for shared networks.

    Only the files that leave the fewest tensors without a place are returned.
    """
    candidates = [m for name in registry.names("baselines") for m in matching_files(name, state)]
    return _closest(candidates)


def _closest(found: list[PublishedMatch]) -> list[PublishedMatch]:
    """Return the matches that leave the fewest tensors, and the fewest groups, without a place."""
    left = [(len(m.coverage.unexpected), len(m.coverage.unused)) for m in found]
    fewest = min(left, default=(0, 0))
    return [m for m, without in zip(found, left, strict=True) if without == fewest]


def matching_files(name: str, state: Mapping[str, Tensor]) -> list[PublishedMatch]:
    """Return the files of a model that a state dict may come from."""
    return [match for match in _compared(name, state) if match.coverage.enough]


def _compared(name: str, state: Mapping[str, Tensor]) -> list[PublishedMatch]:
    """Return the files of a model that are about as large as a state dict, best matches first."""
    plugin: Any = registry.model(name)
    if plugin.CARD.unavailable:
        return []
    found: dict[str, PublishedMatch] = {}
    state = {key: tensor.to("meta") for key, tensor in state.items()}
    for layout in layouts.key_layouts(state, MAIN_SHARE):
        for variant, filename, keyed in _candidates(plugin, layout):
            try:
                covered = coverage.measure_coverage(plugin, variant, keyed)
            except WeightsError:
                continue
            covered = layouts.with_outside(covered, state, layout)
            card = variants.variant_card(plugin, variant)
            fits = card.weights.variants if card.weights else ()
            match = PublishedMatch(card, fits, filename, covered)
            found[filename] = max(found.get(filename, match), match, key=_closeness)
        if any(match.coverage.enough for match in found.values()):
            break
    return sorted(found.values(), key=_closeness, reverse=True)


def _closeness(match: PublishedMatch) -> tuple[bool, float]:
    return match.coverage.enough, match.coverage.share


def _candidates(
    plugin: Any, state: Mapping[str, Tensor]
) -> Iterator[tuple[str, str, Mapping[str, Tensor]]]:
    """Yield variants of a similar size: (variant, file name, state under the whole file's keys)."""
    published = variants.published_variants(plugin)
    known = coverage.identify_variant(plugin, state)
    try:
        count = sum(x.numel() for x in coverage.convert_keys(plugin, state).values())
    except WeightsError:
        return
    parts: Mapping[str, str] = getattr(plugin, "FILES", {})
    joint = any(key.startswith(tuple(parts.values())) for key in state)
    for variant in [known] if known in published else published:
        card, least = published[variant], PART if parts else LEAST
        if not card.weights or not least * card.params <= count <= MOST * card.params:
            continue
        files = {card.weights.filename: ""} if joint or not parts else parts
        for filename, prefix in files.items():
            yield variant, filename, {prefix + key: x for key, x in state.items()}


def model_hint(state: Mapping[str, Tensor], seconds: float = PATIENCE) -> str:
    """Return a sentence that names the model to which weights belong, or comes closest; or "".

    seconds: of this process, after which no more models are compared.
    """
    end, found = time.process_time() + seconds, list[PublishedMatch]()
    for name in registry.names("baselines"):
        if time.process_time() < end:
            found += _compared(name, state)
    if fitting := [m for m in found if m.coverage.enough]:
        titles = " or ".join(m.title for m in _closest(fitting))
        return f"They are the weights of {titles}. "
    near = [m for m in found if not m.coverage.inside]
    best = max(near, key=_closeness, default=None)
    if best is None or best.coverage.share < CLOSE:
        return ""
    share = min(100 * best.coverage.share, 99.9)  # not all of it: it does not fit
    return f"They come closest to {best.title}, with {share:.1f} %. "


def variant_hint(name: str, state: Mapping[str, Tensor]) -> str:
    """Return a sentence that names the variant of a model that weights fit; "" if none."""
    candidates = dict.fromkeys(v for m in matching_files(name, state) for v in m.variants)
    which = " or ".join(f"--variant {variant}" for variant in candidates)
    return f"They fit {which}, as published. " if candidates else ""
