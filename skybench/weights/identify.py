"""Identification of a published checkpoint by its keys and shapes, without building networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import ModelCard, WeightsError, loaded, registry, variants
from skybench.weights import coverage

if TYPE_CHECKING:
    from torch import Tensor

# Bounds of a file's elements, relative to the model's parameters, for the model to be compared:
# positional embeddings may differ in size, and a file may include heads (MOST), or be one of
# several parts (PART). Building models for the comparison is what takes time.
LEAST, MOST, PART = 0.9, 1.5, 0.01
FULL_COVERAGE = 0.9999  # least coverage; the same network with another stem has nearly all elements


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

    Only the files with the fewest unexpected keys are returned.
    """
    candidates = [m for name in registry.names("baselines") for m in matching_files(name, state)]
    fewest = min((len(m.coverage.unexpected) for m in candidates), default=0)
    return [m for m in candidates if len(m.coverage.unexpected) == fewest]


def matching_files(
    name: str, state: Mapping[str, Tensor], least: float = FULL_COVERAGE
) -> list[PublishedMatch]:
    """Return the files of a model that a state dict may come from; least: minimal coverage."""
    plugin: Any = registry.model(name)
    if plugin.CARD.unavailable:
        return []
    candidates: dict[str, PublishedMatch] = {}
    for layout in coverage.key_layouts(state):
        for variant, filename, keyed in _candidates(plugin, layout):
            try:
                covered = coverage.measure_coverage(plugin, variant, keyed)
            except WeightsError:
                continue
            if covered.share >= least and not covered.mismatched:
                card = variants.variant_card(plugin, variant)
                fits = card.weights.variants if card.weights else ()
                candidates.setdefault(filename, PublishedMatch(card, fits, filename, covered))
    return list(candidates.values())


def _candidates(
    plugin: Any, state: Mapping[str, Tensor]
) -> Iterator[tuple[str, str, Mapping[str, Tensor]]]:
    """Yield variants of a similar size: (variant, file name, state under the whole file's keys)."""
    published = variants.published_variants(plugin)
    known = coverage.identify_variant(plugin, state)
    shapes = {key: tensor.to("meta") for key, tensor in state.items()}
    try:
        count = sum(x.numel() for x in coverage.convert_keys(plugin, shapes).values())
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
            yield variant, filename, {prefix + key: x for key, x in shapes.items()}


def model_hint(state: Mapping[str, Tensor]) -> str:
    """Return a sentence that names the model to which weights belong; "" if unknown."""
    candidates = [m.title for m in identify_weights(state)]
    return f"They are the weights of {' or '.join(candidates)}. " if candidates else ""


def variant_hint(name: str, state: Mapping[str, Tensor]) -> str:
    """Return a sentence that names the variant of a model that weights fit; "" if none."""
    candidates = dict.fromkeys(v for m in matching_files(name, state) for v in m.variants)
    which = " or ".join(f"--variant {variant}" for variant in candidates)
    return f"They fit {which}, as published. " if candidates else ""
