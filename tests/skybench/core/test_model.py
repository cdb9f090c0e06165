from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from skybench.core import Batch, CannotRun, Features, ModelCard
from skybench.core.model import Model, encode
from skybench.core.sample import Time

CARD = ModelCard("toy", "Toy", "extra", (), 2, ((2, 1),), "ours", "ours", "none")


class Means(Model):
    """Features are the means over dates and pixels of all sensors; counts its calls."""

    def __init__(self, temporal: bool = False) -> None:
        super().__init__(replace(CARD, temporal=temporal))
        self.first, self.last = nn.Linear(1, 1), nn.Linear(1, 1)
        self.calls: list[Batch] = []

    def forward(self, batch: Batch) -> Features:
        self.calls.append(batch)
        maps = torch.stack([x.mean(1) for x in batch.images.values()]).sum(0)
        return Features(maps.mean((2, 3)), (maps, 2 * maps[..., ::2, ::2]))


def batch(lengths: Mapping[str, int], seen: Mapping[str, Tensor] | None = None) -> Batch:
    """3 samples of [T, 2, 4, 4] for each sensor."""
    made = torch.Generator().manual_seed(0)
    images = {n: torch.randn(3, t, 2, 4, 4, generator=made) for n, t in lengths.items()}
    shown = {n: torch.ones(3, t, dtype=torch.bool) for n, t in lengths.items()} | dict(seen or {})
    days = {n: torch.arange(t).repeat(3, 1) for n, t in lengths.items()}
    return Batch(("a", "b", "c"), images, shown, days, torch.zeros(3, 2))


def test_a_single_date_is_one_call() -> None:
    for time in ("fuse", "keep"):
        model = Means()
        given = batch({"s2": 1, "s1": 1})
        (found,) = encode(model, given, time)
        assert len(model.calls) == 1
        torch.testing.assert_close(found.pooled, Means()(given).pooled)


def test_dates_are_averaged() -> None:
    model = Means()
    given = batch({"s2": 4})
    (found,) = encode(model, given, "fuse")
    assert [c.images["s2"].shape[1] for c in model.calls] == [1] * 4
    torch.testing.assert_close(found.pooled, given.images["s2"].mean((1, 3, 4)))
    torch.testing.assert_close(found.pyramid[0], given.images["s2"].mean(1))
    torch.testing.assert_close(found.pyramid[1], 2 * given.images["s2"].mean(1)[..., ::2, ::2])


@pytest.mark.parametrize("time", ["fuse", "keep"])
def test_dates_are_encoded_together_up_to_a_number_of_images(time: Time) -> None:
    given, model = batch({"s2": 5, "dem": 1}), Means()
    found = encode(model, given, time, most=7)
    assert [c.images["s2"].shape[:2] for c in model.calls] == [(6, 1), (6, 1), (3, 1)]
    assert model.calls[0].keys == ("a", "b", "c", "a", "b", "c")
    for one, other in zip(found, encode(Means(), given, time), strict=True):
        torch.testing.assert_close(one.pooled, other.pooled)
        for level, same in zip(one.pyramid, other.pyramid, strict=True):
            torch.testing.assert_close(level, same)


def test_a_padded_date_does_not_count() -> None:
    seen = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    given = batch({"s2": 3}, {"s2": seen})
    (found,) = encode(Means(), given, "fuse")
    for i, length in enumerate((3, 2, 1)):
        expected = given.images["s2"][i, :length].mean(0)
        torch.testing.assert_close(found.pyramid[0][i], expected)
        torch.testing.assert_close(found.pooled[i], expected.mean((1, 2)))


def test_a_single_date_beside_a_series_is_repeated() -> None:
    seen = torch.tensor([[True, True], [True, False], [True, True]])
    given = batch({"dem": 1, "s2": 2}, {"s2": seen})
    (found,) = encode(Means(), given, "fuse")
    dem, s2 = given.images["dem"][:, 0], given.images["s2"]
    torch.testing.assert_close(found.pyramid[0][0], dem[0] + s2[0].mean(0))
    torch.testing.assert_close(found.pyramid[0][1], dem[1] + s2[1, 0])


def test_kept_dates_have_features_each() -> None:
    given = batch({"s2": 3, "dem": 1})
    found = encode(Means(), given, "keep")
    assert len(found) == 3
    for t, features in enumerate(found):
        expected = given.images["s2"][:, t] + given.images["dem"][:, 0]
        torch.testing.assert_close(features.pyramid[0], expected)


def test_a_temporal_model_fuses_by_itself_in_one_call() -> None:
    model = Means(temporal=True)
    given = batch({"s2": 3, "s1": 5})
    assert len(encode(model, given, "fuse")) == 1
    assert model.calls == [given]


def test_a_temporal_model_gives_kept_dates_one_by_one() -> None:
    model = Means(temporal=True)
    assert len(encode(model, batch({"s2": 3}), "keep")) == 3
    assert [c.images["s2"].shape[1] for c in model.calls] == [1, 1, 1]


def test_series_of_two_lengths_cannot_be_averaged() -> None:
    for time in ("fuse", "keep"):
        with pytest.raises(CannotRun, match=r"toy has no time, and the series differ: \[1, 3, 5\]"):
            encode(Means(), batch({"s2": 3, "s1": 5}), time)


def test_series_that_differ_within_a_sample_cannot_be_averaged() -> None:
    # Padded beside a longer sample of the same batch, the shorter series looks as long.
    seen = {"s1": torch.tensor([[True, True, True], [True, True, False], [True, True, True]])}
    with pytest.raises(CannotRun, match="the series of b differ"):
        encode(Means(), batch({"s2": 3, "s1": 3}, seen), "fuse")
    same = {**seen, "s2": seen["s1"]}
    assert len(encode(Means(), batch({"s2": 3, "s1": 3}, same), "fuse")) == 1


def test_layers_go_from_stem_to_last_block() -> None:
    model = Means()
    assert list(model.layers()) == [model.first, model.last]


def test_a_fresh_model_says_that_nothing_was_loaded() -> None:
    assert Means().loaded.source == "none"
