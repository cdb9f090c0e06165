"""Dense heads on features that are computed live, with test-time views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.augment import test_time
from skybench.core import (
    REFLECTANCE,
    UINT8,
    Batch,
    DatasetCard,
    Features,
    FitContext,
    ModelCard,
    Recipe,
    Sample,
    Sensor,
    Time,
    UsageError,
    match,
)
from skybench.core.dataset import Samples, Split
from skybench.core.model import Model
from skybench.features import extraction
from skybench.features.extractor import Extractor
from skybench.features.online import OnlineFeatures
from skybench.features.sources import CachedFeatures, SourceSubset, StreamedFeatures
from skybench.heads.dense import CHUNK, DateDifference, Dense, EachDate, Linear, PixelAnswer, UNet

HR = Sensor("hr", ("red", "green"), 1.0, UINT8)
S2 = Sensor("s2", ("red", "nir"), 2.0, REFLECTANCE)
CARD = ModelCard("toy", "Toy", "extra", (HR, S2), 5, ((5, 1),), "", "", "")
RECIPE = Recipe("finetune", epochs=1, batch=2, lr=0.1, width=4)
ALL = ("flip", "scales=1", "window=16,10")


class Pixels(Model):
    """Of every pixel both sensors alone; notes how many images it sees at once, and their size."""

    def __init__(self) -> None:
        super().__init__(CARD)
        self.gain = torch.nn.Parameter(torch.ones(1))
        self.calls: list[tuple[int, ...]] = []

    def forward(self, batch: Batch) -> Features:
        fine, coarse = (batch.images[n][:, 0] for n in ("hr", "s2"))
        self.calls.append((len(fine), *fine.shape[2:]))
        large = F.interpolate(coarse, fine.shape[-2:])
        levels = torch.cat([fine / 255, large, large[:, :1] * fine[:, :1] / 255], 1) * self.gain
        return Features(levels.mean((2, 3)), (levels,))


class Noise(Samples):
    """Two sensors, and one that no model asks for; masks [H, W] or, of each date, [T, H, W]."""

    split = Split("train", "ours", "", False)
    card = DatasetCard("toy", "", (), (HR, S2), ("a", "b", "c"), {}, "", "", "", "")

    def __init__(self, count: int, side: int = 24, dates: int = 1, masks: int = 0) -> None:
        self.keys = tuple(f"n{i}" for i in range(count))
        self.side, self.dates, self.masks = side, dates, masks

    def read(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        side = self.side
        fine = rng.integers(0, 256, (self.dates, 2, side, side)).astype(np.uint8)
        coarse = rng.random((self.dates, 2, side // 2, side // 2)).astype(np.float32)
        images = {"hr": torch.from_numpy(fine), "s2": torch.from_numpy(coarse)}
        images["other"] = torch.zeros(self.dates, 1, 5, 5)
        shape = (self.masks, side, side) if self.masks else (side, side)
        return Sample(self.keys[index], images, rng.integers(0, 3, shape).astype(np.uint8))


def looking(model: Model, time: Time = "fuse") -> Extractor:
    return Extractor(model, match(CARD, (HR, S2)), time, 0, "cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "cache"))


def fitted(build: Callable[..., Any], source: Any, names: Sequence[str], epochs: int = 1) -> Dense:
    """The same head whatever the views."""
    head = Dense(build, CARD.levels, 3, replace(RECIPE, views=tuple(names), epochs=epochs))
    head.fit(source, None, FitContext(0))
    return head


@pytest.mark.parametrize("kind", [OnlineFeatures, StreamedFeatures])
@pytest.mark.parametrize("names", [("flip",), ("window=16,10",), ALL, ("window=64,2",)])
def test_views_change_nothing_where_each_pixel_stands_alone(
    kind: type[StreamedFeatures], names: Sequence[str]
) -> None:
    source = SourceSubset(kind(looking(Pixels().eval()), Noise(3)), [2, 0, 1])
    plain = list(fitted(Linear, source, ()).predict(source))
    shown = list(fitted(Linear, source, names).predict(source))
    assert len(plain) == len(shown) == 3
    assert len(np.unique(plain)) > 1
    for one, other in zip(plain, shown, strict=True):
        np.testing.assert_array_equal(one, other)


def test_values_are_averaged_over_views_as_they_are() -> None:
    """A softmax of a single channel would be 1 everywhere."""
    source = OnlineFeatures(looking(Pixels().eval()), Noise(2))

    def squared_error(maps: Tensor, masks: Tensor) -> Tensor:
        return (F.interpolate(maps, masks.shape[1:])[:, 0] - masks).square().mean()

    answer = PixelAnswer(squared_error, lambda maps: maps[:, 0])
    plain, shown = (
        Dense(Linear, CARD.levels, 1, replace(RECIPE, views=names, epochs=1), answer)
        for names in ((), ("flip",))
    )
    for head in (plain, shown):
        head.fit(source, None, FitContext(0))
    for one, other in zip(plain.predict(source), shown.predict(source), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        assert np.ptp(one) > 0


@pytest.mark.parametrize(("wrap", "masks"), [(EachDate, 2), (DateDifference, 0)])
def test_every_date_is_shown_alike(wrap: Any, masks: int) -> None:
    samples = Noise(3, dates=2, masks=masks)
    source = OnlineFeatures(looking(Pixels().eval(), "keep"), samples)

    def build(*facts: Any) -> Any:
        return wrap(Linear(*facts))

    plain = np.stack(list(fitted(build, source, ()).predict(source)))
    shown = np.stack(list(fitted(build, source, ALL).predict(source)))
    assert shown.shape == ((3, 2, 24, 24) if masks else (3, 24, 24))
    np.testing.assert_array_equal(plain, shown)


def test_scales_and_windows_change_what_a_head_with_context_says() -> None:
    source = OnlineFeatures(looking(Pixels().eval()), Noise(2, side=32))
    plain = np.stack(list(fitted(UNet, source, (), 8).predict(source)))
    assert len(np.unique(plain)) == 3
    for names in (("window=16,16",), ("scales=0.5,1,1.5",), ("flip",)):
        shown = np.stack(list(fitted(UNet, source, names, 8).predict(source)))
        assert shown.shape == plain.shape
        assert (shown != plain).any()


def test_images_much_larger_than_those_of_training_are_seen_in_windows_few_at_a_time() -> None:
    model = Pixels().eval()
    head = fitted(Linear, OnlineFeatures(looking(model), Noise(2)), ("window=512,256", "flip"))
    model.calls.clear()
    (found,) = head.predict(OnlineFeatures(looking(model), Noise(1, side=1024)))
    assert found.shape == (1024, 1024)
    assert model.calls == [(CHUNK, 512, 512), (1, 512, 512)] * 2


def test_the_features_of_a_frozen_backbone_in_the_cache_have_no_views() -> None:
    extractor, samples = looking(Pixels().eval()), Noise(2)
    stored, _ = extraction.split_features(extractor, samples, {"toy": 1}, "pyramid")
    assert isinstance(stored, CachedFeatures)
    source = SourceSubset(stored, [0, 1])
    with pytest.raises(UsageError, match=r"cached.* a protocol that trains the backbone"):
        test_time.check_views_fit(("flip",), source)
    test_time.check_views_fit((), source)
    head = fitted(Linear, source, ("flip",))
    with pytest.raises(UsageError, match="cached"):
        next(head.predict(source))


def test_a_sensor_that_the_model_does_not_see_decides_nothing() -> None:
    source = OnlineFeatures(looking(Pixels().eval()), Noise(1))
    test_time.check_views_fit(ALL, source)  # 5 x 5 pixels of the third sensor would fit no window
    batch, levels = source.open_batch([0])
    assert {*batch.images} == {"hr", "s2"}
    assert torch.equal(levels(batch)[0], source.pyramid([0])[0])
