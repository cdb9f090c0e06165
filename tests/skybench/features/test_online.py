"""Features of augmented samples; see skybench.features.online."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skybench.augment.geometry import crop_centre
from skybench.core import Batch, Features, FitContext, Recipe, Sample, UsageError
from skybench.core.dataset import Samples
from skybench.data.batching import resize
from skybench.data.decoded import open_decoded
from skybench.features.extraction import split_features
from skybench.features.online import OnlineFeatures
from skybench.features.sources import SourceSubset, StreamedFeatures
from skybench.heads.classifier import Finetuned

from .._toys import Noise, Toy, looking

pytestmark = pytest.mark.usefixtures("own_cache")


class Learning(Toy):
    """A toy with a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, batch: Batch) -> Features:
        found = super().forward(batch)
        return Features(found.pooled, tuple(x * self.weight for x in found.pyramid))


def augmented(*names: str, **more: float) -> Recipe:
    return Recipe("finetune", augment=names, **more)  # type: ignore[arg-type]


def test_a_live_source_gives_gradients_and_what_the_stored_one_has() -> None:
    samples, model = Noise(4, masks=True), Learning()
    live = OnlineFeatures(looking(model), samples)
    stored, _ = split_features(looking(model), samples, {"toy": 3}, "pyramid")
    levels = live.pyramid([2, 0])
    for one, other in zip(levels, stored.pyramid([2, 0]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=0.1)
    torch.autograd.backward(levels[1].sum())
    assert model.weight.grad is not None
    assert float(model.weight.grad) != 0
    with torch.inference_mode():
        assert not live.pyramid([1])[0].requires_grad


def test_in_training_targets_are_those_of_the_augmented_images() -> None:
    samples, model = Noise(6, masks=True), Learning()
    online = OnlineFeatures(looking(model), samples, augmented("flip", "vflip"), seed=1)
    model.train()
    (fine, _), flipped = online.pyramid([0, 3, 5]), 0
    for place, index in enumerate((0, 3, 5)):
        sample = samples.read(index)
        image = sample.images["air"][0, [2, 1, 0]].float()
        axes = [a for a in ([], [-1], [-2], [-2, -1]) if torch.equal(image.flip(a), fine[place])]
        assert len(axes) == 1
        expected = torch.as_tensor(sample.target).flip(axes[0])
        np.testing.assert_array_equal(online.target(index), expected)
        flipped += bool(axes[0])
    assert flipped
    model.eval()
    np.testing.assert_array_equal(online.target(3), samples.read(3).target)


def test_neither_prefetching_nor_the_batch_changes_a_draw() -> None:
    samples, model, recipe = Noise(6), Learning().train(), augmented("rotate", "erase")
    plain, prefetched, later = (OnlineFeatures(looking(model), samples, recipe) for _ in range(3))
    plain.set_epoch(2)
    first = plain.pyramid([1, 4])[0]
    prefetched.set_epoch(2)
    source = SourceSubset(prefetched, range(6))
    source.prefetch([4, 1])
    torch.testing.assert_close(source.pyramid([4, 1])[0].flip(0), first)
    later.set_epoch(3)
    assert not torch.equal(later.pyramid([1, 4])[0], first)


def test_a_frozen_model_sees_augmented_samples_where_gradients_are_enabled() -> None:
    samples, model = Noise(6, masks=True), Learning().eval()
    online = OnlineFeatures(looking(model), samples, augmented("flip"), seed=1, frozen=True)
    indices = range(6)
    with torch.inference_mode():
        (whole, _), masks = online.pyramid(indices), [online.target(i) for i in indices]
    (drawn, _), turned = online.pyramid(indices), [online.target(i) for i in indices]
    assert not drawn.requires_grad
    assert not model.training
    moved = [not np.array_equal(a, b) for a, b in zip(masks, turned, strict=True)]
    assert 0 < sum(moved) < 6
    for place, flipped in enumerate(moved):
        expected = whole[place].flip(-1) if flipped else whole[place]
        torch.testing.assert_close(drawn[place], expected)
        mask = samples.read(place).target
        np.testing.assert_array_equal(turned[place], np.flip(mask, -1) if flipped else mask)
    with torch.no_grad():  # validation in between: targets are those of whole images again
        online.pyramid([0])
    np.testing.assert_array_equal(online.target(moved.index(True)), masks[moved.index(True)])


@pytest.mark.parametrize("alphas", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_classes_are_mixed_as_their_images_and_alike_after_an_interruption(
    alphas: dict[str, float],
) -> None:
    samples, model = Noise(6), Learning().train()
    made = [OnlineFeatures(looking(model), samples, augmented(**alphas), 3) for _ in range(2)]
    for online in made:
        online.set_epoch(2)
    first, again = (online.pyramid([1, 4, 0, 3])[0] for online in made)
    assert torch.equal(first, again)
    targets = np.stack([made[0].target(i) for i in (1, 4, 0, 3)])
    own = np.eye(targets.shape[1])[[samples.read(i).target for i in (1, 4, 0, 3)]]
    share = _share_of_own(targets, own)
    np.testing.assert_allclose(targets, share * own + (1 - share) * own[::-1], atol=1e-6)
    made[1].set_epoch(3)
    assert not torch.equal(made[1].pyramid([1, 4, 0, 3])[0], first)
    model.eval()
    assert made[0].target(1) == samples.read(1).target


class Counted(Noise):
    """Counts how often its images, and its targets alone, are read."""

    def __init__(self, count: int, masks: bool, files: Sequence[Path]) -> None:
        super().__init__(count, masks, files)
        self.reads = self.looks = 0

    def read(self, index: int) -> Sample:
        self.reads += 1
        return super().read(index)

    def target(self, index: int) -> Any:
        self.looks += 1
        return super().read(index).target


def _four_epochs(source: SourceSubset, whole: StreamedFeatures) -> None:
    for epoch in range(4):
        whole.extractor.model.train(isinstance(whole, OnlineFeatures))
        if isinstance(whole, OnlineFeatures):
            whole.set_epoch(epoch)
        for indices in ([3, 0, 7], [5, 2, 1], [4, 6]):
            source.prefetch(indices)
            source.pyramid(indices)
            assert [source.target(i).shape for i in indices] == [(8, 8)] * len(indices)
        whole.extractor.model.eval()
        for start in (0, 3, 6):
            indices = list(range(start, min(start + 3, 8)))
            source.pyramid(indices)
            assert [source.target(i).shape for i in indices] == [(8, 8)] * len(indices)


@pytest.mark.parametrize("online", [True, False])
def test_four_epochs_decode_each_sample_once_and_targets_come_with_the_images(
    tmp_path: Path, online: bool
) -> None:
    (tmp_path / "a").write_bytes(b"a")

    def streamed(samples: Samples) -> StreamedFeatures:
        if online:
            return OnlineFeatures(looking(Learning()), samples, augmented("flip"))
        return StreamedFeatures(looking(Learning()), samples)

    plain = Counted(8, True, [tmp_path / "a"])
    whole = streamed(plain)
    _four_epochs(SourceSubset(whole, range(8)), whole)
    assert (plain.reads, plain.looks) == (4 * 2 * 8, 0)
    samples = Counted(8, True, [tmp_path / "a"])
    whole = streamed(open_decoded(samples, {"toy": 1}))
    _four_epochs(SourceSubset(whole, range(8)), whole)
    assert (samples.reads, samples.looks) == (8 + 1, 0)  # the first tells the size


def test_a_run_of_a_subset_is_followed_by_its_next_run() -> None:
    whole = StreamedFeatures(looking(Learning().eval()), Noise(9))
    source = SourceSubset(whole, [0, 2, 8, 4, 6, 1])
    source.pyramid(range(2))
    assert list(whole.ahead.coming) == [8, 4]
    source.prefetch([5, 0])
    source.pyramid(range(2, 4))
    assert list(whole.ahead.coming) == [1, 0]  # what was announced counts


def _share_of_own(targets: np.ndarray, own: np.ndarray) -> float:
    """The share by least squares, of a batch in which partners differ."""
    away = own - own[::-1]
    assert np.abs(away).sum() > 0
    return float(((targets - own[::-1]) * away).sum() / (away * away).sum())


def test_test_images_are_cut_to_their_centre_and_enlarged() -> None:
    samples, model = Noise(3), Learning().eval()
    image = samples.read(1).images["air"]
    side = image.shape[-1]
    online = OnlineFeatures(looking(model), samples, augmented(test_crop=0.5))
    (found, *_) = online.pyramid([1])
    centre = crop_centre(samples.read(1), 0.5).images["air"]
    assert torch.equal(centre, image[..., side // 4 : 3 * side // 4, side // 4 : 3 * side // 4])
    expected = resize(centre, side, side)[0, [2, 1, 0]]
    torch.testing.assert_close(found[0], expected)
    model.train()
    (trained, *_) = online.pyramid([1])
    torch.testing.assert_close(trained[0], image[0, [2, 1, 0]].float())


@pytest.mark.parametrize("settings", [{"mixup": 1.0}, {"cutmix": 1.0}, {"test_crop": 0.5}])
def test_masks_are_neither_mixed_nor_cut(settings: dict[str, float]) -> None:
    model = Learning().train("test_crop" not in settings)
    online = OnlineFeatures(looking(model), Noise(2, masks=True), augmented(**settings))
    with pytest.raises(UsageError, match=r"target of .* is of the kind 'mask'; leave it out"):
        online.pyramid([0, 1])


def test_a_classifier_learns_from_mixed_images_and_is_asked_about_whole_ones() -> None:
    recipe = replace(
        augmented(mixup=0.8, cutmix=1.0, smoothing=0.1), epochs=2, batch=3, lr=0.1
    )  # of 7 samples: parts of 3, 2 and 2
    results = []
    for micro in (0, 0, 2):
        model = Learning()
        whole = OnlineFeatures(looking(model), Noise(7), recipe, seed=1)
        source, head = SourceSubset(whole, range(7)), Finetuned(3, 3, False, recipe)
        setting = FitContext(
            0, backbone=model, on_epoch_start=whole.set_epoch, prefetch=source.prefetch,
            micro_batch=micro,
        )  # fmt: skip
        losses = head.fit(source, None, setting)["loss"]
        results.append((losses, np.stack(list(head.predict(source)))))
        plain = OnlineFeatures(looking(model), Noise(7))
        np.testing.assert_array_equal(results[-1][1], np.stack(list(head.predict(plain))))
    assert np.isfinite(results[0][0]).all()
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][0] == results[1][0] != results[2][0]  # other parts, other partners
