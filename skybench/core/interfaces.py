"""What plugins bring: data sets, models, tasks, heads and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from skybench.core.cards import DatasetCard, ModelCard
from skybench.core.recipe import ProtocolName, Recipe
from skybench.core.sample import Time

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from skybench.core.dataset import Samples
    from skybench.core.model import Model


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


class Workers(Protocol):
    """The processes that train together; each runs the same code."""

    rank: int  # 0: the one that writes
    size: int

    # Gradients become the processes' mean; batch normalisation of GPUs counts over them all.
    def wrap(self, module: nn.Module) -> nn.Module: ...
    def backward(self, loss: Tensor) -> None: ...
    def hold(self, module: nn.Module, on: bool) -> AbstractContextManager[Any]: ...  # no joining
    def gather(self, one: Any) -> list[Any]: ...  # what each has, in the order of ranks
