"""Trained weights that `--keep-weights` wrote, read back as the start of another measurement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import WeightsError
from skybench.core.loaded import KEPT, FineTuned

if TYPE_CHECKING:
    from torch import Tensor

BACKBONE, HEAD = "backbone/", "head/"


class KeptWeights(NamedTuple):
    """Where trained weights come from; the model is "" in files of former versions."""

    model: str
    variant: str
    arch: Mapping[str, Any]
    training: FineTuned

    def require_model(self, model: str, variant: str) -> None:
        """Raise WeightsError where the weights are of another model or variant."""
        if self.model and (self.model, self.variant) != (model, variant):
            raise WeightsError(
                f"These weights were trained here, on {self.training.title}, as {self.model} "
                f"({self.variant}), not as {model} ({variant}). Give --model {self.model} "
                f"--variant {self.variant}"
            )


def read_kept(content: Any, origin: str) -> tuple[dict[str, Tensor], KeptWeights] | None:
    """Return a trained backbone in its model's own keys; None where a file is something else.

    content: of a file that may be a `weights.pt`. Raises WeightsError where it has no backbone.
    """
    import torch

    if not isinstance(content, Mapping):
        return None
    tensors = {k: v for k, v in content.items() if isinstance(v, torch.Tensor)}
    known = [str(key).startswith((BACKBONE, HEAD)) for key in tensors]
    if not known or not all(known):
        return None
    state = {k.removeprefix(BACKBONE): v for k, v in tensors.items() if k.startswith(BACKBONE)}
    if not state:
        raise WeightsError(
            f"{origin} holds a trained head only, as its backbone was not trained. Give the "
            "backbone's own weights, or keep those of a run with --protocol finetune"
        )
    return state, _origin(content.get(KEPT))


def _origin(about: Any) -> KeptWeights:
    """Read what a training wrote about itself; a file of a former version has nothing."""
    import torch

    told = about if isinstance(about, Mapping) else {}
    text = {key: str(told.get(key, "")) for key in ("model", "variant", "title", "images")}
    try:
        arch = json.loads(str(told.get("arch", "{}")))
    except ValueError:
        arch = {}
    hashes = told.get("train")
    training = FineTuned(
        text["title"] or FineTuned.title,
        tuple(filter(None, text["images"].split(","))),
        frozenset(hashes.tolist()) if isinstance(hashes, torch.Tensor) else frozenset(),
    )
    settings = arch if isinstance(arch, dict) else {}
    plain = {str(k): tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    return KeptWeights(text["model"], text["variant"], plain, training)
