"""The features of a cell: its samples, the cache's entry of its network, and how it is read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from skybench.core import DataError, FitContext
from skybench.core.dataset import Joined, Samples
from skybench.core.model import Model
from skybench.data import decoded
from skybench.features import extraction, online
from skybench.features.extractor import Extractor
from skybench.features.sources import CachedFeatures, StreamedFeatures
from skybench.plan.cell import Cell, plain_arch, reading
from skybench.plan.disk_forecast import reads_repeatedly
from skybench.training.distributed import SINGLE_PROCESS

AllFeatures = CachedFeatures | StreamedFeatures
KeptFeatures = dict[int, tuple[Joined, CachedFeatures]]  # with samples; by the weights' seed


class OpenFeatures(NamedTuple):
    """The features of a cell."""

    extractor: Extractor
    samples: Joined  # of all splits
    whole: AllFeatures
    timing: Mapping[str, float]  # `extract_s`, and how many were `extracted`


def require_unchanged(cell: Cell) -> None:
    """Raise DataError where files are no longer those that the fingerprint was made of."""
    for role, planned in cell.contents.items():
        if cell.splits[role].content() != planned:
            raise DataError(
                f"files of the {role} split of {cell.dataset} changed after the run was planned; "
                "what was measured is of neither state. Run the same command again"
            )


def open_features(
    cell: Cell, model: Model, setting: FitContext, kept: KeptFeatures
) -> OpenFeatures:
    """Return the features of all splits.

    Features from the cache go into `kept`, from where a seed of the same weights takes them.
    """
    precision = "" if cell.protocol.trains_backbone else cell.recipe.precision
    extractor = Extractor(
        model, cell.found, cell.task.time, cell.recipe.size, setting.device, precision
    )
    seed = weights_seed(cell, setting.seed)
    if seed in kept:
        return OpenFeatures(extractor, *kept[seed], {"extract_s": 0.0, "extracted": 0})
    require_unchanged(cell)
    needed = {f.sensor for f in cell.found.values()}
    start, samples = time.perf_counter(), Joined({n: s.only(needed) for n, s in cell.pool.items()})
    whole = _features(cell, extractor, samples, setting)
    if isinstance(whole, CachedFeatures):
        kept.clear()
        kept[seed] = samples, whole
    timing = {"extract_s": time.perf_counter() - start, "extracted": whole.extracted}
    return OpenFeatures(extractor, samples, whole, timing)


def _features(
    cell: Cell, extractor: Extractor, samples: Samples, setting: FitContext
) -> AllFeatures:
    """The features of all samples: from the cache, or computed whenever a head asks for them."""
    frozen, recipe = not cell.protocol.trains_backbone, cell.recipe
    if not frozen or recipe.augment:
        again = _decoded(cell, samples, setting)
        return online.OnlineFeatures(extractor, again, recipe, setting.seed, frozen)
    if recipe.views:  # kept features are of one view
        return StreamedFeatures(extractor, _decoded(cell, samples, setting), recipe.rounding)
    identity = _identity(cell, samples, weights_seed(cell, setting.seed))
    whole, _ = extraction.split_features(
        extractor, samples, identity, cell.protocol.level, setting.report, recipe.rounding
    )
    return whole


def _decoded(cell: Cell, samples: Samples, setting: FitContext) -> Samples:
    """The samples, from images that are decoded once where training reads them several times."""
    if not reads_repeatedly(cell.recipe, len(cell.splits["train"])):
        return samples
    workers = setting.workers or SINGLE_PROCESS
    how = reading(cell, samples.card)
    return decoded.open_decoded(samples, how, setting.report, workers.rank, workers.size)


def weights_seed(cell: Cell, seed: int) -> int:
    """Return the seed of random initial weights; published weights do not depend on it."""
    return seed if cell.weights == "random" else 0


def _identity(cell: Cell, samples: Samples, seed: int) -> dict[str, Any]:
    """All that identifies the cached features of an image, beside its content and size."""
    return {
        "model": [cell.model.name, cell.model.version, cell.variant, cell.weights_id, seed],
        **({"arch": plain_arch(cell)} if cell.arch else {}),
        **{name: told for name, told in reading(cell, samples.card).items() if told is not None},
    }
