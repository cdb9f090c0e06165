"""Cards: the facts about a model or a dataset, with their sources."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from skybench.core.sensors import Sensor
from skybench.core.setup import Setup
from skybench.core.target import Target, infer_target

Group = Literal["paper", "inferred", "floor", "extra"]
Row = Group  # its former name, for plugins of other packages
Card = TypeVar("Card")


def accepts_former(**former: str) -> Callable[[type[Card]], type[Card]]:
    """Let a card's constructor take former field names too, for older plugins: former=new."""

    def decorate(kind: type[Card]) -> type[Card]:
        make: Callable[..., None] = kind.__init__

        @functools.wraps(make)
        def init(self: Card, *args: Any, **fields: Any) -> None:
            renamed = {former.get(name, name): value for name, value in fields.items()}
            if len(renamed) < len(fields):
                twice = ", ".join(f"{old} ({new})" for old, new in former.items() if old in fields)
                raise TypeError(f"{kind.__name__}: a field and its former name were given: {twice}")
            make(self, *args, **renamed)

        type.__setattr__(kind, "__init__", init)
        return kind

    return decorate


@dataclass(frozen=True)
class WeightsSource:
    """The published checkpoint of a model: where it is, how to get and how to check it."""

    filename: str  # under SKYBENCH_WEIGHTS/<model>/
    obtain: str  # the steps for a user, one or two sentences
    licence: str
    url: str = ""  # "" where there is no direct download
    sha256: str = ""  # "" where unknown; its first 8 digits where only they are published
    md5: str = ""
    package: str = ""  # the Python package that ships the file, read where it is installed
    container: str = ""  # key of the state dict in the file, as "state_dict"; "": the file is flat
    prefix: str = ""  # of the keys of the network
    noncommercial: bool = False
    withheld: str = ""  # why they are not public; then cells on real data cannot run
    missing: tuple[str, ...] = ()  # fnmatch patterns of keys that the published file lacks
    variants: tuple[str, ...] = ("full",)  # that the file fits
    unused: tuple[str, ...] = ()  # fnmatch patterns of keys within its network that no output needs


@accepts_former(row="group", equals="equivalent_to", leads="caveats", sides="input_sizes")
@dataclass(frozen=True)
class ModelCard:
    """The facts about a model, with their sources."""

    name: str
    title: str
    group: Group
    inputs: tuple[Sensor, ...]  # any non-empty subset of them must work
    dim: int  # D of `pooled`
    levels: tuple[tuple[int, int], ...]  # (channels, stride) of the pyramid; () where none
    paper: str  # authors, venue, year, arXiv
    code: str  # repository@commit and files that the adapter follows
    licence: str  # of the code
    weights: WeightsSource | None = None  # None: the model has no learned weights
    pretraining: str = ""  # the data and the method, in words
    trained_on: tuple[str, ...] = ()  # datasets or `DatasetCard.images` of its pre-training data
    normalisation: str = ""  # what `forward` does to each input, with its source
    pooling: str = ""  # how `pooled` is computed, with its source
    params: int = 0  # number of parameters of the network as it is built
    # A stock network that computes the same, as "timm vit_large_patch16_224".
    equivalent_to: str = ""
    caveats: tuple[str, ...] = ()  # known pitfalls, and what is not verified
    unavailable: str = ""  # why no network can be built; such a model only has its page
    temporal: bool = False  # forward() fuses T > 1; if not, `encode` averages over the dates
    min_pixels: int = 0  # smaller images are enlarged to this side
    multiple: int = 1  # both sides are resized to a multiple of this
    # Input -> (min_pixels, multiple) of its own.
    input_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    version: int = 1  # incremented when the features change, which makes older records stale


class Option(NamedTuple):
    """A choice in reading a dataset: a published variant, or a fact that the user must state."""

    text: str  # what the choice decides
    # The first is the default; ("",): no default, the user must choose; (): any text.
    values: tuple[str, ...]


@accepts_former(yours="user_data", leads="caveats")
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
    tile: int = 0  # side of the official tiles in pixels; 0: images are not tiled
    about: str = ""  # a description in one or two sentences
    metric: str = ""  # how the literature scores it, and how it is scored here
    caveats: tuple[str, ...] = ()  # known pitfalls
    options: Mapping[str, Option] = field(default_factory=dict)  # of `open`
    unlabelled: tuple[str, ...] = ()  # splits without public labels, scored by a server
    multilabel: bool = False  # an image may have several classes
    user_data: bool = False  # images of the user: it runs only where it is named, with its path
    target: Target | None = None  # None: inferred from the first sample
    setups: Mapping[str, Setup] = field(default_factory=dict)  # task -> how it is evaluated there
    images: str = ""  # the image source that several datasets share; "": its own name
    plain: tuple[str, ...] = ()  # sensors whose files hold decoded arrays already
    image_sides: tuple[int, ...] = ()  # in pixels, of the published image files; (): they vary
    # Sensor -> dates and side of a sample's images, where they follow neither from `tile` nor gsd.
    shapes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    version: int = 1  # incremented when reading changes: older records and features become stale

    def setup(self, task: str) -> Setup:
        """Return the setup for a task; the default one where the card declares none."""
        return self.setups.get(task, Setup())

    @property
    def image_source(self) -> str:
        """The name of the image source, which datasets of the same images share."""
        return self.images or self.name

    def target_of(self, target: Any) -> Target:
        """Return the declared kind of the targets, else infer it from one sample's target."""
        declared = self.target or infer_target(target)
        if declared.kind == "mask" and getattr(target, "ndim", 2) == 3:
            return declared._replace(kind="masks")  # under an option by which samples are series
        return declared
