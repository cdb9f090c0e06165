"""The interfaces of plugins: datasets, models, tasks, and their heads and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from typing import Protocol as Interface

from skybench.core.cards import DatasetCard, ModelCard
from skybench.core.errors import UsageError
from skybench.core.protocol import Level, Protocol, as_protocol
from skybench.core.recipe import Recipe
from skybench.core.sample import Time
from skybench.core.score import ScoreInfo
from skybench.core.sourced_recipe import SourcedRecipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from skybench.core.dataset import Samples
    from skybench.core.model import Model


class DatasetPlugin(Interface):
    """The interface of a dataset: a module in datasets/, or of another package.

    Optional members: `REMOTES`, the files to download (see `skybench.data.download`); `LISTS`, the
    official split lists (see `skybench.data.split_lists`); `COMPANIONS`, small published files that
    `skybench data splits` fetches too; `peer(root, scratch)`, which returns samples and
    torchgeo's class on the same files, for `skybench bench data`; and `splits(root)`, the names of
    the splits of a user's own folder, for `skybench data verify`.
    """

    CARD: DatasetCard

    def open(self, root: Path, split: str, tile: int = 0, **options: str) -> Samples:
        """Open a split; `tile` 0 means the official tile side. Raises DataError, UsageError."""

    def write_demo(self, root: Path, seed: int = 0) -> None:
        """Write a small simulated dataset in the official layout."""


class Source(Interface):
    """The features and targets of one split: in memory, on disk, or computed on access."""

    def __len__(self) -> int: ...
    def pooled(self) -> Tensor: ...  # [N, D], float32
    # Each [len, C, h, w], or [len, T, C, h, w] where the task keeps time.
    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]: ...
    def target(self, index: int) -> Any: ...
    def labels(self) -> Tensor: ...  # int64 [N] class ids, or [N, K] of 0 and 1; not for masks


Report = Callable[[str, int, int], None]  # progress: the step's name, items done, items in all


class FitContext(NamedTuple):
    """The run-time context of `Head.fit`; of its fields only the seed may change a score."""

    seed: int
    device: str = "cpu"
    report: Report = lambda *_: None
    backbone: Model | None = None  # to be trained with the head; None: it is frozen
    on_epoch_start: Callable[[int], None] = lambda _: None  # called with the epoch, from 0
    prefetch: Callable[[Sequence[int]], None] = lambda _: None  # called with the next batch
    workers: Workers | None = None  # the processes of distributed training
    # The main score of each of several heads, which predict side by side.
    validation_scores: Callable[[Sequence[Head], Source], list[float]] | None = None
    score_info: ScoreInfo = ScoreInfo()  # direction of these scores
    # Called at the end of training, while the head is in the state that does not count (the last
    # or the best), if there are two.
    other_state: Callable[[], None] | None = None
    groups: Sequence[str] = ()  # the independent unit of each training sample; (): each its own
    folder: Path | None = None  # for this seed's log and checkpoints; None: nothing is written
    micro_batch: int = 0  # samples a forward pass, for gradient accumulation; 0: the whole batch
    recompute_activations: bool = False  # activation checkpointing, to save memory
    keep_weights: bool = False  # write the trained parameters to weights.pt in the folder
    about: Mapping[str, Any] = MappingProxyType({})  # and this about the training, beside them
    tensorboard: bool = False  # also write TensorBoard event files


class Head(Interface):
    """A prediction head: fitted on the features of a training split, then asked to predict.

    Optional member: `uses_seed`, False where equal samples give equal predictions whatever the
    seed; seeds of a cell that learn from the same samples are then fitted once.
    """

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        """Train the head; return facts for the record, as the chosen lambda or k, the losses.

        val: what choices are made on, never learned from: with the recipe's state "best-on-test"
        it is the test split.
        """

    def predict(self, test: Source) -> Iterator[Any]:
        """Yield one prediction for each sample, in order, in the form that the metric reads."""


class Metric(Interface):
    """A metric that keeps its counts per image, so that scores can be bootstrapped over images.

    Optional members: `perfect(target)`, the prediction that must get the best score, where it is
    not the target itself; `info`, which describes scores that are not percentages (see
    `ScoreInfo`); `shares()`, which of the samples are hits, 0 or 1 [N], of each score that is a
    share of them (see `skybench.analysis.intervals.share_interval`); `main_score(weights=None)`,
    the first of `scores` alone, where that is cheaper; `attainable()`, the highest
    main score, where the truth keeps it below that of `ScoreInfo`; and `notes()`, sentences for
    the record on how the scores came about, as on classes that a mean leaves out.
    """

    def update(self, prediction: Any, target: Any, key: str = "") -> None: ...
    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]: ...
    def per_class(self) -> dict[str, dict[str, float]]: ...
    def chance(self) -> float: ...  # the main score of the best constant prediction
    def fresh(self) -> Metric: ...  # a metric of the same kind without samples
    def state(self) -> dict[str, NDArray[Any]]: ...  # all counts, as plain arrays
    def restored(self, state: Mapping[str, NDArray[Any]]) -> Metric: ...  # with these counts


@dataclass(frozen=True)
class Task:
    """A task: its protocols, its heads, its metric and its recipes."""

    name: str
    title: str
    time: Time
    level: Level  # of the features that heads read, for protocols given as text
    protocols: Mapping[str, Protocol | str]  # by name; text alone: see `as_protocol`
    head: Callable[[Recipe, ModelCard, DatasetCard], Head]
    metric: Callable[[DatasetCard], Metric]
    recipes: Callable[[DatasetCard, str, bool], tuple[Recipe, ...]]  # the bool: demo data
    version: int = 1  # incremented when scores change, which makes older records stale
    views: bool = False  # whether its heads support test-time augmentation (`Recipe.views`)
    sourced: tuple[SourcedRecipe, ...] = ()  # recipes by name for any of its data sets
    # Raises UsageError for settings that its heads do not have; without torch.
    check: Callable[[Recipe, DatasetCard], None] | None = None

    def protocol(self, name: str) -> Protocol:
        """Return a protocol by name. Raises UsageError, which lists the known ones."""
        if name not in self.protocols:
            raise UsageError(
                f"{self.name} has no protocol {name!r}. Known: {', '.join(self.protocols)}."
            )
        return as_protocol(name, self.protocols[name], self.level)


class ModelPlugin(Interface):
    """The interface of a model: a module in baselines/, or of another package.

    Optional members for several published networks: `card(variant, **arch)`, the card of each;
    `PICK`, which maps "full" and "tiny" to variants in order of preference, of which the one that
    suits the dataset's sensors is used; `variant_of(state)`, the variant that a published state
    dict belongs to, or "". Others: `settings(state)`, the network's settings that follow from a
    published state dict; `FILES`, the files that the weights may be split into: file name -> key
    prefix.
    """

    CARD: ModelCard  # of the first variant that "full" means
    VARIANTS: Mapping[str, Any]  # name -> settings; reduced ones are called "tiny" or "tiny_…"

    def build(self, variant: str, **arch: Any) -> Model:
        """Build the network with random weights; `variant` is a key of VARIANTS."""

    def convert(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Map a published state dict, without its container, to the model's own keys."""


class Workers(Interface):
    """The processes of distributed training; each runs the same code on its share of a batch."""

    rank: int  # 0: the process that writes files
    size: int

    # As DDP: gradients are averaged over processes; batch norms that learn share their statistics.
    def wrap(self, module: nn.Module) -> nn.Module: ...
    def backward(self, loss: Tensor) -> None: ...
    def no_sync(self, module: nn.Module, on: bool) -> AbstractContextManager[Any]: ...  # DDP
    def gather(self, value: Any) -> list[Any]: ...  # of all processes, in the order of ranks
    # Tells the first process an error; returns its text and traceback there, ends the others.
    def failure(self, text: str, trace: str) -> tuple[str, str]: ...
    def all_give_up(self) -> bool: ...  # whether each process raises CannotRun, as this one does
