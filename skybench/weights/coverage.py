"""How a state dict compares with a model, key by key, and whether it fits."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard, SkybenchError, WeightsError
from skybench.core.loaded import ENOUGH, Coverage

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

PARALLEL = "module."  # what torch's DataParallel puts before every key


def compare(model: Model, state: Mapping[str, Tensor]) -> Coverage:
    """How a state dict under the model's own keys covers it.

    Keys that the model's card declares as missing from the published file do not count. Integers
    (of a quantised file) do not match real numbers.
    """
    own = model.state_dict()
    source = model.card.weights
    excused = {
        key
        for pattern in (source.missing if source else ())
        for key in fnmatch.filter(own, pattern)
    }
    floats = {k: v.numel() for k, v in own.items() if v.is_floating_point()}
    fits = {
        k
        for k, v in own.items()
        if k in state
        and state[k].shape == v.shape
        and state[k].is_floating_point() >= v.is_floating_point()
    }
    expected = sum(n for k, n in floats.items() if k in fits or k not in excused)
    matched = sum(n for k, n in floats.items() if k in fits)
    return Coverage(
        share=matched / expected if expected else 0.0,
        missing=tuple(k for k in floats if k not in state),
        unexpected=tuple(k for k in state if k not in own),
        mismatched=tuple(k for k in own if k in state and k not in fits),
    )


@contextlib.contextmanager
def _another_is_refused(plugin: Any, state: Mapping[str, Tensor]) -> Iterator[None]:
    """What a plugin's functions do with other models' keys is not known."""
    try:
        yield
    except SkybenchError:
        raise
    except Exception as error:
        shown = ", ".join(list(state)[:4])
        raise WeightsError(
            f"These weights do not fit {plugin.CARD.name}: keys as {shown} cannot be converted "
            f"({error!r}). Nothing was loaded. Give the published file"
        ) from error


def settings(plugin: Any, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The network's settings that a published state dict decides. Raises WeightsError."""
    with _another_is_refused(plugin, state):
        decided = plugin.settings(dict(state)) if hasattr(plugin, "settings") else {}
    return dict(decided)


def own_keys(model: Model, plugin: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under the model's own keys.

    A model may have a method `adapt(state) -> state` that fits a file to its own settings, such
    as a further input band; it sees the model's own keys.
    Raises WeightsError where that breaks: then it is another model's file.
    """
    own = converted(plugin, state)
    if adapt := getattr(model, "adapt", None):
        with _another_is_refused(plugin, state):
            own = adapt(own)
    return own


def converted(plugin: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a plugin makes of a published state dict. Raises WeightsError as `own_keys`."""
    with _another_is_refused(plugin, state):
        own: dict[str, Tensor] = plugin.convert(dict(state))
    return own


def require(card: ModelCard, coverage: Coverage, hint: str = "") -> None:
    """Raises WeightsError where the coverage is not enough."""
    if coverage.enough:
        return
    lists = {
        "missing": coverage.missing,
        "of another shape": coverage.mismatched,
        "unexpected": coverage.unexpected,
    }
    found = "; ".join(f"{n}: {len(k)} ({', '.join(k[:4])})" for n, k in lists.items() if k)
    published = card.weights.filename if card.weights else "none"
    raise WeightsError(
        f"These weights do not fit {card.name}: they match {100 * coverage.share:.1f} % of its "
        f"parameters, expected {100 * ENOUGH:.0f} % at least. Keys {found}. Nothing was loaded. "
        f"{hint}"
        f"Give the published file ({published}), or the variant and settings that it was made for"
    )


def require_finite(card: ModelCard, state: Mapping[str, Tensor]) -> None:
    """Raises WeightsError where numbers are NaN or infinite: every feature would be."""
    numbers = {k: x for k, x in state.items() if x.is_floating_point() and not x.is_meta}
    bad = [k for k, x in numbers.items() if not x.isfinite().all()]
    if bad:
        raise WeightsError(
            f"These weights of {card.name} hold NaN or infinity in {len(bad)} of "
            f"{len(numbers)} tensors ({', '.join(bad[:4])}): training diverged, or the file is "
            "damaged. Get it again, or give another one"
        )


def variant_of(plugin: Any, state: Mapping[str, Tensor]) -> str:
    """The variant that a plugin says a published state dict is of; "" where it does not."""
    told = ""
    with contextlib.suppress(WeightsError), _another_is_refused(plugin, state):
        told = plugin.variant_of(dict(state)) if hasattr(plugin, "variant_of") else ""
    return told


def measure(plugin: Any, variant: str, state: Mapping[str, Tensor]) -> Coverage:
    """How a published state dict covers a variant, without making the network.

    Raises WeightsError where the plugin cannot read it.
    """
    import torch

    shapes = {key: tensor.to("meta") for key, tensor in state.items()}
    arch = settings(plugin, shapes)
    with torch.device("meta"):
        model = plugin.build(variant, **arch)
    return compare(model, own_keys(model, plugin, shapes))


def layouts(state: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """A state dict as it is, and without "module." where all its keys begin so."""
    yield dict(state)
    if all(key.startswith(PARALLEL) for key in state):
        yield {key.removeprefix(PARALLEL): tensor for key, tensor in state.items()}


def fitting(plugin: Any, variant: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The layout of a published state dict that covers a variant better."""

    def share(layout: Mapping[str, Tensor]) -> float:
        try:
            return measure(plugin, variant, layout).share
        except WeightsError:
            return 0.0

    options = list(layouts(state))
    return options[0] if len(options) == 1 else max(options, key=share)
