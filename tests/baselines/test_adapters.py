"""What single adapters do beyond the contract: units, normalisation, dates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from skybench.core import Batch, CannotRun, UsageError
from skybench.weights.load import load_model


def batch(**images: Tensor) -> Batch:
    count = len(next(iter(images.values())))
    dates = {n: x.shape[1] for n, x in images.items()}
    seen = {n: torch.ones(count, t, dtype=torch.bool) for n, t in dates.items()}
    days = {n: torch.full((count, t), -1) for n, t in dates.items()}
    return Batch(tuple(map(str, range(count))), images, seen, days, torch.zeros(count, 2))


@pytest.fixture(scope="module")
def galileo() -> Any:
    return load_model("galileo", "random", "tiny")


def features(model: Any, given: Batch) -> Tensor:
    with torch.inference_mode():
        pooled: Tensor = model(given).pooled
    return pooled


def test_skysense_normalises_with_imagenets_statistics() -> None:
    model: Any = load_model("skysense", "random", "tiny")
    image = torch.rand(1, 1, 3, 256, 256) * 255
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    std = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    with torch.inference_mode():
        expected = model.extract((image[:, 0] - mean) / std)
    assert torch.equal(features(model, batch(hr=image)), expected.pooled)
    assert torch.equal(expected.pooled, expected.pyramid[-1].mean((2, 3)))


def test_skysense_takes_small_images_where_small_maps_are_padded() -> None:
    model = load_model("skysense", "random", "tiny", pad_small_map=True)
    assert model.card.min_pixels == 32
    assert features(model, batch(hr=torch.rand(1, 1, 3, 64, 32))).shape == (1, 256)


def test_imagenet_is_timms_network_and_keeps_its_statistics_in_training() -> None:
    model: Any = load_model("imagenet")
    own = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    own.load_state_dict(model.net.state_dict())
    image = torch.rand(1, 1, 3, 128, 128) * 255
    with torch.inference_mode():
        expected = own((image[:, 0] - 127) / 128)
    torch.testing.assert_close(features(model, batch(hr=image)), expected, atol=1e-4, rtol=1e-4)
    model.train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)


def test_image_stats_are_numpys() -> None:
    model = load_model("image_stats")
    made = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2, 1, 3, 9, 9), generator=made).float()
    got = features(model, batch(hr=image)).numpy()
    pixels = (image[:, 0].flatten(2).numpy() - 127.5) / 64
    ranks = np.quantile(pixels, [0.1, 0.25, 0.5, 0.75, 0.9], axis=-1, method="nearest")
    expected = (pixels.mean(-1), pixels.std(-1), ranks.transpose(1, 2, 0).reshape(2, -1))
    start = 7 * (10 + 3)  # after the columns of "s2" and "s2_rgb"
    np.testing.assert_allclose(got[:, start : start + 21], np.concatenate(expected, 1), rtol=1e-4)
    assert not got[:, :start].any()
    assert not got[:, start + 21 :].any()


def test_rcf_is_the_same_for_rgb_as_display_and_as_reflectance() -> None:
    model = load_model("rcf", variant="tiny")
    image = torch.rand(1, 1, 3, 16, 16) * 255
    both = {"hr": image, "s2_rgb": (image - 127.5) / 64 * 690 + 1375}
    assert model.get_buffer("kernels_hr").shape == (32, 3, 3, 3)
    model.get_buffer("kernels_s2_rgb").copy_(model.get_buffer("kernels_hr"))
    first, second = (features(model, batch(**{n: x})) for n, x in both.items())
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features(model, batch(**both)), first, atol=1e-4, rtol=1e-4)


def test_rcf_puts_several_sensors_on_the_finest_grid() -> None:
    model = load_model("rcf", variant="tiny")
    given = batch(hr=torch.rand(1, 1, 3, 32, 48), s1=torch.rand(1, 1, 2, 16, 24))
    with torch.inference_mode():
        assert model(given).pyramid[0].shape == (1, 64, 8, 12)


def test_galileo_knows_the_month_and_takes_june_for_an_unknown_day(galileo: Any) -> None:
    given = batch(s2=torch.rand(1, 1, 10, 8, 8) * 3000)

    def on(day: str) -> Tensor:
        number = torch.tensor([[int(np.datetime64(day, "D").astype(int))]])
        return features(
            galileo, Batch(given.keys, given.images, given.seen, {"s2": number}, given.lonlat)
        )

    unknown = features(galileo, given)
    assert torch.equal(unknown, on("2019-06-01"))
    assert torch.equal(unknown, on("1971-06-30"))
    assert not torch.allclose(unknown, on("2019-07-01"))


def test_galileo_takes_rgb_from_either_input(galileo: Any) -> None:
    s2 = torch.rand(1, 1, 10, 8, 8) * 3000
    rgb = features(galileo, batch(s2_rgb=s2[:, :, :3]))
    every = features(galileo, batch(s2=s2))
    assert not torch.allclose(rgb, every)
    assert torch.equal(features(galileo, batch(s2=s2, s2_rgb=0 * s2[:, :, :3])), every)


def test_galileos_vegetation_index_is_not_scaled(galileo: Any) -> None:
    s2 = torch.zeros(1, 1, 10, 4, 4)
    s2[:, :, 2], s2[:, :, 6] = 1000, 3000
    s2[..., 0, 0] = 0
    groups = galileo._groups(batch(s2=s2), ["s2"], slice(0, 1))
    index = groups["NDVI"].values
    assert index[0, 0, 0, 1, 1] == pytest.approx(0.5)
    assert index[0, 0, 0, 0, 0] == 0
    red = groups["S2_RGB"].values[0, 0, 2, 1, 1]
    assert red == pytest.approx((1000 - (1343.098838 - 2 * 1092.678724)) / (4 * 1092.678724))


def test_galileo_reads_long_series_in_runs(galileo: Any) -> None:
    s2, s1 = torch.rand(1, 15, 10, 4, 4) * 3000, torch.rand(1, 3, 2, 4, 4) * -20
    whole = features(galileo, batch(s2=s2, s1=s1))
    first = features(galileo, batch(s2=s2[:, :12], s1=s1))
    second = features(galileo, batch(s2=s2[:, 12:]))
    tokens = torch.tensor([12 * 6 + 3 * 1, 3 * 6])  # dates x groups
    expected = (tokens[0] * first + tokens[1] * second) / tokens.sum()
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=1e-5)


def test_galileo_refuses_sensors_on_different_grids(galileo: Any) -> None:
    with pytest.raises(CannotRun, match="one grid"):
        galileo(batch(s2=torch.rand(1, 1, 10, 8, 8), s1=torch.rand(1, 1, 2, 4, 4)))


def test_galileos_patch_size_decides_the_stride() -> None:
    model = load_model("galileo", "random", "tiny", patch_size=8)
    assert model.card.levels == ((32, 8),)
    assert (model.card.multiple, model.card.min_pixels) == (8, 8)
    with pytest.raises(UsageError, match="patch_size to be 1 to 8, but got 9"):
        load_model("galileo", "random", "tiny", patch_size=9)
