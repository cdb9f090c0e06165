"""The facts about models and datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from skybench.core.sensors import Sensor

Row = Literal["paper", "inferred", "floor", "extra"]


@dataclass(frozen=True)
class WeightsSource:
    """Where a model's published weights are and how to get them."""

    filename: str  # under SKYBENCH_WEIGHTS/<model>/
    obtain: str  # the steps for a user, one or two sentences
    licence: str
    url: str = ""  # "" where there is no plain URL
    sha256: str = ""  # "" where unknown; the first 8 digits where only they are published
    md5: str = ""
    package: str = ""  # an installed Python package that ships the file
    container: str = ""  # what holds the state dict in the file, as "state_dict"; "" where flat
    prefix: str = ""  # of the keys that are the network's
    noncommercial: bool = False
    withheld: str = ""  # why nobody can have them: then cells on real data cannot run
    missing: tuple[str, ...] = ()  # keys (fnmatch patterns) that the published file lacks
    variants: tuple[str, ...] = ("full",)  # that the file fits


@dataclass(frozen=True)
class ModelCard:
    """The facts about a model, with their sources."""

    name: str
    title: str
    row: Row
    inputs: tuple[Sensor, ...]  # what it can read; any non-empty subset must work
    dim: int  # D of `pooled`
    levels: tuple[tuple[int, int], ...]  # (channels, stride) of the pyramid; () where none
    paper: str  # authors, venue, year, arXiv
    code: str  # repository@commit and files that the adapter follows
    licence: str  # of the code
    weights: WeightsSource | None = None  # None: the model has no learned weights
    pretraining: str = ""  # what it was trained on and how, in words
    trained_on: tuple[str, ...] = ()  # datasets, by their names here: marks leaks
    normalisation: str = ""  # what `forward` does to each input, with its source
    pooling: str = ""  # what `pooled` is, and where the authors say so
    params: int = 0  # of the network as it is built, counted
    equals: str = ""  # the stock network that computes the same, as "timm vit_large_patch16_224"
    leads: tuple[str, ...] = ()  # known traps, and what is not verified
    unavailable: str = ""  # why no network can be built: the page is all there is
    temporal: bool = False  # forward() fuses T > 1 itself; else the core averages over dates
    min_pixels: int = 0  # smaller images are enlarged to this side
    multiple: int = 1  # both sides are brought to a multiple of this
    sides: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # input -> its own two
    version: int = 1  # raised when the adapter's numbers change: old records become stale


class Option(NamedTuple):
    """A choice in reading a dataset: a named variant of the literature, or what is not known."""

    text: str  # what it decides, and between what
    # The first is the default; ("",) has none: the user must state it. () takes any text.
    values: tuple[str, ...]


@dataclass(frozen=True)
class DatasetCard:
    """The facts about a dataset, with their sources."""

    name: str
    title: str
    tasks: tuple[str, ...]
    sensors: tuple[Sensor, ...]
    classes: tuple[str, ...]  # id = position
    splits: Mapping[str, int]  # name -> number of samples (tiles for a tiled set), as published
    source: str
    licence: str
    obtain: str  # the steps for a user
    layout: str  # the official tree, for messages and documentation
    tile: int = 0  # side of the official tiles; 0: images are read whole
    about: str = ""  # what it is, in one or two sentences
    metric: str = ""  # how papers score it, and what is scored here
    leads: tuple[str, ...] = ()  # known traps
    options: Mapping[str, Option] = field(default_factory=dict)  # of `open`
    unlabelled: tuple[str, ...] = ()  # splits that only a server can score
    multilabel: bool = False  # several classes an image
    yours: bool = False  # a user's data: runs only where it is named, with its path
    version: int = 1  # raised when reading changes: old records and features become stale
