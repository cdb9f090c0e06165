"""Setups: how a data set is evaluated under a task, as the data set's plugin declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from skybench.core.column import Column
from skybench.core.recipe import Recipe
from skybench.core.sourced_recipe import SourcedRecipe
from skybench.core.target import Target


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
    sourced: tuple[SourcedRecipe, ...] = ()  # of several protocols; the first of each is its usual
    target: Target | None = None  # of this task, where it differs from the card's
    main: str = ""  # the metric's main score; "": the task's
    background: str = ""  # name of class 0, where papers also print the mean without it
    min_steps: int = 0  # fewest training steps of recipes that count epochs, on real data
    series: int = 0  # samples of the card's counts that one here has as its dates; 0: not a series
    merge_tiles: bool = False  # score detections on whole images; keys: <image>_<scale>_<y>_<x>
    demo: DemoSetup = field(default_factory=DemoSetup)

    def recipe(self, protocol: str, generic: Recipe) -> Recipe:
        """Return the recipe of a protocol, `generic` where the data set has none of its own."""
        own = [s for s in self.sourced if s.recipe.protocol == protocol]
        # One that was asked for by name stands first: see `skybench.plan.named_recipes`.
        usual = (s.stated() for s in own if s.usual or s is self.sourced[0])
        return next(usual, self.recipes.get(protocol, generic))

    def named(self, name: str) -> SourcedRecipe | None:
        """Return a recipe by name, None where there is no such."""
        return next((s for s in self.sourced if s.name == name), None)

    def expand(self, recipe: Recipe, demo: bool) -> tuple[Recipe, ...]:
        """Return the recipe for each column, with splits, sizes and options filled in.

        demo: `recipe` is for simulated data, where `self.demo` overrides sizes and columns.
        """
        if demo:
            size, tile = self.demo.size or recipe.size, self.demo.tile or recipe.tile
        else:
            size, tile = recipe.size or self.size, recipe.tile or self.tile
        named = self.named(recipe.name)
        own = named.columns if named else ()
        least = 0 if named else self.min_steps  # others' recipes are as long as they are
        columns = (demo and self.demo.columns) or own or self.columns
        base = replace(
            recipe,
            size=size,
            tile=tile,
            epochs=(demo and self.demo.epochs) or recipe.epochs,
            min_steps=0 if demo or not recipe.epochs else recipe.min_steps or least,
        )
        return tuple(_in_column(base, c, recipe.options or self.options) for c in columns)


def _in_column(recipe: Recipe, column: Column, options: tuple[str, ...]) -> Recipe:
    """The recipe with a column's splits; nothing is validated on where it has no such split.

    Nor on the split that is scored. A state that is the best on validation needs one all the
    same: a fifth of train.
    """
    val = recipe.val and column.val if column.val != column.test else ""
    chosen = dict(option.split("=", 1) for option in (*options, *column.options))
    return replace(
        recipe,
        train=column.train,
        val=val,
        test=column.test,
        label=column.label,
        options=tuple(f"{name}={value}" for name, value in chosen.items()),
        validate=recipe.validate if val or not recipe.val or recipe.state == "best-on-val" else 0,
    )
