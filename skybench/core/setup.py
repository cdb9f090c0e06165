"""Setups: how a data set is evaluated under a task, as the data set's plugin declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from skybench.core.recipe import Recipe
from skybench.core.target import Target


class Column(NamedTuple):
    """The splits of a column of the results table; a data set has several if papers do."""

    train: str = "train"
    val: str = "val"  # selects hyperparameters, where a recipe does; "": a fifth of train does
    test: str = "test"
    label: str = ""  # tells the columns of a data set apart, as "20 %"


class DemoSetup(NamedTuple):
    """The sizes and columns on simulated data; 0 and () mean the task's defaults."""

    size: int = 0
    tile: int = 0
    epochs: int = 0
    columns: tuple[Column, ...] = ()  # (): those of the real data


@dataclass(frozen=True)
class Setup:
    """How a data set is evaluated under a task: splits, sizes, options, main score, recipes.

    A recipe in `recipes` leaves out splits and label, which come from `columns`. Its size, tile
    and options, if set, take precedence over the setup's.
    """

    columns: tuple[Column, ...] = (Column(),)
    size: int = 0  # side of the finest sensor's images in pixels; 0: as read
    tile: int = 0  # side of the tiles that are read; 0: the official side
    options: tuple[str, ...] = ()  # of `open`, each NAME=VALUE
    recipes: Mapping[str, Recipe] = field(default_factory=dict)  # by protocol; else generic ones
    target: Target | None = None  # of this task, where it differs from the card's
    main: str = ""  # the metric's main score; "": the task's
    background: str = ""  # name of class 0, where papers also print the mean without it
    min_steps: int = 0  # fewest training steps of recipes that count epochs, on real data
    merge_tiles: bool = False  # score detections on whole images; keys: <image>_<scale>_<y>_<x>
    demo: DemoSetup = field(default_factory=DemoSetup)

    def expand(self, recipe: Recipe, demo: bool) -> tuple[Recipe, ...]:
        """Return the recipe for each column, with splits, sizes and options filled in.

        demo: `recipe` is for simulated data, where `self.demo` overrides sizes and columns.
        """
        if demo:
            size, tile = self.demo.size or recipe.size, self.demo.tile or recipe.tile
        else:
            size, tile = recipe.size or self.size, recipe.tile or self.tile
        columns = (demo and self.demo.columns) or self.columns
        base = replace(
            recipe,
            size=size,
            tile=tile,
            epochs=(demo and self.demo.epochs) or recipe.epochs,
            min_steps=0 if demo or not recipe.epochs else recipe.min_steps or self.min_steps,
            options=recipe.options or self.options,
        )
        return tuple(
            replace(base, train=c.train, val=base.val and c.val, test=c.test, label=c.label)
            for c in columns
        )
