"""Recipes with their sources: who has each of their settings, where, and what differs here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from skybench.core.column import Column
from skybench.core.recipe import Recipe

Kind = Literal["official", "own source", "substitute", "ours"]
KINDS: Mapping[str, str] = {
    "official": "SkySense's own configuration, seen in the file that is named",
    "own source": "of the authors whose published score it made, seen in the file that is named",
    "substitute": "SkySense's own is not public; one that was seen stands in",
    "ours": "no published one is meant; it speaks for nobody else",
}
Verdict = Literal["agrees", "differs", "unknown", "ours"]
# What a source says of a recipe, and the fields of `Recipe` that hold it. "metric" and "features"
# (what is done to features before the head) have none: they are of the task.
ASPECTS: Mapping[str, tuple[str, ...]] = {
    "split": ("train", "val", "test", "options"),
    "size": ("size",),
    "tile": ("tile",),
    "length": ("epochs", "iterations", "min_steps", "max_steps"),
    "batch": ("batch",),
    "optimizer": ("optimizer",),
    "lr": ("lr", "rates"),
    "weight_decay": ("weight_decay",),
    "schedule": ("schedule",),
    "warm_up": ("warm_up",),
    "layer_decay": ("layer_decay",),
    "drop_path": ("drop_path",),
    "precision": ("precision", "rounding"),
    "clip": ("clip",),
    "augment": ("augment",),
    "mixing": ("mixup", "cutmix"),
    "head": ("head", "width", "dropout"),
    "features": (),
    "loss": ("loss", "smoothing"),
    "state": ("state", "validate", "patience"),
    "views": ("views", "test_crop"),
    "metric": (),
}


class FieldSource(NamedTuple):
    """What the source says about one aspect of a recipe."""

    verdict: Verdict
    at: str = ""  # file:line in the recipe's repository, or repository@commit:file:line
    note: str = ""  # what the source has, where it differs, and the effect; what is unknown


@dataclass(frozen=True)
class SourcedRecipe:
    """A recipe by name, with the source of every aspect (see ASPECTS).

    Of several for one protocol the first in `Setup.sourced` is the usual one. Aspects that are not
    in `fields` are ours.
    """

    name: str  # as in --recipe isaid:official
    kind: Kind
    recipe: Recipe  # without splits and label, which come from the columns
    repository: str = ""  # repository@commit that `at` of the fields is within, unless it says else
    file: str = ""  # the configuration in it
    fields: Mapping[str, FieldSource] = field(default_factory=dict)
    rows: tuple[str, ...] = ()  # the models whose published scores were made with it
    about: str = ""  # a sentence: why it stands here, and what is unknown of it as a whole
    void: tuple[str, ...] = ()  # augmentations of the source that would do nothing to these images
    columns: tuple[Column, ...] = ()  # (): those of the setup
    usual: bool = True  # whether it may be the usual one of its protocol; else only by name

    def verdict(self, aspect: str) -> FieldSource:
        """Return what the source says about an aspect; "ours" where none is named."""
        return self.fields.get(aspect, FieldSource("ours"))

    def place(self, aspect: str) -> str:
        """Return repository@commit:file:line of an aspect, "" where no source is named."""
        at = self.verdict(aspect).at
        return at if "@" in at or not at else f"{self.repository}:{at}"

    @property
    def source(self) -> str:
        """The recipe's `source`: its kind, the file, and what differs, in a line."""
        file = ":".join(filter(None, (self.repository, self.file)))
        differs = [f"{n} ({f.note})" for n, f in self.fields.items() if f.verdict == "differs"]
        parts = [file, self.about, f"differs: {', '.join(differs)}" if differs else ""]
        return f"{self.kind}: {'; '.join(filter(None, parts)) or 'made here'}"

    def stated(self) -> Recipe:
        """Return the recipe with its name and its source."""
        return replace(self.recipe, name=self.name, source=self.source)
