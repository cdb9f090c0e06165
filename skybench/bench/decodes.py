"""How often images are decoded for a head whose features are computed on every request."""

from __future__ import annotations

import copy
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skybench.bench.cells import own_folders
from skybench.bench.timing import Form, Timing, value_row
from skybench.core import FitContext, Head, Recipe, Sample, Source, match, registry
from skybench.core.dataset import Samples, Subset
from skybench.data.decoded import open_decoded
from skybench.features.extractor import Extractor
from skybench.features.sources import SourceSubset, StreamedFeatures
from skybench.heads.dense import Dense, Linear
from skybench.weights.load import load_model

DATASET, MODEL = "levir_cd", "rcf"
SIDE = 32  # to which images are resized, so that the network costs little
SAMPLES, EPOCHS = 8, 4
MUST = "<= 1"


class CountedReads(Samples):
    """The samples of another object; how often each was read, or its target alone, is counted."""

    def __init__(self, whole: Samples) -> None:
        vars(self).update(vars(copy.copy(whole)))  # the card, the keys, the files
        self.whole, self.reads = whole, Counter[int]()

    def read(self, index: int) -> Sample:
        self.reads[index] += 1
        return self.whole.read(index)

    def target(self, index: int) -> Any:
        self.reads[index] += 1
        return self.whole.target(index)


def count_decodes(form: Form) -> Timing:
    """Count the decodes of images and masks in epochs on streamed features, each with validation.

    Of a simulated copy in every form. One sample more is decoded, which tells the size.
    """
    with tempfile.TemporaryDirectory() as name, own_folders(Path(name, "cache"), Path(name, "r")):
        plugin = registry.dataset(DATASET)
        plugin.write_demo(Path(name, DATASET))
        opened = plugin.open(Path(name, DATASET), "train")
        samples = CountedReads(Subset(opened, range(SAMPLES)))
        model = load_model(MODEL, "random")
        found = match(model.card, samples.card.sensors)
        extractor = Extractor(model, found, "fuse", SIDE, "cpu")
        whole = StreamedFeatures(extractor, open_decoded(samples, {"dataset": DATASET}))
        part = SourceSubset(whole, range(len(samples)))
        recipe = Recipe("linear", epochs=EPOCHS, batch=4, validate=1, state="last", lr=1e-3)
        setting = FitContext(0, prefetch=part.prefetch, validation_scores=_predicted)
        head = Dense(Linear, model.card.levels, len(samples.card.classes), recipe)
        head.fit(part, part, setting)
        each = (samples.reads.total() - 1) / len(samples)
    what = f"{EPOCHS} streamed epochs with validation: decodes of a sample, of {len(samples)}"
    return value_row(what, each, "", MUST)


def _predicted(heads: Sequence[Head], val: Source) -> list[float]:
    """No score; all predictions are made, and their targets read."""
    return [float(sum(val.target(i) is None for i, _ in enumerate(h.predict(val)))) for h in heads]
