"""How samples become a batch of one size; see skybench.features.extraction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from skybench.core import DataError, ModelCard, Sample
from skybench.data import batching, cores, decoded
from skybench.data.batching import collate

from ._counting import Counting


def sample(
    key: str, image: Tensor, days: Mapping[str, Tensor] | None = None, **more: Any
) -> Sample:
    return Sample(key, {"hr": image}, 0, days or {}, **more)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32, torch.float32]
)
def test_a_short_series_is_padded_at_its_end(dtype: torch.dtype) -> None:
    long = torch.arange(3 * 4).reshape(3, 1, 2, 2).to(dtype)
    batch = collate([sample("a", long), sample("b", long[:1])])
    assert batch.images["hr"].dtype == dtype
    assert batch.images["hr"].shape == (2, 3, 1, 2, 2)
    assert batch.images["hr"][1, 0].tolist() == long[0].tolist()
    assert not batch.images["hr"][1, 1:].float().any()
    assert batch.seen["hr"].tolist() == [[True] * 3, [True, False, False]]
    assert batch.keys == ("a", "b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_pixels_that_are_no_numbers_are_refused(value: float) -> None:
    image = torch.ones(1, 1, 2, 2)
    image[0, 0, 1] = value
    with pytest.raises(DataError, match="b has 2 values of hr that are NaN or infinite"):
        collate([sample("a", torch.ones(1, 1, 2, 2)), sample("b", image)])


def test_days_are_unknown_where_padded_or_not_given() -> None:
    image = torch.zeros(3, 1, 2, 2)
    batch = collate([
        sample("a", image, {"hr": torch.tensor([17, 18, 19])}),
        sample("b", image[:2], {"hr": torch.tensor([5, 6])}),
        sample("c", image),
    ])  # fmt: skip
    assert batch.days["hr"].tolist() == [[17, 18, 19], [5, 6, -1], [-1, -1, -1]]


def test_places_are_nan_where_unknown() -> None:
    image = torch.zeros(1, 1, 2, 2)
    lonlat = collate([sample("a", image, lonlat=(7.5, 51.25)), sample("b", image)]).lonlat
    assert lonlat[0].tolist() == [7.5, 51.25]
    assert lonlat[1].isnan().all()


def test_images_of_two_sizes_are_refused_and_the_odd_one_is_named() -> None:
    first, longer, odd = torch.zeros(1, 3, 8, 8), torch.zeros(2, 3, 8, 8), torch.zeros(1, 3, 6, 8)
    with pytest.raises(DataError) as caught:
        collate([sample("first", first), sample("longer", longer), sample("odd", odd)])
    assert str(caught.value) == (
        "odd is (6, 8) pixels, others are (8, 8); give one size for all with --size"
    )


def test_images_are_brought_to_a_size() -> None:
    large, small = torch.full((1, 3, 12, 8), 7, dtype=torch.uint8), torch.full((2, 3, 2, 2), 9.0)
    batch = collate([sample("a", large), sample("b", small)], 4)
    assert batch.images["hr"].shape == (2, 2, 3, 4, 4)
    assert (batch.images["hr"][0, 0] == 7).all()
    assert (batch.images["hr"][1] == 9).all()


@pytest.mark.parametrize(
    ("least", "multiple", "given_size", "expected"),
    [(0, 1, (7, 9), (7, 9)), (0, 32, (64, 96), (64, 96)), (0, 32, (65, 96), (96, 96)),
     (256, 32, (64, 96), (256, 384)), (256, 32, (300, 512), (320, 512)),
     (224, 1, (37, 37), (224, 224)), (256, 64, (200, 300), (256, 384)), (0, 14, (1, 15), (14, 28))],
)  # fmt: skip
def test_the_side_at_which_a_model_looks(
    least: int, multiple: int, given_size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert batching.input_size(sized(least, multiple), "hr", *given_size) == expected


def sized(least: int, multiple: int) -> ModelCard:
    return ModelCard(
        "toy",
        "Toy",
        "extra",
        (),
        3,
        (),
        "ours",
        "ours",
        "none",
        min_pixels=least,
        multiple=multiple,
    )


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 300), st.integers(1, 64), st.integers(1, 600), st.integers(1, 600))
def test_a_side_is_large_enough_and_never_smaller_than_the_image(
    least: int, multiple: int, height: int, width: int
) -> None:
    found = batching.input_size(sized(least, multiple), "hr", height, width)
    for side, original in zip(found, (height, width), strict=True):
        assert side % multiple == 0
        assert side >= max(least, original)
        assert side < max(1.0, least / min(height, width)) * original + 1 + multiple


def test_resizing_keeps_the_leading_axes() -> None:
    x = torch.rand(2, 3, 4, 8, 6, generator=torch.Generator().manual_seed(0))
    found = batching.resize(x, 4, 5)
    assert found.shape == (2, 3, 4, 4, 5)
    expected = F.interpolate(x[1], (4, 5), mode="bilinear", antialias=True)
    torch.testing.assert_close(found[1], expected)
    torch.testing.assert_close(batching.resize(x[1], 4, 5), expected)
    torch.testing.assert_close(batching.resize(x[1, 2], 4, 5), expected[2])
    same = batching.resize((255 * x).to(torch.uint8), 8, 6)
    assert same.dtype == torch.float32
    assert torch.equal(same, (255 * x).floor())


def counting(folder: Path, count: int) -> Counting:
    return Counting(folder / "a", count)


@pytest.mark.parametrize("workers", [None, 0, 2])
@pytest.mark.parametrize("size", [0, 4])
def test_batches_are_those_of_collate_in_order_with_their_targets(
    tmp_path: Path, workers: int | None, size: int
) -> None:
    samples = counting(tmp_path, 7)
    found = list(batching.batches(samples, size, 3, workers))
    assert [batch.keys for batch, _ in found] == [
        samples.keys[:3],
        samples.keys[3:6],
        samples.keys[6:],
    ]
    for (batch, targets), start in zip(found, (0, 3, 6), strict=True):
        read = [samples.read(i) for i in range(start, min(start + 3, 7))]
        expected = collate(read, size)
        for name, images in expected.images.items():
            assert images.dtype == batch.images[name].dtype
            assert torch.equal(images, batch.images[name])
        assert all(torch.equal(t, s.target) for t, s in zip(targets, read, strict=True))


def test_each_sample_is_read_once_with_its_target(tmp_path: Path) -> None:
    samples = counting(tmp_path, 9)
    assert len(list(batching.batches(samples, 0, 2))) == 5
    assert set(samples.reads.values()) == {1}
    assert not samples.looks


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_ends_the_batches_with_its_error(tmp_path: Path, workers: int) -> None:
    samples = counting(tmp_path, 6)
    samples.damaged = {"a004"}
    loaded = batching.batches(samples, 0, 2, workers)
    assert [next(loaded)[0].keys[0], next(loaded)[0].keys[0]] == ["a000_0", "a002_0"]
    with pytest.raises(DataError, match=r"a004 cannot be read; get it again$"):
        next(loaded)


def test_batches_are_loaded_ahead_by_a_few_only(tmp_path: Path) -> None:
    samples = counting(tmp_path, 60)
    loaded = batching.batches(samples, 0, 2)
    next(loaded)
    assert sum(samples.reads.values()) <= 2 * (batching.THREADS + 2)
    loaded.close()  # type: ignore[attr-defined]


def test_for_gpus_images_come_as_stored_in_pinned_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[Tensor] = []

    def pin(x: Tensor) -> Tensor:
        pinned.append(x)
        return x

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    samples = counting(tmp_path, 4)
    ((batch, _),) = batching.batches(samples, 4, 4, device="cuda:0")
    assert (batch.images["hr"].dtype, batch.images["hr"].shape[-1]) == (torch.uint8, 8)
    assert any(x is batch.images["hr"] for x in pinned)
    expected = collate([samples.read(i) for i in range(4)], 4)
    for name, images in batching.resized(batch, 4).images.items():
        assert torch.equal(images, expected.images[name])
    assert batching.resized(batch, 0) is batch


@pytest.mark.parametrize(("size", "dtype"), [(8, torch.uint8), (4, torch.float32)])
def test_for_cpus_images_of_the_size_come_as_stored(
    tmp_path: Path, size: int, dtype: torch.dtype
) -> None:
    samples = counting(tmp_path, 4)
    ((batch, _),) = batching.batches(samples, size, 4)
    assert batch.images["hr"].dtype == dtype
    expected = collate([samples.read(i) for i in range(4)], size)
    for name, images in batching.resized(batch, size).images.items():
        assert torch.equal(images, expected.images[name])


def test_a_batch_that_was_resized_keeps_its_size(tmp_path: Path) -> None:
    samples = counting(tmp_path, 2)
    batch = collate([samples.read(i) for i in range(2)], 12)
    assert {n: x.shape[-1] for n, x in batch.images.items()} == {"hr": 12, "s2": 3}
    for name, images in batching.resized(batch, 12).images.items():
        assert torch.equal(images, batch.images[name])


def test_images_of_two_shapes_are_resized_before_they_are_stacked() -> None:
    large, small = torch.full((1, 3, 12, 8), 7, dtype=torch.uint8), torch.full((2, 3, 2, 2), 9.0)
    batch = batching.collate_as_stored([sample("a", large), sample("b", small)], 4)
    assert batch.images["hr"].shape == (2, 2, 3, 4, 4)


def test_little_shared_memory_means_fewer_processes_or_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batching, "FEW", 1)
    monkeypatch.setattr(cores, "available", lambda: 2)
    monkeypatch.setattr(batching, "_shared_memory", lambda: 100.0)
    monkeypatch.setattr(batching, "_by_processes", None)
    samples = counting(tmp_path, 5)
    assert sum(len(batch.keys) for batch, _ in batching.batches(samples, 0, 2)) == 5
    assert len(list(batching.batches(samples, 0, 2))) == 3
    told = capsys.readouterr().err
    assert told.count("/dev/shm has 0 MB: images are loaded by threads instead of 2 processes") == 1


def test_decoded_samples_are_loaded_by_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: None
) -> None:
    monkeypatch.setattr(batching, "FEW", 1)
    monkeypatch.setattr(cores, "available", lambda: 2)
    monkeypatch.setattr(batching, "_by_processes", None)
    samples = decoded.open_decoded(counting(tmp_path, 5), {})
    assert len(list(batching.batches(samples, 0, 2))) == 3
