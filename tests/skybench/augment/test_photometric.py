"""Colours and erased rectangles; see skybench.augment.photometric."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skybench.augment.apply import augment, effective_augmentations
from skybench.augment.photometric import adjust_saturation, photometric
from skybench.augment.randaugment import OPERATIONS, Colour
from skybench.core import S2_DISPLAY, UINT8, Sample, Sensor

from ._augment import RGB, S1, S2, card, noise, same

RGBN = Sensor("hr", ("nir", "blue", "green", "red"), 1.0, UINT8)


@pytest.mark.parametrize("name", ["photometric", "randaugment=15,9,0.5"])
def test_colours_change_only_in_display_units(name: str) -> None:
    colours = [i for i, operation in enumerate(OPERATIONS) if isinstance(operation, Colour)]
    assert len(colours) == 10
    about = card(RGB, S2, S1, Sensor("s2b", ("red", "green", "blue"), 1.0, S2_DISPLAY))
    flat = {s.name: noise((1, len(s.bands), 1, 1)).expand(-1, -1, 6, 6) for s in about.sensors}
    sample = Sample("k", flat, 0)  # the same everywhere: a move of the ground changes nothing
    changed = set()
    for seed in range(10):
        after = augment(sample, [name], about, (seed,)).images
        changed |= {s for s, x in after.items() if not torch.equal(x, flat[s])}
    assert changed == {"hr"}


def test_hue_and_saturation_leave_infrared_alone() -> None:
    about, x = card(RGBN), noise((1, 4, 6, 6))
    sample = Sample("k", {"hr": x}, 0)
    seen = [augment(sample, ["photometric=0,1,1,0.2,3,80"], about, (i,)) for i in range(8)]
    assert all(torch.equal(s.images["hr"][:, 0], x[:, 0]) for s in seen)
    assert any(not torch.equal(s.images["hr"], x) for s in seen)
    brighter = [augment(sample, ["photometric=50,1,1,1,1,0"], about, (i,)) for i in range(8)]
    assert any(not torch.equal(s.images["hr"][:, 0], x[:, 0]) for s in brighter)


def test_a_display_image_without_colours_changes_in_brightness() -> None:
    grey = card(Sensor("hr", ("pan",), 1.0, UINT8))
    sample = Sample("k", {"hr": noise((1, 1, 6, 6))}, 0)
    seen = [augment(sample, ["photometric"], grey, (i,)) for i in range(8)]
    assert any(not same(s, sample) for s in seen)
    assert effective_augmentations(["photometric", "randaugment"], grey) == (
        "photometric (hr)",
        "randaugment (no colours)",
    )


def test_each_date_has_its_own_light() -> None:
    x = noise((1, 3, 6, 6)).expand(2, -1, -1, -1)
    usual = (32.0, 0.5, 1.5, 0.5, 1.5, 18.0)
    seen = [photometric(x, [0, 1, 2], usual, np.random.default_rng(i)) for i in range(8)]
    assert any(not torch.equal(s[0], s[1]) for s in seen)


def test_contrast_and_brightness_stay_in_their_ranges() -> None:
    x = torch.full((1, 3, 2, 2), 100, dtype=torch.uint8)
    values = {
        int(photometric(x, [0, 1, 2], (0, 0.5, 1.5, 1, 1, 0), np.random.default_rng(i))[0, 0, 0, 0])
        for i in range(100)
    }
    assert min(values) < 60
    assert max(values) > 140
    assert 50 <= min(values) <= max(values) <= 150
    assert 100 in values


def test_saturation_is_that_of_hsv() -> None:
    import colorsys

    for factor in (0.0, 0.5, 1.4, 9.0):
        for rgb in ((200, 100, 50), (10, 10, 10), (0, 0, 0), (3, 250, 77)):
            h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
            expected = [255 * c for c in colorsys.hsv_to_rgb(h, min(s * factor, 1), v)]
            found = adjust_saturation(torch.tensor(rgb).float().reshape(3, 1, 1), factor)
            assert found.flatten().tolist() == pytest.approx(expected, abs=0.01)


def test_the_same_ground_is_erased_in_every_sensor_and_date() -> None:
    images = {
        "hr": noise((2, 3, 40, 40)),
        "s2": noise((2, 2, 20, 20), torch.int16),
        "s1": noise((1, 2, 20, 20), torch.float32) - 300,
    }
    for seed in range(10):
        after = augment(Sample("k", images, 0), ["erase=1"], card(RGB, S2, S1), (seed,)).images
        where = {n: (after[n] != x).any(1) for n, x in images.items()}
        rows, columns = (where["s1"][0].any(1 - i).nonzero().flatten() for i in range(2))
        part = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        share = where["s1"][0].float().mean()
        assert 0.01 < share < 0.4
        assert where["s1"][0][part].float().mean() > 0.95
        for name in ("hr", "s2"):
            small = torch.nn.functional.adaptive_avg_pool2d(where[name].float(), 20)
            assert ((small - where["s1"].float()).abs() > 0.8).float().mean() < 0.1
        assert all(
            images[n].min() <= x.min() <= x.max() <= images[n].max() for n, x in after.items()
        )


def test_what_units_do_not_allow_is_not_in_force() -> None:
    names = ["flip", "photometric", "randaugment=2,9,0.5", "erase=0.25"]
    assert effective_augmentations(names, card(RGB, S1)) == (
        "flip",
        "photometric (hr)",
        "randaugment=2,9,0.5 (hr)",
        "erase=0.25",
    )
    assert effective_augmentations(names, card(S2)) == (
        "flip",
        "randaugment=2,9,0.5 (no colours)",
        "erase=0.25",
    )
    sample = Sample("k", {"s2": noise((1, 2, 4, 4), torch.int16)}, 0)
    assert same(augment(sample, ["photometric"], card(S2), (0,)), sample)
