from __future__ import annotations

from dataclasses import replace

import torch

from skybench.core import (
    REFLECTANCE,
    S2_DISPLAY,
    UINT8,
    BandMapping,
    Batch,
    Boxes,
    Conversion,
    Sensor,
    match,
)

from ._sensors import S2, model


def series() -> Batch:
    images = {
        "s2": torch.arange(2 * 3 * 4, dtype=torch.int16).reshape(2, 3, 4, 1, 1),
        "hr": torch.full((2, 1, 3, 2, 2), 255, dtype=torch.uint8),
    }
    seen = {"s2": torch.tensor([[True, True, True], [True, False, False]]),
            "hr": torch.ones(2, 1, dtype=torch.bool)}  # fmt: skip
    days = {"s2": torch.tensor([[1, 2, 3], [4, -1, -1]]), "hr": torch.tensor([[9], [8]])}
    return Batch(("a", "b"), images, seen, days, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))


def test_what_a_display_cannot_show_is_cut_off() -> None:
    s2 = Sensor("s2", ("red",), 10.0, REFLECTANCE)
    found = match(model(Sensor("hr", ("red",), 0.0, UINT8)), [s2])
    x = torch.tensor([-50, 0, 1375, 2750, 9000])[None, None, None, None]
    batch = Batch(("a",), {"s2": x}, {"s2": x}, {"s2": x}, x)
    shown = batch.select(found).images["hr"].flatten()
    torch.testing.assert_close(shown, torch.tensor([0, 0, 127.5, 255, 255]))


def test_select_reorders_channels_and_converts_units() -> None:
    wanted = model(Sensor("sentinel", ("red", "blue"), 10.0, REFLECTANCE))
    display = Sensor("s2", S2.bands, 10.0, S2_DISPLAY)
    batch = series().select(match(wanted, [display]))
    assert set(batch.images) == set(batch.seen) == set(batch.days) == {"sentinel"}
    image = batch.images["sentinel"]
    assert image.dtype == torch.float32
    assert image.shape == (2, 3, 2, 1, 1)
    raw = torch.tensor([14.0, 12.0])  # sample 0 holds 0..11, sample 1 12..23; red is channel 2
    torch.testing.assert_close(image[1, 0, :, 0, 0], raw * 2750 / 255)
    torch.testing.assert_close(batch.seen["sentinel"], series().seen["s2"])
    torch.testing.assert_close(batch.days["sentinel"], series().days["s2"])
    assert batch.keys == ("a", "b")


def test_an_offset_is_added_after_scaling() -> None:
    found = {"hr": BandMapping("hr", (0,), Conversion(2.0, -1.0))}
    assert series().select(found).images["hr"].flatten().tolist() == [509.0] * 8


def test_select_copies_nothing_that_need_not_be_converted() -> None:
    batch = series()
    batch = replace(batch, images={"hr": batch.images["hr"].float()})
    same = {"hr": BandMapping("hr", (0, 1, 2), Conversion(1.0, 0.0))}
    assert batch.select(same).images["hr"].data_ptr() == batch.images["hr"].data_ptr()
    turned = {"hr": BandMapping("hr", (2, 1, 0), Conversion(1.0, 0.0))}
    assert torch.equal(batch.select(turned).images["hr"], batch.images["hr"][:, :, [2, 1, 0]])
    first = {"hr": BandMapping("hr", (0, 1), Conversion(1.0, 0.0))}
    assert batch.select(first).images["hr"].shape[2] == 2


def test_one_date_of_a_batch() -> None:
    date = series().at(2)
    assert date.images["s2"].flatten().tolist() == [8, 9, 10, 11, 20, 21, 22, 23]
    assert date.images["s2"].shape == (2, 1, 4, 1, 1)
    assert date.seen["s2"].tolist() == [[True], [False]]
    assert date.days["s2"].tolist() == [[3], [-1]]
    torch.testing.assert_close(date.images["hr"], series().images["hr"])  # it has one date alone


def test_moving_a_batch_moves_all_of_it() -> None:
    moved = series().to("meta")
    for tensors in (moved.images, moved.seen, moved.days):
        assert {x.device.type for x in tensors.values()} == {"meta"}
    assert moved.lonlat.device.type == "meta"
    assert moved.keys == ("a", "b")


def test_boxes_know_which_are_crowd_regions() -> None:
    corners, labels = torch.rand(3, 4, 2), torch.tensor([1, 2, 3])
    plain = Boxes(corners, labels, torch.tensor([True, False, False]), (9, 9))
    assert plain.crowds.tolist() == [False] * 3
    assert plain.where(plain.difficult).crowd is None
    marked = Boxes(corners, labels, plain.difficult, (9, 9), torch.tensor([False, True, True]))
    some = marked.where(torch.tensor([0, 2]))
    assert (some.labels.tolist(), some.crowds.tolist(), some.size) == (
        [1, 3],
        [False, True],
        (9, 9),
    )
