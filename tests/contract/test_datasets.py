"""What every dataset keeps, checked on its own demo data through its own reader."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from skybench.core import CONVERT, S2_DISPLAY, UINT8, Boxes, Sample, infer_target, registry
from skybench.core.dataset import Samples, Subset, groups_of

NAMES = registry.names("datasets")
PARTS = ("train", "val", "test")

Demo = Callable[[str], Path]


def _splits(plugin: ModuleType, root: Path, tile: int = 0) -> dict[str, Samples]:
    return {split: plugin.open(root, split, tile) for split in plugin.CARD.splits}


def _targets(samples: Samples) -> set[int]:
    if samples.labels is not None:
        return set(samples.labels)
    return set().union(*(_ids(sample.target, samples.card.multilabel) for sample in samples))


def _ids(target: Any, multilabel: bool) -> set[int]:
    if isinstance(target, Boxes):
        return set(target.labels.tolist())
    if multilabel:
        return set(torch.nonzero(target).flatten().tolist())
    return set(target.unique().tolist()) - {255}


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name: str) -> None:
    card = registry.load("datasets", name).CARD
    assert card.name == name
    assert card.version >= 1
    texts = (card.title, card.about, card.metric, card.source, card.licence, card.obtain)
    for text in (*texts, card.layout):
        assert text.strip()
    assert card.about[0].isupper() or card.about[0].isdigit()
    for text in (card.about, card.metric):  # the page of the datasets prints them as they are
        assert text.endswith(".")
    for text in (card.source, card.licence, *card.caveats):  # the page adds the full stop
        assert not text.endswith(".")
    for option in card.options.values():
        assert option.text.strip()
        assert len(set(option.values)) == len(option.values)
    assert card.caveats, "no dataset is without traps"
    assert card.tasks
    assert card.splits
    units = {unit for pair in CONVERT for unit in pair}
    for sensor in card.sensors:
        assert sensor.bands
        assert len(set(sensor.bands)) == len(sensor.bands)
        assert sensor.unit in units
        assert sensor.gsd >= 0
    assert len({s.name for s in card.sensors}) == len(card.sensors) > 0
    assert len(set(card.classes)) == len(card.classes) != 1


@pytest.mark.parametrize(
    "names",
    [("dior", "dior_r"), ("ben_s2", "ben_mm"), ("dyna_s2", "dyna_pla"), ("dyna_s2", "dyna_mm")],
)
def test_data_sets_of_the_same_images_share_the_source(names: tuple[str, str]) -> None:
    first, second = (registry.dataset(name).CARD.image_source for name in names)
    assert first == second


@pytest.mark.parametrize(
    ("name", "source"), [("aid", "millionaid"), ("fmow_s2", "fmow"), ("isaid", "dota")]
)
def test_images_of_another_collection_have_its_name(name: str, source: str) -> None:
    assert registry.dataset(name).CARD.image_source == source


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_unique_and_the_same_in_every_opening(name: str, demo_of: Demo) -> None:
    plugin, root = registry.load("datasets", name), demo_of(name)
    again = _splits(plugin, root)
    for split, samples in _splits(plugin, root).items():
        assert len(samples) == len(samples.keys) == len(set(samples.keys)) > 0
        assert samples.keys == again[split].keys
        assert samples.split == again[split].split
        assert samples.split.name == split
        assert samples.split.source.split(" ")[0].rstrip(":") in ("official", "rule", "ours")
        assert samples.split.demo


# What follows the name of the independent unit in a sample's key: offsets, scale, month, image.
WITHIN = {
    **dict.fromkeys(("isaid", "potsdam", "levir_cd", "oscd", "pastis_mm"), r"_\d+_\d+"),
    **dict.fromkeys(("dyna_mm", "dyna_pla", "dyna_s2"), r"(_\d{4}-\d\d)?_\d+_\d+"),
    "fair1m": r"_\d+\.\d+_\d+_\d+",
    "fmow_s2": r"_\d+",
}


@pytest.mark.parametrize("name", NAMES)
def test_tiles_months_and_crops_name_what_they_are_of(name: str, demo_of: Demo) -> None:
    for samples in _splits(registry.load("datasets", name), demo_of(name)).values():
        expected = [re.sub(f"{WITHIN.get(name, '(?!)')}$", "", key) for key in samples.keys]
        assert list(groups_of(samples)) == expected
        half = Subset(samples, range(0, len(samples), 2))
        assert list(groups_of(half)) == expected[::2]


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_one_split_share_no_sample(name: str, demo_of: Demo) -> None:
    splits = _splits(registry.load("datasets", name), demo_of(name))
    ratio = {s: s.replace(next(p for p in PARTS if p in s), "", 1) for s in splits}
    for a, b in combinations(splits, 2):
        if ratio[a] == ratio[b]:
            assert set(splits[a].keys).isdisjoint(splits[b].keys)


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_as_the_card_says(name: str, demo_of: Demo) -> None:
    for samples in _splits(registry.load("datasets", name), demo_of(name)).values():
        sensors = {sensor.name: sensor for sensor in samples.card.sensors}
        for index in (0, len(samples) - 1):
            sample = samples[index]
            assert sample.key == samples.keys[index]
            assert set(sample.images) <= set(sensors)
            for sensor, image in sample.images.items():
                assert image.ndim == 4
                assert image.shape[1] == len(sensors[sensor].bands)
                assert image.is_contiguous()
                if sensors[sensor].unit in (UINT8, S2_DISPLAY):
                    assert image.dtype == torch.uint8
                days = sample.days.get(sensor)
                if days is not None:
                    assert days.dtype == torch.int64
                    assert days.shape == image.shape[:1]
                    assert (days.diff() >= 0).all()
            lon, lat = sample.lonlat
            assert lon != lon or (-180 <= lon <= 180 and -90 <= lat <= 90)
            _check_target(sample, samples, index)


def _check_target(sample: Sample, samples: Samples, index: int) -> None:
    target, card = sample.target, samples.card
    assert card.target is not None
    kind = card.target.kind
    assert infer_target(target) == card.target
    assert card.multilabel == (kind == "classes")
    if kind == "boxes":
        count = len(target.labels)
        assert target.corners.shape == (count, 4, 2)
        assert target.corners.dtype == torch.float32
        assert target.difficult.shape == (count,)
        assert (target.labels.dtype, target.difficult.dtype) == (torch.int64, torch.bool)
    elif kind == "classes":
        assert target.dtype == torch.uint8
        assert target.shape == (len(card.classes),)
        assert set(target.tolist()) <= {0, 1}
    elif kind == "class":
        assert type(target) is int
        assert samples.labels is None or target == samples.labels[index]
    else:
        assert target.dtype == torch.uint8
        finest = max(sample.images.values(), key=lambda x: x.shape[-1])
        assert kind == "mask" or target.shape[0] == finest.shape[0]
        # A finer sensor than the labels' (SPOT on PASTIS) is a whole multiple of them.
        assert finest.shape[-1] % target.shape[-1] == 0 or target.shape[-1] % finest.shape[-1] == 0
        if card.tile and len(card.sensors) == 1 and not samples.split.demo:
            assert target.shape[-2:] == (card.tile, card.tile)


@pytest.mark.parametrize("name", NAMES)
def test_the_targets_of_a_task_are_as_the_setup_or_the_card_says(name: str, demo_of: Demo) -> None:
    plugin, root = registry.load("datasets", name), demo_of(name)
    for task, setup in plugin.CARD.setups.items():
        assert task in plugin.CARD.tasks
        if plugin.CARD.user_data:  # a folder has one kind of target, which its opened card says
            continue
        declared = setup.target or plugin.CARD.target
        options = dict(option.split("=", 1) for option in setup.options)
        for split in plugin.CARD.splits:
            samples = plugin.open(root, split, **options)
            assert samples.card.target == infer_target(samples[0].target) == declared
    assert {*plugin.CARD.setups} == {*plugin.CARD.tasks}


@pytest.mark.parametrize("name", NAMES)
def test_every_class_of_the_test_data_can_be_learned(name: str, demo_of: Demo) -> None:
    plugin = registry.load("datasets", name)
    splits = _splits(plugin, demo_of(name))
    if next(iter(splits.values())).card.tile > 224:  # smaller tiles: less padding to read
        splits = _splits(plugin, demo_of(name), 224)
    test = "test" if "test" in splits else next(s for s in reversed(splits) if s[:5] != "train")
    if name == "fair1m":  # the labels of its test images are withheld
        assert not _targets(splits.pop("test"))
        test = "val"
    for split, samples in splits.items():
        ids = _targets(samples)
        assert ids <= set(range(len(samples.card.classes))), split
        assert len(ids) >= 2, split
    train = next(iter(splits.values()))
    assert _targets(splits[test]) <= _targets(train)


@pytest.mark.parametrize("name", NAMES)
def test_reading_is_deterministic_also_in_another_process(name: str, demo_of: Demo) -> None:
    plugin = registry.load("datasets", name)
    samples: Samples = plugin.open(demo_of(name), next(iter(plugin.CARD.splits)))
    copy = pickle.loads(pickle.dumps(samples))
    assert (copy.keys, copy.split, copy.card) == (samples.keys, samples.split, samples.card)
    first, second, other = samples[-1], samples[-1], copy[-1]
    for again in (second, other):
        for sensor, image in first.images.items():
            assert torch.equal(image, again.images[sensor])
        one, other_target = _plain(first.target), _plain(again.target)
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other_target))


def _plain(target: Any) -> Any:
    return target.corners if isinstance(target, Boxes) else target


@pytest.mark.parametrize("name", NAMES)
def test_one_sensor_alone_is_the_same_as_with_the_others(name: str, demo_of: Demo) -> None:
    plugin = registry.load("datasets", name)
    samples: Samples = plugin.open(demo_of(name), next(iter(plugin.CARD.splits)))
    whole = samples[0]
    for sensor in whole.images:
        alone = samples.only({sensor})[:1][0]
        assert torch.equal(alone.images[sensor], whole.images[sensor])
        assert torch.equal(
            torch.as_tensor(_plain(alone.target)), torch.as_tensor(_plain(whole.target))
        )
        days = whole.days.get(sensor)
        assert days is None or torch.equal(alone.days[sensor], days)
        if name in ("ben_mm", "pastis_mm", "dyna_mm"):
            assert set(alone.images) == {sensor}
