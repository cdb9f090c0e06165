from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skybench.core import Batch, Boxes, DataError, Features, ModelCard, Sample
from skybench.data import batching
from skybench.data.batching import collate
from skybench.features import extraction
from skybench.features.extraction import (
    CachedFeatures,
    Extractor,
    SourceSubset,
    StreamedFeatures,
    split_features,
)

from .._toys import FOUND, RGB, Noise, Toy, gathered, looking

pytestmark = pytest.mark.usefixtures("own_cache")


def test_the_model_sees_its_own_bands_units_and_size() -> None:
    seen: list[Batch] = []

    class Watching(Toy):
        def forward(self, batch: Batch) -> Features:
            assert torch.is_inference_mode_enabled()
            seen.append(batch)
            return super().forward(batch)

    card = ModelCard("toy", "", "extra", (RGB,), 3, (), "", "", "", min_pixels=12, multiple=8)
    samples = Noise(2)
    (found,) = looking(Watching(card=card))(collate([samples[0], samples[1]]))
    image = seen[0].images["hr"]
    assert image.shape == (2, 1, 3, 16, 16)
    assert image.dtype == torch.float32
    raw = torch.stack([s.images["air"][:, [2, 1, 0]] for s in samples])
    torch.testing.assert_close(image, batching.resize(raw, 16, 16))
    assert not found.pooled.requires_grad


def test_batches_come_in_order_and_are_reported() -> None:
    reports: list[tuple[str, int, int]] = []
    samples, model = Noise(40), Toy()
    steps = extraction.extract(looking(model), samples, lambda *words: reports.append(words))
    targets = [t for _, ts in steps for t in ts]
    assert targets == [i % 3 for i in range(40)]
    assert [c[0] for c in model.calls] == [16, 16, 8]
    assert reports == [("features", n, 40) for n in (16, 32, 40)]


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


@pytest.mark.parametrize("most", [1, 2, 15, 16])
def test_the_batch_is_halved_when_memory_is_short(most: int) -> None:
    model, samples = Toy(most=most), Noise(19)
    pooled, targets = gathered(model, samples)
    torch.testing.assert_close(pooled, gathered(Toy(), samples)[0])
    assert targets == [i % 3 for i in range(19)]
    assert max(c[0] for c in model.calls) == {15: 8}.get(most, most)
    with pytest.raises(torch.cuda.OutOfMemoryError):  # too large for a single sample
        gathered(Toy(most=0), samples)


def test_memory_that_becomes_short_on_the_way_loses_and_repeats_nothing() -> None:
    class Tiring(Toy):
        def forward(self, batch: Batch) -> Features:
            self.most = 16 if len(self.calls) < 2 else 3
            return super().forward(batch)

    model = Tiring()
    pooled, targets = gathered(model, Noise(40))
    torch.testing.assert_close(pooled, gathered(Toy(), Noise(40))[0])
    assert targets == [i % 3 for i in range(40)]
    assert [c[0] for c in model.calls] == [16, 16, 2, 2, 2, 2]


# A gain of 1e3 gives more than float16 holds.
@pytest.mark.parametrize(("masks", "gain"), [(True, 1 / 3), (True, 1e3), (False, 1.0)])
def test_stored_and_streamed_features_are_the_same(
    masks: bool, gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = Noise(19, masks)
    stored, _ = split_features(looking(Toy(gain)), samples, {"gain": gain}, "pyramid")
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0")
    streamed, cached = split_features(looking(Toy(gain)), samples, {"another": gain}, "pyramid")
    assert (type(stored), type(streamed), cached) == (CachedFeatures, StreamedFeatures, False)
    assert len(stored) == len(streamed) == 19
    torch.testing.assert_close(stored.pooled(), streamed.pooled())
    order = [18, 0, 7, 7]
    for one, other in zip(stored.pyramid(order), streamed.pyramid(order), strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert torch.equal(one, other)
        assert one.isfinite().all()
    for index in (0, 18):
        np.testing.assert_array_equal(stored.target(index), streamed.target(index))
        assert stored.target(index).dtype == streamed.target(index).dtype
    if not masks:
        assert stored.labels().tolist() == streamed.labels().tolist() == [i % 3 for i in range(19)]
        assert stored.labels().dtype == streamed.labels().dtype == torch.int64


def test_values_are_those_of_the_model_to_float16() -> None:
    samples = Noise(3)
    stored, _ = split_features(looking(Toy()), samples, {}, "pyramid")
    raw = torch.stack([s.images["air"][0, [2, 1, 0]].float() for s in samples])
    fine, coarse = stored.pyramid(range(3))
    assert torch.equal(fine, raw)  # integers up to 255 are exact
    torch.testing.assert_close(coarse, F.avg_pool2d(raw, 2), rtol=1e-3, atol=0)
    torch.testing.assert_close(stored.pooled(), raw.mean((2, 3)))  # float32


def test_some_of_a_source_in_a_given_order() -> None:
    whole, _ = split_features(looking(Toy()), Noise(9), {}, "pyramid")
    part = SourceSubset(whole, [7, 2, 5])
    assert len(part) == 3
    assert torch.equal(part.pooled(), whole.pooled()[[7, 2, 5]])
    assert torch.equal(part.pyramid([1, 0])[1], whole.pyramid([2, 7])[1])
    assert part.labels().tolist() == [1, 2, 2]
    assert (part.target(1), part.subset([2, 0]).indices) == (2, [5, 7])


class Pairs(Noise):
    """Two dates and a mask for each, or one for both."""

    def read(self, index: int) -> Sample:
        one, other = super().read(index), super().read(-1 - index)
        image = torch.cat([one.images["air"], other.images["air"]])
        return Sample(self.keys[index], {"air": image}, np.stack([one.target, other.target]))


def test_where_time_is_kept_every_date_has_features_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = Pairs(5, masks=True)
    extractor = Extractor(Toy(), FOUND, "keep", 0, "cpu")
    stored, _ = split_features(extractor, samples, {"toy": 1}, "pyramid")
    fine, coarse = stored.pyramid([3, 1])
    assert fine.shape == (2, 2, 3, 8, 8)
    assert coarse.shape == (2, 2, 3, 4, 4)
    seen = samples.read(3).images["air"][1, [2, 1, 0]].float()
    assert torch.equal(fine[0, 1], seen)
    assert stored.pooled().shape == (5, 2, 3)
    assert stored.target(2).shape == (2, 8, 8)
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0")
    streamed, _ = split_features(extractor, samples, {"toy": 2}, "pyramid")
    for one, other in zip(stored.pyramid([3, 1]), streamed.pyramid([3, 1]), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(streamed.pooled(), stored.pooled())


def test_long_series_come_in_small_batches() -> None:
    model = Toy()
    list(extraction.extract(Extractor(model, FOUND, "keep", 0, "cpu"), Pairs(20, masks=True)))
    assert {shape[0] for shape in model.calls} == {8, 4}


class Found(Noise):
    """As many boxes as the index says."""

    def read(self, index: int) -> Sample:
        made = torch.Generator().manual_seed(index)
        boxes = Boxes(
            torch.rand(index, 4, 2, generator=made), torch.arange(index), torch.arange(index) > 1,
            (8, 8 + index),
        )  # fmt: skip
        return Sample(self.keys[index], super().read(index).images, boxes)


def test_boxes_are_kept_with_their_images() -> None:
    samples = Found(5)
    stored, _ = split_features(looking(Toy()), samples, {"toy": 1}, "pyramid")
    again, cached = split_features(looking(Toy()), samples, {"toy": 1}, "pyramid")
    assert cached
    for index in range(5):
        expected = samples.read(index).target
        for one in (stored.target(index), again.target(index)):
            assert torch.equal(one.corners, expected.corners)
            assert torch.equal(one.labels, expected.labels)
            assert torch.equal(one.difficult, expected.difficult)
            assert one.size == expected.size == (8, 8 + index)
    nothing, _ = split_features(looking(Toy()), Found(1), {"toy": 2}, "pyramid")
    assert nothing.target(0).corners.shape == (0, 4, 2)
