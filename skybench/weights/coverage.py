"""Coverage of a model by a state dict: which keys match, and whether it may be loaded."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import functools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import ModelCard, SkybenchError, WeightsError
from skybench.core.loaded import Coverage
from skybench.weights import origins

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


# Names of tensors in forms that a network is not saved in, and what to do about them.
FORMS = {
    re.compile(r"absmax|quant_(map|state)|\.SCB$|qweight|qzeros|weight_scale|scale_inv"): (
        "They are quantised: save the weights as float32 or bfloat16. "
    ),
    re.compile(r"\.weight_([gv]|orig|mask)$|\.parametrizations\."): (
        "They have a weight norm, a spectral norm or pruning: make it permanent "
        "(torch.nn.utils.parametrize.remove_parametrizations, prune.remove), and save again. "
    ),
    re.compile(r"\b_?flat_param"): (
        "They are flat parameters of FSDP: save with StateDictType.FULL_STATE_DICT. "
    ),
}


class KeyedState(NamedTuple):
    """A state dict in a model's own keys, and where each tensor comes from."""

    state: dict[str, Tensor]
    origins: Mapping[str, frozenset[str]]  # own key -> keys of the file
    given: tuple[str, ...]  # all keys of the file


def own_keys(state: Mapping[str, Tensor]) -> KeyedState:
    """Return a state dict that is in the model's own keys already."""
    return KeyedState(dict(state), {k: frozenset((k,)) for k in state}, tuple(state))


def compare_keys(model: Model, state: Mapping[str, Tensor]) -> Coverage:
    """Compare a state dict in the model's own keys with the model; see `compare_state`."""
    return compare_state(model, own_keys(state))


def compare_state(model: Model, keyed: KeyedState) -> Coverage:
    """Compare a converted state dict with the model.

    Keys that the model's card declares as missing in the published file are not expected. Integer
    tensors (of a quantised file) do not match floating-point parameters.
    """
    wanted, state = model.state_dict(), keyed.state
    source = model.card.weights
    excused = {
        key
        for pattern in (source.missing if source else ())
        for key in fnmatch.filter(wanted, pattern)
    }
    floats = {k: v.numel() for k, v in wanted.items() if v.is_floating_point()}
    fits = {k for k, v in wanted.items() if k in state and _fits(state[k], v)}
    expected = sum(n for k, n in floats.items() if k in fits or k not in excused)
    matched = sum(n for k, n in floats.items() if k in fits)
    used = frozenset[str]().union(*(keyed.origins[k] for k in wanted if k in state))
    unused = [k for k in keyed.given if k not in used]
    inside = tuple(origins.belongs_inside(unused, used, source.unused if source else ()))
    return Coverage(
        share=matched / expected if expected else 0.0,
        missing=tuple(k for k in floats if k not in state),
        unexpected=tuple(k for k in state if k not in wanted),
        mismatched=tuple(k for k in wanted if k in state and k not in fits),
        lacking=tuple(k for k in floats if k not in state and k not in excused),
        inside=inside,
        unused=origins.grouped(k for k in unused if k not in inside),
    )


def _fits(given: Tensor, wanted: Tensor) -> bool:
    number = given.is_floating_point() >= wanted.is_floating_point()
    return given.shape == wanted.shape and number


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
            "converted, so they are another network's. Nothing was loaded. Give the published file"
        ) from error


def decided_settings(plugin: Any, variant: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the settings of a variant that follow from a published state dict.

    Raises WeightsError where the plugin cannot read it.
    """
    with _as_weights_error(plugin, state):
        decided = plugin.settings(dict(state)) if hasattr(plugin, "settings") else {}
    arch = plugin.VARIANTS.get(variant)
    if not dataclasses.is_dataclass(arch):
        return dict(decided)
    known = {field.name for field in dataclasses.fields(arch)}
    return {name: value for name, value in decided.items() if name in known}


def known_training(plugin: Any, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return the datasets that a file was trained on beyond what the model's card says."""
    if not hasattr(plugin, "trained_on"):
        return ()
    with _as_weights_error(plugin, state):
        return tuple(plugin.trained_on(dict(state)))


def model_keys(model: Model, plugin: Any, state: Mapping[str, Tensor]) -> KeyedState:
    """Convert a published state dict to the model's own keys.

    A model may have a method `adapt(state) -> state`, which fits a state dict in its own keys to
    its settings, such as an additional input band.
    Raises WeightsError where that fails: the file is another model's.
    """
    adapt = getattr(model, "adapt", dict)
    with _as_weights_error(plugin, state):
        keyed, sources = origins.traced(lambda given: adapt(plugin.convert(given)), state)
    return KeyedState(keyed, sources, tuple(state))


def convert_keys(plugin: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Call the plugin's `convert` on a published state dict. Raises WeightsError where it fails."""
    with _as_weights_error(plugin, state):
        keyed: dict[str, Tensor] = plugin.convert(dict(state))
    return keyed


def require_coverage(card: ModelCard, coverage: Coverage, hint: str = "") -> None:
    """Raise WeightsError where a file may not be loaded; hint: a sentence for the message."""
    if coverage.enough:
        return
    added = [k for k in coverage.inside if origins.ADDED.search(k.lower())]
    if added:
        count = f"{len(added)} tensor" + ("" if len(added) == 1 else "s")
        raise WeightsError(
            f"These weights for {card.name} were tuned with LoRA or another adapter: "
            f"{count} beside its own ({', '.join(added[:4])}). Without them the base "
            "model would be measured. Nothing was loaded. Merge LoRA first (of PEFT: "
            "merge_and_unload()), save the state_dict() and give that file"
        )
    lists = {
        "missing": coverage.lacking,
        "of another shape": coverage.mismatched,
        "inside the network, but without a place in it": coverage.inside,
        "unexpected": () if coverage.inside else coverage.unexpected,
    }
    hint = _form(coverage) + hint
    keys = "; ".join(f"{n}: {len(k)} ({', '.join(k[:4])})" for n, k in lists.items() if k)
    published = card.weights.filename if card.weights else "none"
    matched = 100.0 if coverage.share == 1 else min(100 * coverage.share, 99.9)
    raise WeightsError(
        f"These weights do not fit {card.name}: they match {matched:.1f} % of its "
        f"parameters, and a file is used whole or not at all. Keys {keys}. "
        f"Nothing was loaded. {hint}Give the published file ({published}), or the variant and "
        "settings that these weights belong to"
    )


def _form(coverage: Coverage) -> str:
    """Return what to do about weights that are in a form of FORMS; "" for others."""
    keys = (*coverage.inside, *coverage.unexpected)
    return "".join(text for like, text in FORMS.items() if any(map(like.search, keys)))


def require_numbers(card: ModelCard, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError where parameters are NaN, infinite or all 0: features would be as well."""
    floats = {k: x for k, x in state.items() if x.is_floating_point() and not x.is_meta}
    bad = [k for k, x in floats.items() if not x.isfinite().all()]
    if bad:
        raise WeightsError(
            f"These weights of {card.name} hold NaN or infinity in {len(bad)} of "
            f"{len(floats)} tensors ({', '.join(bad[:4])}): training diverged, or the file is "
            "damaged. Get the file again, or give another one"
        )
    matrices = [x for x in floats.values() if x.ndim > 1]
    if matrices and not any(bool(x.any()) for x in matrices):
        raise WeightsError(
            f"These weights of {card.name} are all 0: the file was written before training, or is "
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
    shapes = {key: tensor.to("meta") for key, tensor in state.items()}
    arch = decided_settings(plugin, variant, shapes)
    model = _shapes_only(plugin, variant, tuple(sorted(arch.items())))
    return compare_state(model, model_keys(model, plugin, shapes))


@functools.lru_cache(maxsize=32)
def _shapes_only(plugin: Any, variant: str, arch: tuple[tuple[str, Any], ...]) -> Model:
    """Build a network on the meta device; many files are compared with it in turn."""
    import torch

    with torch.device("meta"):
        model: Model = plugin.build(variant, **dict(arch))
    return model
