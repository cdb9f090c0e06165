from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from skybench.core import Batch, Features, ModelCard, Sample, match
from skybench.data import batching
from skybench.data.batching import collate
from skybench.features import extractor
from skybench.features.batch_growth import BatchGrowth
from skybench.features.extractor import Extractor, chunk_size, extract
from skybench.weights.load import load_model

from .._toys import FOUND, RGB, Noise, Toy, gathered, looking

pytestmark = pytest.mark.usefixtures("own_cache")


def whole(batch: Batch) -> tuple[int, int]:
    """Chunks as large as the batch, as on GPUs."""
    return len(batch.keys), len(batch.keys)


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
    assert image.shape == (16, 1, 3, 16, 16)
    assert torch.equal(image[2:], image[1:2].expand(14, -1, -1, -1, -1))  # a full chunk
    assert image.dtype == torch.float32
    raw = torch.stack([s.images["air"][:, [2, 1, 0]] for s in samples])
    torch.testing.assert_close(image[:2], batching.resize(raw, 16, 16))
    assert not found.pooled.requires_grad


def test_batches_come_in_order_and_are_reported() -> None:
    reports: list[tuple[str, int, int]] = []
    samples, model = Noise(40), Toy()
    steps = extract(looking(model), samples, lambda *words: reports.append(words))
    targets = [t for _, ts in steps for t in ts]
    assert targets == [i % 3 for i in range(40)]
    assert [c[0] for c in model.calls] == [16, 16, 16]
    assert reports == [("features", n, 40) for n in (16, 32, 40)]


@pytest.mark.parametrize("most", [1, 2, 15, 16])
def test_the_batch_is_halved_when_memory_is_short(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractor, "chunk_size", whole)
    model, samples = Toy(most=most), Noise(19)
    pooled, targets = gathered(model, samples)
    torch.testing.assert_close(pooled, gathered(Toy(), samples)[0])
    assert targets == [i % 3 for i in range(19)]
    assert max(c[0] for c in model.calls) == {15: 8}.get(most, most)
    with pytest.raises(torch.cuda.OutOfMemoryError):  # too large for a single sample
        gathered(Toy(most=0), samples)


def test_memory_that_becomes_short_on_the_way_loses_and_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extractor, "chunk_size", whole)

    class Tiring(Toy):
        def forward(self, batch: Batch) -> Features:
            self.most = 16 if len(self.calls) < 2 else 3
            return super().forward(batch)

    model = Tiring()
    pooled, targets = gathered(model, Noise(40))
    torch.testing.assert_close(pooled, gathered(Toy(), Noise(40))[0])
    assert targets == [i % 3 for i in range(40)]
    assert [c[0] for c in model.calls] == [16, 16, 2, 2, 2, 2]


def test_for_pooled_features_no_feature_map_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = images((9, 1, 4, 128, 128))  # of two chunks
    run = looking(Toy())
    (expected,) = run(batch)
    joined: list[int] = []
    cat = torch.cat

    def counting(parts: list[torch.Tensor]) -> torch.Tensor:
        joined.append(parts[0].numel())
        return cat(parts)

    monkeypatch.setattr(torch, "cat", counting)
    for (found,) in (run(batch, "pooled"), run.on_device(batch, "pooled")):
        assert found.pyramid == ()
        assert torch.equal(found.pooled, expected.pooled)
    for (each,), _ in extract(looking(Toy()), Noise(40), level="pooled"):
        assert each.pyramid == ()
    assert max(joined) <= 16 * 3  # vectors alone


class Pairs(Noise):
    """Two dates and a mask for each, or one for both."""

    def read(self, index: int) -> Sample:
        one, other = super().read(index), super().read(-1 - index)
        image = torch.cat([one.images["air"], other.images["air"]])
        return Sample(self.keys[index], {"air": image}, np.stack([one.target, other.target]))


def test_long_series_come_in_small_batches() -> None:
    model = Toy()
    list(extract(Extractor(model, FOUND, "keep", 0, "cpu"), Pairs(20, masks=True)))
    assert {shape[0] for shape in model.calls} == {16}


def images(shape: Sequence[int], dates: Sequence[int] = (), name: str = "air") -> Batch:
    """Samples [T, C, H, W] of one sensor; dates: the length of each series."""
    made = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, tuple(shape), generator=made, dtype=torch.uint8)
    seen = torch.ones(shape[0], shape[1], dtype=torch.bool)
    for row, count in enumerate(dates):
        seen[row, count:] = False
        pixels[row, count:] = 0
    days = torch.arange(shape[1]).repeat(shape[0], 1)
    keys = tuple(map(str, range(shape[0])))
    return Batch(keys, {name: pixels}, {name: seen}, {name: days}, torch.zeros(shape[0], 2))


@pytest.mark.parametrize(
    ("side", "dates", "expected"),
    [(8, 1, (16, 16)), (64, 1, (16, 16)), (128, 1, (8, 8)), (224, 1, (4, 4)), (224, 2, (2, 4)),
     (512, 1, (1, 1)), (512, 2, (1, 1)), (64, 3, (1, 16))],
)  # fmt: skip
def test_the_size_of_a_chunk_follows_the_size_of_the_images(
    side: int, dates: int, expected: tuple[int, int]
) -> None:
    for count in (1, 5):
        assert chunk_size(images((count, dates, 1, side, side))) == expected


def test_the_network_sees_chunks_of_one_size_and_padding_is_left_out() -> None:
    model = Toy()
    batch = images((5, 1, 4, 128, 128))
    (found,) = looking(model)(batch)
    assert [call[0] for call in model.calls] == [8]
    assert found.pooled.shape == (5, 3)
    expected = batch.images["air"][:, 0, [2, 1, 0]].float()
    assert torch.equal(found.pyramid[0], expected)
    model.calls.clear()
    looking(model)(images((9, 1, 4, 128, 128)))
    assert [call[0] for call in model.calls] == [8, 8]


@pytest.mark.parametrize("name", ["imagenet", "rsp", "gassl", "ssl4eo"])
def test_features_are_the_same_bits_however_requests_are_batched(name: str) -> None:
    """A CNN, a Swin, a ViT and a ResNet; one thread, since several may differ in rounding."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = load_model(name, "random", "tiny").eval()
        sensor = model.card.inputs[0]
        run = Extractor(model, match(model.card, (sensor,)), "fuse", 0, "cpu")
        batch = images((11, 1, len(sensor.bands), 64, 64), name=sensor.name)
        (all_at_once,) = run(batch)
        for indices in ([3], [10, 3], [*range(10, 2, -1)]):
            (some,) = run(batch.at_samples(indices))
            (kept,) = run.on_device(batch.at_samples(indices))
            assert torch.equal(some.pooled, all_at_once.pooled[indices])
            for one, other, every in zip(
                some.pyramid, kept.pyramid, all_at_once.pyramid, strict=True
            ):
                assert torch.equal(one, every[indices])
                assert torch.equal(other, one)
        assert not kept.pooled.is_inference()
    finally:
        torch.set_num_threads(threads)


class Halves(Toy):
    """A product that autocast computes in lower precision."""

    def forward(self, batch: Batch) -> Features:
        x = batch.images["hr"][:, 0]
        weight = torch.full((x.shape[-1], 3), 1 / 3)
        return Features((x @ weight).mean((1, 2)), (x @ weight,))


def test_features_are_extracted_in_the_precision_and_given_in_float32() -> None:
    batch = images((3, 1, 4, 8, 8))
    (exact,) = looking(Halves())(batch)
    with torch.autocast("cpu", torch.bfloat16):
        (expected,) = Extractor(Halves(), FOUND, "fuse", 0, "cpu").forward(batch)
    run = replace(looking(Halves()), precision="bf16")
    for (found,) in (run(batch), run.on_device(batch)):
        assert found.pooled.dtype == found.pyramid[0].dtype == torch.float32
        assert torch.equal(found.pyramid[0], expected.pyramid[0].float())
        assert not torch.equal(found.pyramid[0], exact.pyramid[0])


def test_a_series_is_seen_at_its_own_length_whatever_the_others() -> None:
    model = Toy()
    lengths = (5, 3, 4)
    batch = images((3, 5, 4, 8, 8), lengths)
    (found,) = looking(model)(batch)
    assert [call[0] for call in model.calls] == [5, 3, 4]  # dates together, none of padding
    for row, length in enumerate(lengths):
        alone = images((3, 5, 4, 8, 8), lengths).at_samples([row]).trimmed()
        assert alone.images["air"].shape[1] == length
        (one,) = looking(Toy())(alone)
        assert torch.equal(one.pyramid[0][0], found.pyramid[0][row])
        expected = batch.images["air"][row, :length, [2, 1, 0]].float().mean(0)
        torch.testing.assert_close(found.pyramid[0][row], expected)


def test_a_batch_of_another_size_goes_on_where_the_last_one_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def growing(size: int, growing: bool) -> BatchGrowth:
        assert not growing  # on the CPU
        return BatchGrowth(2)

    rates = iter([1.0, 1.0, 1.0, 9.0, 9.0, 9.0, *[1.0] * 9])
    monkeypatch.setattr(extractor, "BatchGrowth", growing)
    monkeypatch.setattr(extractor, "_memory_in_use", lambda: 0.1)
    note = BatchGrowth.note
    monkeypatch.setattr(BatchGrowth, "note", lambda self, _, used: note(self, next(rates), used))
    steps = list(extract(looking(Toy()), Noise(40)))
    assert [len(truth) for _, truth in steps] == [2, 2, 2, 4, 4, 4, 8, 8, 6]
    assert [t for _, truth in steps for t in truth] == [i % 3 for i in range(40)]
