"""The vocabulary of skybench: sensors, samples, batches, cards, recipes and records.

Importing this module does not import torch: cards and recipes must be readable by
`skybench list` in well under a second. Classes built on `nn.Module` are in `skybench.core.model`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self

# The whole vocabulary is imported from here.
from skybench.core.cards import DatasetCard as DatasetCard
from skybench.core.cards import ModelCard as ModelCard
from skybench.core.cards import Option as Option
from skybench.core.cards import Row as Row
from skybench.core.cards import WeightsSource as WeightsSource
from skybench.core.errors import CannotRun as CannotRun
from skybench.core.errors import DataError as DataError
from skybench.core.errors import SkybenchError as SkybenchError
from skybench.core.errors import UsageError as UsageError
from skybench.core.errors import WeightsError as WeightsError
from skybench.core.sensors import CONVERT as CONVERT
from skybench.core.sensors import DB as DB
from skybench.core.sensors import REFLECTANCE as REFLECTANCE
from skybench.core.sensors import S2_DISPLAY as S2_DISPLAY
from skybench.core.sensors import UINT8 as UINT8
from skybench.core.sensors import Conversion as Conversion
from skybench.core.sensors import Found as Found
from skybench.core.sensors import Sensor as Sensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from skybench.core.dataset import Samples
    from skybench.core.model import Model
    from skybench.training.distributed import Workers

ProtocolName = Literal["knn", "linear", "frozen", "finetune"]
Time = Literal["fuse", "keep"]
Status = Literal["measured", "predicted", "cannot run", "failed"]  # predicted: no labels


@dataclass(frozen=True)
class Boxes:
    """The objects of an image; an image may have none."""

    corners: Tensor  # [N, 4, 2] float32, (x, y) in pixels, in turn around the box
    labels: Tensor  # [N] int64
    difficult: Tensor  # [N] bool
    size: tuple[int, int] = (0, 0)  # height and width of the image in pixels


@dataclass(frozen=True)
class Sample:
    """One item. Time is always there: a single image has T = 1, a pair T = 2."""

    key: str  # the same in every run
    images: Mapping[str, Tensor]  # sensor -> [T, C, H, W], in the sensor's unit, stored dtype
    # class id (int) | classes [K] uint8, 0 or 1 | mask [H, W] uint8, 255 = ignore | masks
    # [T, H, W] | Boxes
    target: Any
    days: Mapping[str, Tensor] = field(default_factory=dict)  # sensor -> [T], since 1970-01-01
    lonlat: tuple[float, float] = (float("nan"), float("nan"))  # degrees, WGS 84


@dataclass(frozen=True)
class Batch:
    """Samples stacked; a short series is padded at its end, and `seen` is false there."""

    keys: tuple[str, ...]
    images: Mapping[str, Tensor]  # sensor -> [B, T, C, H, W]
    seen: Mapping[str, Tensor]  # sensor -> [B, T], bool
    days: Mapping[str, Tensor]  # sensor -> [B, T], -1 where unknown
    lonlat: Tensor  # [B, 2], NaN where unknown

    def select(self, found: Mapping[str, Found]) -> Self:
        """What `match` found, under the model's names, in its channel order and unit (float32)."""
        images = {}
        for name, f in found.items():
            scale, offset, _, highest = f.conversion
            converted = self.images[f.sensor][:, :, list(f.channels)].float() * scale + offset
            images[name] = converted if highest is None else converted.clamp(0, highest)
        seen = {name: self.seen[f.sensor] for name, f in found.items()}
        days = {name: self.days[f.sensor] for name, f in found.items()}
        return type(self)(self.keys, images, seen, days, self.lonlat)

    def at(self, date: int) -> Self:
        """One date alone, T = 1; a sensor with a single date gives that one."""

        def pick(series: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {n: x[:, min(date, x.shape[1] - 1), None] for n, x in series.items()}

        return type(self)(
            self.keys, pick(self.images), pick(self.seen), pick(self.days), self.lonlat
        )

    def to(self, device: str) -> Self:
        """The same batch on another device."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {n: x.to(device, non_blocking=True) for n, x in tensors.items()}

        images, seen, days = move(self.images), move(self.seen), move(self.days)
        return type(self)(self.keys, images, seen, days, self.lonlat.to(device))


@dataclass(frozen=True)
class Features:
    """What a model gives for a batch."""

    pooled: Tensor  # [B, D]
    pyramid: tuple[Tensor, ...]  # [B, C_i, H / stride_i, W / stride_i], finest first


class DatasetPlugin(Protocol):
    """What a module in datasets/ has.

    It may have `REMOTES` (see `skybench.data.download`), `LISTS` (see `skybench.data.split_lists`),
    `COMPANIONS` (small published files that `skybench data splits` brings too), and
    `peer(root, scratch)`: samples and torchgeo's class on them, for `skybench bench data`.
    """

    CARD: DatasetCard

    def open(self, root: Path, split: str, tile: int = 0, **options: str) -> Samples:
        """Opens a split; `tile` 0 means the official side. Raises DataError, UsageError."""

    def write_demo(self, root: Path, seed: int = 0) -> None:
        """Writes a small simulated copy in the official layout."""


@dataclass(frozen=True)
class Recipe:
    """How a cell is trained and scored. Every field affects the number."""

    protocol: ProtocolName
    train: str = "train"
    val: str = "val"  # "": a fifth of train, held out by class; the head is refitted on all
    test: str = "test"
    label: str = ""  # tells columns of one dataset apart, as "20 %"
    size: int = 0  # side of the finest sensor's images in pixels; 0: as read
    tile: int = 0  # side of the tiles that are read; 0: the official side
    epochs: int = 0
    iterations: int = 0  # instead of epochs, unless it is 0
    batch: int = 0
    lr: float = 0.0
    weight_decay: float = 0.0
    # "poly" (power 1) or "cosine" to 0, "step" (a tenth after 8/12 and 11/12); "" is the head's own
    schedule: str = ""
    warm_up: float = 0.0  # with a schedule: steps, or below 1 their share
    layer_decay: float = 0.0  # of the backbone's rate from block to block; 0: one rate for it all
    drop_path: float = 0.0  # share of samples that a backbone's last block is left out for
    precision: str = ""  # of a step's forward pass: "bf16" or "fp16" by autocast; "" is float32
    validate: int = 0  # epochs between scores on validation, whose best state counts; 0: the last
    patience: int = 0  # such scores without a better one, after which training stops; 0: all epochs
    augment: tuple[
        str, ...
    ] = ()  # what is done to images when a backbone learns: skybench.augment.apply
    views: tuple[str, ...] = ()  # how test images are shown, where not once and whole
    width: int = 0  # channels of a dense head
    sensors: tuple[str, ...] = ()  # of the dataset's; () is all that match
    options: tuple[str, ...] = ()  # of the dataset's, each NAME=VALUE
    fraction: float = 1.0  # of the training split
    limit: int = 0  # samples per split at most; 0: all
    seeds: int = 1
    source: str = "ours"


class Source(Protocol):
    """Features and targets of one split, from memory, disk or computed on the fly."""

    def __len__(self) -> int: ...
    def pooled(self) -> Tensor: ...  # [N, D], float32
    # Each [len, C, h, w], or [len, T, C, h, w] where the task keeps time.
    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]: ...
    def target(self, index: int) -> Any: ...
    def labels(self) -> Tensor: ...  # int64 [N], or [N, K] of 0 and 1; not of masks


Report = Callable[[str, int, int], None]  # what is being done, how many are done, of how many


class Setting(NamedTuple):
    """Under what a head is fitted beyond the recipe: all but the seed is about the machine."""

    seed: int
    device: str = "cpu"
    report: Report = lambda *_: None
    backbone: Model | None = None  # it learns along with the head
    begin: Callable[[int], None] = lambda _: None  # hears the number of each epoch before it starts
    ahead: Callable[[Sequence[int]], None] = lambda _: None  # hears the next batch during a step
    workers: Workers | None = None  # the processes that train together
    judge: Callable[[Head, Source], float] | None = None  # the main score of what a head predicts
    folder: Path | None = None  # of this seed's log and checkpoints; None: none are kept
    micro: int = 0  # samples in a forward pass, whose gradients are summed; 0: the whole batch
    recompute: bool = False  # a block's activations again in the backward pass, to save memory
    keep: bool = False  # the trained numbers, as weights.pt in the folder
    tensorboard: bool = False  # the log for TensorBoard too


class Head(Protocol):
    """What stands on frozen features: learned once, then asked for predictions."""

    def fit(self, train: Source, val: Source | None, setting: Setting) -> Mapping[str, Any]:
        """Learns; returns what was chosen and seen (lambda, k, loss curve) for the record."""

    def predict(self, test: Source) -> Iterator[Any]:
        """One prediction a sample, in order, comparable with its target."""


class Metric(Protocol):
    """Counts per image, so that any score can be resampled over images.

    It may have `perfect(target)`, the prediction that must score 100 where that is not the target
    itself, and `drawn`, the number of whole images where it puts samples (tiles) together.
    """

    def update(self, prediction: Any, target: Any, key: str = "") -> None: ...
    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]: ...
    def per_class(self) -> dict[str, dict[str, float]]: ...
    def chance(self) -> float: ...  # the main score of the best constant prediction, in percent
    def fresh(self) -> Metric: ...  # an empty metric of the same kind
    def state(self) -> dict[str, NDArray[Any]]: ...  # all that was counted, as plain arrays
    def restored(self, state: Mapping[str, NDArray[Any]]) -> Metric: ...  # filled with it


@dataclass(frozen=True)
class Task:
    """A kind of prediction: its heads by protocol, its metric, its recipes."""

    name: str
    title: str
    time: Time
    level: Literal["pooled", "pyramid"]  # of the features that its heads read
    protocols: Mapping[ProtocolName, str]  # -> one line of explanation
    head: Callable[[Recipe, ModelCard, DatasetCard], Head]
    metric: Callable[[DatasetCard], Metric]
    recipes: Callable[[DatasetCard, ProtocolName, bool], tuple[Recipe, ...]]  # the bool: demo data
    version: int = 1  # raised when scores change
    views: bool = False  # whether its heads heed a recipe's


class ModelPlugin(Protocol):
    """What a module in baselines/ has.

    It may have, where there are several published networks: `card(variant, **arch)`, the card of
    each; `PICK`, the variants that "full" and "tiny" may mean, the best first: the one that suits
    a dataset's sensors is taken; `variant_of(state)`, the variant whose file that is, "" if none.
    It may have `settings(state)`: the network's settings that published weights decide; and
    `FILES`: the files that its weights may be split into, with the prefix of each one's keys.
    """

    CARD: ModelCard  # of the first variant that "full" means
    VARIANTS: Mapping[str, Any]  # name -> settings; reduced ones are called "tiny" or "tiny_…"

    def build(self, variant: str, **arch: Any) -> Model:
        """The network with fresh random weights; `variant` is a key of VARIANTS."""

    def convert(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The model's own keys from a flat published state dict (containers are removed)."""


def match(card: ModelCard, given: Sequence[Sensor]) -> dict[str, Found]:
    """Pairs a model's inputs with a dataset's sensors: by name; only if no name fits, by bands.

    Where a dataset has several of a role ("s1a", "s1d"), an input "s1" gets the first. Inputs of
    one role ("s2", "s2_rgb") are alternatives: the first whose bands are there is taken.
    Raises CannotRun when no input has all its bands in one sensor, or the units do not convert.
    """
    pairs = [(want, has) for want in card.inputs for has in given if {*want.bands} <= {*has.bands}]
    named: dict[str, tuple[Sensor, Sensor]] = {}
    for want, has in pairs:
        role = want.name.partition("_")[0]
        if role in (has.name, has.name[:-1]):
            named.setdefault(role, (want, has))
    pairs = list(named.values()) or pairs[:1]
    if not pairs:
        needs = " or ".join(f"{w.name} ({_few(w.bands)})" for w in card.inputs)
        there = "; ".join(f"{h.name} ({_few(h.bands)})" for h in given) or "no sensor"
        raise CannotRun(f"{card.name} needs {needs}; the dataset has {there}")
    found = {}
    for want, has in pairs:
        if (has.unit, want.unit) not in CONVERT:
            raise CannotRun(
                f"{card.name} reads {want.name} in {want.unit!r}, the dataset gives {has.unit!r}, "
                "and no conversion is known"
            )
        channels = tuple(has.bands.index(b) for b in want.bands)
        found[want.name] = Found(has.name, channels, CONVERT[has.unit, want.unit])
    return found


def _few(bands: Sequence[str]) -> str:
    """Bands for a message: four at most, else how many."""
    return ", ".join(bands) if len(bands) <= 4 else f"{len(bands)} bands"
