"""Dense heads on feature pyramids: linear, UPerNet and U-Net, for a class or value per pixel."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.augment import test_time
from skybench.core import IGNORE, FitContext, Recipe, Source
from skybench.training.fit import (
    PixelLoss,
    cross_entropy,
    divisor,
    predict_in_batches,
    train_dense,
    validation_scorer,
)

Levels = Sequence[tuple[int, int]]  # (channels, stride), finest first
POOLS = (1, 2, 3, 6)  # UPerNet, Xiao et al. 2018
STRIDES = (4, 8, 16, 32)  # of the four levels that UPerNet expects
SEEN = 256  # samples from which mean and deviation of the features are estimated
CHUNK = 8  # samples in a forward pass of prediction


class SafeBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that uses running statistics for a single value per channel.

    One sample pooled to one pixel, as in the last batch of an epoch, has no variance.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() > x.shape[1]:
            return super().forward(x)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


def conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        SafeBatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """Upsample bilinearly to the size of another map."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear")


class Linear(nn.Module):
    """A 1x1 convolution on the feature pyramid.

    Computed on each level and summed at the finest: the same function as a 1x1 convolution on all
    levels upsampled and concatenated, at a fraction of the cost.
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.Conv2d(c, classes, 1) for c, _ in levels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        logits = [layer(x) for layer, x in zip(self.each, levels, strict=True)]
        return [functools.reduce(torch.add, (upsample(x, logits[0]) for x in logits))]


class Neck(nn.Module):
    """A neck that makes levels of stride 4, 8, 16 and 32 from a single one, as of a plain ViT.

    As mmsegmentation's MultiLevelNeck: 1x1 convolution, resizing (by 4, 2, 1, 1/2 for a ViT of
    stride 16), 3x3 convolution.
    """

    def __init__(self, channels: int, stride: int, width: int) -> None:
        super().__init__()
        self.scales = tuple(stride / wanted for wanted in STRIDES)
        self.lateral = conv(channels, width, 1)
        self.out = nn.ModuleList(conv(width, width, 3) for _ in self.scales)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        x = self.lateral(levels[0])
        sizes = [[max(1, round(n * s)) for n in x.shape[-2:]] for s in self.scales]
        resized = [F.interpolate(x, size, mode="bilinear") for size in sizes]
        return [layer(y) for layer, y in zip(self.out, resized, strict=True)]


class UPerNet(nn.Module):
    """UPerNet with an FCN auxiliary head on the second coarsest level.

    Pyramid pooling (1, 2, 3, 6) on the coarsest level, lateral 1x1 and 3x3 convolutions, fusion
    at the finest level, dropout 0.1. Returns [logits, auxiliary logits] in training, else
    [logits], at the finest level's size.
    Source: Xiao et al. 2018 (arXiv 1807.10221); the widths of the iSAID configuration in
    Bili-Sakura/SkySense@107d4e0 segmentation/configs/swin_transformer_v2 (512 channels, FCN
    on stage 3 with weight 0.4).
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        channels = [c for c, _ in levels]
        self.neck = Neck(*levels[0], width) if len(channels) == 1 else None
        if self.neck is not None:
            channels = [width] * len(self.neck.scales)
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(p), conv(channels[-1], width, 1)) for p in POOLS
        )
        self.bottleneck = conv(channels[-1] + len(POOLS) * width, width, 3)
        self.lateral = nn.ModuleList(conv(c, width, 1) for c in channels[:-1])
        self.smooth = nn.ModuleList(conv(width, width, 3) for _ in channels[:-1])
        self.fuse = conv(len(channels) * width, width, 3)
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))
        half = max(1, width // 2)
        self.auxiliary = nn.Sequential(
            conv(channels[-2], half, 3), nn.Dropout2d(0.1), nn.Conv2d(half, classes, 1)
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self.neck is not None:
            levels = self.neck(levels)
        top = levels[-1]
        pooled = [upsample(pool(top), top) for pool in self.pools]
        maps = [layer(x) for layer, x in zip(self.lateral, levels[:-1], strict=True)]
        maps.append(self.bottleneck(torch.cat([top, *pooled], 1)))
        for i in range(len(maps) - 2, -1, -1):
            maps[i] = maps[i] + upsample(maps[i + 1], maps[i])
        smooth = [layer(x) for layer, x in zip(self.smooth, maps[:-1], strict=True)]
        fused = torch.cat([upsample(x, maps[0]) for x in (*smooth, maps[-1])], 1)
        logits = [self.classify(self.fuse(fused))]
        return [*logits, self.auxiliary(levels[-2])] if self.training else logits


class UNet(nn.Module):
    """A U-Net decoder: from the coarsest level up, each concatenated with the next finer one.

    Two 3x3 convolutions per level. Source: Ronneberger et al. 2015 (arXiv 1505.04597), on a
    backbone's pyramid as in the change-detection heads of ViTAE-Transformer/MTP.
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        channels = [c for c, _ in levels]
        self.neck = Neck(*levels[0], width) if len(channels) == 1 else None
        if self.neck is not None:
            channels = [width] * len(self.neck.scales)
        self.top = conv(channels[-1], width, 3)
        self.up = nn.ModuleList(
            nn.Sequential(conv(width + c, width, 3), conv(width, width, 3)) for c in channels[:-1]
        )
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self.neck is not None:
            levels = self.neck(levels)
        x = self.top(levels[-1])
        for level, layer in zip(reversed(levels[:-1]), reversed(self.up), strict=True):
            x = layer(torch.cat([upsample(x, level), level], 1))
        return [self.classify(x)]


class DateDifference(nn.Module):
    """A head on the feature difference of two dates: levels [B, 2, C, h, w] -> |second - first|."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, levels: Sequence[Tensor]) -> Any:
        return self.head([(x[:, 1] - x[:, 0]).abs() for x in levels])


class EachDate(nn.Module):
    """A head applied to each date: levels [B, T, C, h, w] -> logits [B * T, K, h, w]."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, levels: Sequence[Tensor]) -> Any:
        return self.head([x.flatten(0, 1) for x in levels])


class Standardise(nn.Module):
    """Standardises every channel of every level by its statistics on training data.

    Without it a learning rate would favour models whose features happen to have a certain scale.
    """

    @torch.no_grad()
    def __init__(self, source: Source) -> None:
        super().__init__()
        picked = range(0, len(source), max(1, -(-len(source) // SEEN)))
        sums: list[Tensor] = []
        for index in picked:
            # In float32 a mean much larger than the deviation would cancel it.
            levels = [x.double().flatten(0, -4) for x in source.pyramid([index])]
            moments = [torch.stack([x.mean((0, 2, 3)), (x * x).mean((0, 2, 3))]) for x in levels]
            sums = [a + b for a, b in zip(sums, moments, strict=True)] if sums else moments
        self.count = len(sums)
        for i, total in enumerate(sums):
            mean, square = total / len(picked)
            deviation = divisor(mean, (square - mean * mean).clamp(min=0).sqrt())
            self.register_buffer(f"mean{i}", mean.float()[:, None, None])
            self.register_buffer(f"deviation{i}", deviation.float()[:, None, None])

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        means = [self.get_buffer(f"mean{i}") for i in range(self.count)]
        deviations = [self.get_buffer(f"deviation{i}") for i in range(self.count)]
        return [(x - m) / d for x, m, d in zip(levels, means, deviations, strict=True)]


class PixelAnswer(NamedTuple):
    """The loss of a dense head, and how its maps become a prediction."""

    loss: PixelLoss  # maps [B, K, h, w] and targets [B, H, W] -> scalar
    decide: Callable[[Tensor], Tensor]  # maps [T, K, H, W] -> prediction [T, H, W]
    activate: Callable[[Tensor], Tensor] = lambda maps: maps  # before maps of views are averaged


def classify(ignore: int = IGNORE) -> PixelAnswer:
    """Return cross-entropy and argmax; mask pixels with the value `ignore` have no label."""
    loss = functools.partial(cross_entropy, ignore=ignore)
    return PixelAnswer(loss, lambda maps: maps.argmax(1), lambda maps: maps.softmax(1))


CLASSIFY = classify()


class Dense:
    """A dense classifier, or with another `answer` a regressor, trained under a recipe.

    The last state counts, or the best on validation if the recipe asks for scores on it. The
    recipe's views are test-time augmentation, see `skybench.augment.test_time`.
    """

    def __init__(
        self, build: Callable[[Levels, int, int], nn.Module], levels: Levels, classes: int,
        recipe: Recipe, answer: PixelAnswer = CLASSIFY,
    ) -> None:  # fmt: skip
        self.build, self.levels, self.classes, self.recipe = build, levels, classes, recipe
        self.answer = answer

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        self.device = setting.device
        with torch.random.fork_rng():
            torch.manual_seed(setting.seed)
            body = self.build(self.levels, self.classes, self.recipe.width)
            self.head = nn.Sequential(Standardise(train), body).to(self.device)
            score = validation_scorer(self, val, self.recipe, setting)
            trained = train_dense(self.head, train, self.recipe, setting, score, self.answer.loss)
        parameters = sum(p.numel() for p in self.head.parameters())
        return {**trained.facts(), "parameters": parameters}

    @torch.inference_mode()
    def predict(self, test: Source) -> Iterator[Any]:
        yield from predict_in_batches(len(test), CHUNK, functools.partial(self._maps, test))

    def _maps(self, test: Source, start: int, most: int) -> list[Any]:
        """Predict up to `most` samples; with views a single one, `most` windows at a time."""
        indices = range(start, min(start + (1 if self.recipe.views else most), len(test)))
        answers = (
            self._averaged(test, start, most)
            if self.recipe.views
            else self._logits(test.pyramid(indices))
        )
        predictions = []
        for index, dates in zip(indices, answers.tensor_split(len(indices)), strict=True):
            shape = test.target(index).shape
            large = F.interpolate(dates, shape[-2:], mode="bilinear")
            predictions.append(self.answer.decide(large).reshape(shape).cpu().numpy())
        return predictions

    def _averaged(self, test: Source, index: int, most: int) -> Tensor:
        """The mean maps [T, K, H, W] over all views of a sample, at its target's size."""
        batch, levels = cast(test_time.ViewSource, test).open_batch([index])
        shape = test.target(index).shape
        return test_time.average_views(
            test_time.parse_views(self.recipe.views),
            batch,
            lambda part: self._logits(levels(part)),
            most,
            (shape[-2], shape[-1]),
            self.answer.activate,
        )

    def _logits(self, levels: Sequence[Tensor]) -> Tensor:
        (logits,) = self.head([x.to(self.device) for x in levels])
        return cast(Tensor, logits).float()
