from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skybench.core import DataError, Sample, UsageError
from skybench.core.dataset import Subset
from skybench.data import batching
from skybench.features import extraction
from skybench.features.extraction import dense_bytes, split_features
from skybench.features.sources import CachedFeatures, StreamedFeatures

from .._toys import Noise, Toy, looking

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
def test_worker_processes_do_not_change_the_order() -> None:
    samples = Noise(11, masks=True)
    alone = list(batching.batches(samples, 6, 3, workers=0))
    helped = list(batching.batches(samples, 6, 3, workers=2))
    assert len(alone) == len(helped) == 4
    for (one, masks), (other, same) in zip(alone, helped, strict=True):
        assert one.keys == other.keys
        assert torch.equal(one.images["air"], other.images["air"])
        np.testing.assert_array_equal(masks, same)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_cannot_be_read_is_one_clear_message_from_a_worker_too(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, read = Noise(11, masks=True), Noise.read

    def damaged(self: Noise, index: int) -> Sample:
        if index == 7:
            raise DataError("n7.png cannot be read. Get this file again.")
        return read(self, index)

    monkeypatch.setattr(Noise, "read", damaged)
    with pytest.raises(DataError) as caught:
        list(batching.batches(samples, 6, 3, workers=workers))
    assert str(caught.value) == "n7.png cannot be read. Get this file again."


def test_values_are_those_of_the_model_to_float16() -> None:
    samples = Noise(3)
    stored, _ = split_features(looking(Toy()), samples, {}, "pyramid")
    raw = torch.stack([s.images["air"][0, [2, 1, 0]].float() for s in samples])
    fine, coarse = stored.pyramid(range(3))
    assert torch.equal(fine, raw)  # integers up to 255 are exact
    torch.testing.assert_close(coarse, F.avg_pool2d(raw, 2), rtol=1e-3, atol=0)
    torch.testing.assert_close(stored.pooled(), raw.mean((2, 3)))  # float32


def test_integers_are_kept_and_computed_alike_and_their_error_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = Noise(20, masks=True)
    exact, _ = split_features(looking(Toy()), samples, {}, "pyramid")
    stored, cached = split_features(looking(Toy()), samples, {}, "pyramid", kind="int8")
    assert not cached  # in an entry of their own
    again, _ = split_features(looking(Toy()), samples, {}, "pyramid", kind="int8")
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0")
    streamed, _ = split_features(looking(Toy()), samples, {"a": 1}, "pyramid", kind="int8")
    assert isinstance(streamed, StreamedFeatures)
    order = [19, 0, 7]
    levels = [source.pyramid(order) for source in (exact, stored, again, streamed)]
    for one, kept, reopened, computed in zip(*levels, strict=True):
        assert torch.equal(kept, reopened)
        assert torch.equal(kept, computed)
        assert 0 < float((kept - one).norm() / one.norm()) < 0.02
    for source in (stored, again, streamed):
        assert isinstance(source, CachedFeatures | StreamedFeatures)
        assert all(0 < error < 0.02 for error in source.errors())
        assert len(source.errors()) == 2
    with pytest.raises(UsageError, match="int8"):
        split_features(looking(Toy()), samples, {}, "pyramid", kind="int4")


def test_the_budget_is_a_share_of_the_free_disk_and_counts_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SKYBENCH_BUDGET_GB", raising=False)
    samples, extractor = Noise(8, masks=True), looking(Toy())
    each = dense_bytes(extractor, Subset(samples, [0]))

    def free(bytes_free: float) -> None:
        usage = SimpleNamespace(free=bytes_free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    free(4 * each / extraction.SHARE)
    half, _ = split_features(extractor, Subset(samples, range(4)), {}, "pyramid")
    assert isinstance(half, CachedFeatures)
    more, _ = split_features(extractor, Subset(samples, range(3, 8)), {}, "pyramid")
    assert isinstance(more, CachedFeatures)  # one of the five is there
    free(4 * each / extraction.SHARE - 1)
    assert isinstance(split_features(extractor, Noise(4), {"a": 1}, "pyramid")[0], StreamedFeatures)
