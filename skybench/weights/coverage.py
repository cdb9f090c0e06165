"""Coverage of a model by a state dict: which keys match, and whether enough do to load it."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard, SkybenchError, WeightsError
from skybench.core.loaded import MIN_COVERAGE, Coverage

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

PARALLEL = "module."  # prefix that torch's DataParallel adds to every key


def compare_keys(model: Model, state: Mapping[str, Tensor]) -> Coverage:
    """Compare a state dict in the model's own keys with the model.

    Keys that the model's card declares as missing in the published file are not expected. Integer
    tensors (of a quantised file) do not match floating-point parameters.
    """
    wanted = model.state_dict()
    source = model.card.weights
    excused = {
        key
        for pattern in (source.missing if source else ())
        for key in fnmatch.filter(wanted, pattern)
    }
    floats = {k: v.numel() for k, v in wanted.items() if v.is_floating_point()}
    fits = {
        k
        for k, v in wanted.items()
        if k in state
        and state[k].shape == v.shape
        and state[k].is_floating_point() >= v.is_floating_point()
    }
    expected = sum(n for k, n in floats.items() if k in fits or k not in excused)
    matched = sum(n for k, n in floats.items() if k in fits)
    return Coverage(
        share=matched / expected if expected else 0.0,
        missing=tuple(k for k in floats if k not in state),
        unexpected=tuple(k for k in state if k not in wanted),
        mismatched=tuple(k for k in wanted if k in state and k not in fits),
    )


@contextlib.contextmanager
def _as_weights_error(plugin: Any, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Turn any exception of a plugin's function, given another model's keys, into WeightsError."""
    try:
        yield
    except SkybenchError:
        raise
    except Exception as error:
        shown = ", ".join(list(state)[:4])
        raise WeightsError(
            f"These weights do not fit {plugin.CARD.name}: keys such as {shown} cannot be "
            f"converted ({error!r}). Nothing was loaded. Give the published file"
        ) from error


def decided_settings(plugin: Any, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the network's settings that follow from a published state dict.

    Raises WeightsError where the plugin cannot read it.
    """
    with _as_weights_error(plugin, state):
        decided = plugin.settings(dict(state)) if hasattr(plugin, "settings") else {}
    return dict(decided)


def model_keys(model: Model, plugin: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a published state dict to the model's own keys.

    A model may have a method `adapt(state) -> state`, which fits a state dict in its own keys to
    its settings, such as an additional input band.
    Raises WeightsError where that fails: the file is another model's.
    """
    keyed = convert_keys(plugin, state)
    if adapt := getattr(model, "adapt", None):
        with _as_weights_error(plugin, state):
            keyed = adapt(keyed)
    return keyed


def convert_keys(plugin: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Call the plugin's `convert` on a published state dict. Raises WeightsError where it fails."""
    with _as_weights_error(plugin, state):
        keyed: dict[str, Tensor] = plugin.convert(dict(state))
    return keyed


def require_coverage(card: ModelCard, coverage: Coverage, hint: str = "") -> None:
    """Raise WeightsError where the coverage is too low; hint: a sentence for the message."""
    if coverage.enough:
        return
    lists = {
        "missing": coverage.missing,
        "of another shape": coverage.mismatched,
        "unexpected": coverage.unexpected,
    }
    keys = "; ".join(f"{n}: {len(k)} ({', '.join(k[:4])})" for n, k in lists.items() if k)
    published = card.weights.filename if card.weights else "none"
    raise WeightsError(
        f"These weights do not fit {card.name}: they match {100 * coverage.share:.1f} % of its "
        f"parameters, expected at least {100 * MIN_COVERAGE:.0f} %. Keys {keys}. "
        f"Nothing was loaded. {hint}Give the published file ({published}), or the variant and "
        "settings that these weights belong to"
    )


def require_finite(card: ModelCard, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError where parameters are NaN or infinite, as all features would be NaN."""
    floats = {k: x for k, x in state.items() if x.is_floating_point() and not x.is_meta}
    bad = [k for k, x in floats.items() if not x.isfinite().all()]
    if bad:
        raise WeightsError(
            f"These weights of {card.name} hold NaN or infinity in {len(bad)} of "
            f"{len(floats)} tensors ({', '.join(bad[:4])}): training diverged, or the file is "
            "damaged. Get the file again, or give another one"
        )


def identify_variant(plugin: Any, state: Mapping[str, Tensor]) -> str:
    """Return the variant that the plugin says a published state dict belongs to; "" if none."""
    variant = ""
    with contextlib.suppress(WeightsError), _as_weights_error(plugin, state):
        variant = plugin.variant_of(dict(state)) if hasattr(plugin, "variant_of") else ""
    return variant


def measure_coverage(plugin: Any, variant: str, state: Mapping[str, Tensor]) -> Coverage:
    """Measure how a published state dict covers a variant, built on the meta device.

    Raises WeightsError where the plugin cannot read it.
    """
    import torch

    shapes = {key: tensor.to("meta") for key, tensor in state.items()}
    arch = decided_settings(plugin, shapes)
    with torch.device("meta"):
        model = plugin.build(variant, **arch)
    return compare_keys(model, model_keys(model, plugin, shapes))


def key_layouts(state: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield a state dict as it is, and without "module." where all its keys have this prefix."""
    yield dict(state)
    if all(key.startswith(PARALLEL) for key in state):
        yield {key.removeprefix(PARALLEL): tensor for key, tensor in state.items()}


def best_layout(plugin: Any, variant: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the layout of a published state dict that covers a variant best: see `key_layouts`."""

    def share(layout: Mapping[str, Tensor]) -> float:
        try:
            return measure_coverage(plugin, variant, layout).share
        except WeightsError:
            return 0.0

    options = list(key_layouts(state))
    return options[0] if len(options) == 1 else max(options, key=share)
