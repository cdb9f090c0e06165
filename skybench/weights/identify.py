"""Which published file a state dict is, told by its keys and shapes; no network is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import ModelCard, WeightsError, loaded, registry, variants
from skybench.weights import coverage

if TYPE_CHECKING:
    from torch import Tensor

# Elements of a file under a model's own keys, as a share of its parameters: positions may be of
# another size, heads may come with it; or it is one of several files. To build is what takes time.
LEAST, MOST, PART = 0.9, 1.5, 0.01
WHOLE = 0.9999  # of the elements; others' files of the same kind of network may lack only a stem


class Match(NamedTuple):
    """A published file that a state dict can be."""

    card: ModelCard  # of the first variant that the file fits
    variants: tuple[str, ...]
    filename: str
    coverage: loaded.Coverage

    @property
    def title(self) -> str:
        """The model, the variants and the file."""
        return f"{self.card.name} ({', '.join(self.variants)}; {self.filename})"


def recognise(state: Mapping[str, Tensor]) -> list[Match]:
    """The published files that a state dict can be; several where models share a network.

    Of these the ones that leave the fewest keys unexplained.
    """
    found = [m for name in registry.names("baselines") for m in matches(name, state)]
    fewest = min((len(m.coverage.unexpected) for m in found), default=0)
    return [m for m in found if len(m.coverage.unexpected) == fewest]


def matches(name: str, state: Mapping[str, Tensor], least: float = WHOLE) -> list[Match]:
    """The published files of one model that a state dict can be; least: share of the elements."""
    plugin: Any = registry.load("baselines", name)
    if plugin.CARD.unavailable:
        return []
    found: dict[str, Match] = {}
    for layout in coverage.layouts(state):
        for variant, filename, keyed in _candidates(plugin, layout):
            try:
                covered = coverage.measure(plugin, variant, keyed)
            except WeightsError:
                continue
            if covered.share >= least and not covered.mismatched:
                card = variants.card(plugin, variant)
                fits = card.weights.variants if card.weights else ()
                found.setdefault(filename, Match(card, fits, filename, covered))
    return list(found.values())


def _candidates(
    plugin: Any, state: Mapping[str, Tensor]
) -> Iterator[tuple[str, str, Mapping[str, Tensor]]]:
    """Variants of about as many elements: (variant, file name, with the keys of a whole file)."""
    published = variants.published(plugin)
    told = coverage.variant_of(plugin, state)
    shapes = {key: tensor.to("meta") for key, tensor in state.items()}
    try:
        held = sum(x.numel() for x in coverage.converted(plugin, shapes).values())
    except WeightsError:
        return
    parts: Mapping[str, str] = getattr(plugin, "FILES", {})
    joint = any(key.startswith(tuple(parts.values())) for key in state)
    for variant in [told] if told in published else published:
        card, least = published[variant], PART if parts else LEAST
        if not card.weights or not least * card.params <= held <= MOST * card.params:
            continue
        files = {card.weights.filename: ""} if joint or not parts else parts
        for filename, prefix in files.items():
            yield variant, filename, {prefix + key: x for key, x in shapes.items()}


def hint(state: Mapping[str, Tensor]) -> str:
    """What to say of weights that do not fit the model that they were given for."""
    found = [m.title for m in recognise(state)]
    return f"They are those of {' or '.join(found)}. " if found else ""


def variant_hint(name: str, state: Mapping[str, Tensor]) -> str:
    """What to say of weights that fit a variant of the model that they were given for."""
    found = dict.fromkeys(v for m in matches(name, state) for v in m.variants)
    which = " or ".join(f"--variant {variant}" for variant in found)
    return f"They fit {which}, as published. " if found else ""
