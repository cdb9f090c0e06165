"""The planner: cells from a request, each planned, done, or unable to run for a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from skybench.core import (
    CannotRun,
    DataError,
    DatasetCard,
    ModelCard,
    Recipe,
    SkybenchError,
    Task,
    UsageError,
    WeightsError,
    fingerprint,
    folders,
    match,
    registry,
    variants,
)
from skybench.core.content import ContentDigests
from skybench.core.dataset import Samples, Subset
from skybench.core.errors import error_text
from skybench.core.loaded import WHICH
from skybench.data import once
from skybench.data.demo_folder import demo_root
from skybench.data.subsampling import stratified_subset
from skybench.plan import named_recipes
from skybench.plan.cell import Cell, Lack, affecting, known_by_content, to_record
from skybench.plan.first_sample import FirstSample, look_at
from skybench.plan.located_weights import locate_weights
from skybench.plan.precision_choice import planned_precision
from skybench.plan.request import (
    AUTO,
    Request,
    check_request,
    chosen_sensors,
    override_recipe,
    pick_datasets,
    pick_models,
    pick_tasks,
    wanted_variant,
    with_options,
)
from skybench.plan.requirements import require_sense, require_splits
from skybench.records import store
from skybench.training.recipe_check import check_rates

Reading = tuple[str, str, int, tuple[str, ...]]  # dataset, split, tile, options


class Planner:
    """Makes cells of a request; opens each dataset and locates each checkpoint once."""

    def __init__(self, request: Request) -> None:
        check_request(request)
        weights = {
            registry.resolve("baselines", n) if n else n: w for n, w in request.weights.items()
        }
        self.request = replace(request, weights=weights)  # a misspelt model is never left unused
        self.opened: dict[Reading, Samples] = {}
        self.first: dict[Reading, FirstSample] = {}
        self.located: dict[tuple[str, str], tuple[str, str]] = {}
        self.digests: dict[Samples, ContentDigests] = {}
        self.refused: dict[Reading, DataError] = {}

    def root(self, dataset: str) -> Path:
        """Return the folder of a dataset; demo data are written on first use."""
        name, _, path = dataset.partition(":")
        if self.request.demo:
            return demo_root(name)
        if path:
            return Path(path).expanduser()
        return (
            Path(self.request.data).expanduser() / name
            if self.request.data
            else folders.data() / name
        )

    def open(self, dataset: str, split: str, recipe: Recipe) -> Samples:
        """Open one split of a dataset, cut to the recipe's limit."""
        key = (dataset, split, recipe.tile, recipe.options)
        if key in self.refused:
            raise self.refused[key]
        if key not in self.opened:
            options = dict(option.split("=", 1) for option in recipe.options)
            try:
                self.opened[key] = self._opened(dataset, split, recipe.tile, options)
            except DataError as error:
                self.refused[key] = error
                raise
        samples = self.opened[key]
        if recipe.limit and len(samples) > recipe.limit:
            chosen = stratified_subset(samples.labels, len(samples), recipe.limit, seed=0)
            return Subset(samples, chosen)
        return samples

    def first_sample(self, dataset: str, recipe: Recipe) -> FirstSample:
        """Return what the first training sample tells, read once for all cells."""
        key = (dataset, recipe.train, recipe.tile, recipe.options)
        if key not in self.first:
            self.first[key] = look_at(self.open(dataset, recipe.train, recipe))
        return self.first[key]

    def _opened(self, dataset: str, split: str, tile: int, options: Mapping[str, str]) -> Samples:
        """Open a split; whatever else a reader stumbles over becomes a DataError."""
        plugin, root = registry.dataset(dataset.partition(":")[0]), self.root(dataset)
        try:
            return plugin.open(root, split, tile, **options)
        except SkybenchError:
            raise
        except Exception as error:  # files of others may break a reader in any way
            raise DataError(
                f"{plugin.CARD.title} in {root} cannot be opened: {error_text(error)}. Expected "
                f"its own layout with whole files; `skybench data verify {dataset}` looks for the "
                "file that is damaged"
            ) from error

    def content(self, samples: Samples) -> ContentDigests:
        """Return the content of a split, looked at once for all cells. Raises DataError."""
        whole = samples.whole if isinstance(samples, Subset) else samples
        if whole not in self.digests:
            self.digests[whole] = whole.content()
        return self.digests[whole]

    def locate(self, card: ModelCard, variant: str) -> tuple[str, str]:
        """Like `locate_weights`, once for each variant of a model."""
        if (card.name, variant) not in self.located:
            self.located[card.name, variant] = locate_weights(card, variant, self.request)
        return self.located[card.name, variant]

    def cells(self) -> list[Cell]:
        """Return all cells of the request, in the order in which they run: model by model."""
        with once.remembered():
            return self._cells()

    def _cells(self) -> list[Cell]:
        made: list[Cell] = []
        tasks = [registry.task(name) for name in pick_tasks(self.request.tasks)]
        wanted = self.request.datasets or named_recipes.asked_datasets(self.request.recipes)
        for model in pick_models(self.request.models):
            asked = wanted_variant(self.request, model)
            for task in tasks:
                for dataset in pick_datasets(wanted, task):
                    made += self.cells_of(model, asked, task, dataset)
        if not self.request.models or not tasks:
            raise UsageError("Expected --model and --task to name something, but got nothing.")
        if not made:
            names = ", ".join(wanted)
            raise UsageError(f"None of the tasks asked for has a dataset {names!r}.")
        return made

    def cells_of(self, name: str, asked: str, task: Task, dataset: str) -> list[Cell]:
        """The cells of one model on one dataset: one for each recipe and column."""
        plugin = registry.model(name)
        variant = variants.resolve_variants(plugin, asked)[0]
        card = variants.variant_card(plugin, variant)
        data_card = registry.dataset(dataset.partition(":")[0]).CARD
        made: list[Cell] = []
        asking = (self.request.recipes, task, data_card, self.request.protocol, self.request.demo)
        for recipe in named_recipes.planned_recipes(*asking):
            recipe, changed = override_recipe(recipe, self.request)
            recipe, stated = with_options(recipe, data_card, self.request.options)
            changed += stated
            if task.check is not None:
                task.check(recipe, data_card)
            if recipe.rates and recipe.protocol in task.protocols:
                check_rates(recipe, task.protocol(recipe.protocol).trains_backbone)
            path = dataset.partition(":")[2]
            if path and data_card.user_data:  # tells one user's folder from another
                recipe = replace(recipe, label=_folder_name(path))
            blank = Cell(
                card, task, dataset, recipe, variant, "none", "none", self.request.demo,
                overridden=changed,
            )  # fmt: skip
            try:
                made.append(self._complete(blank, asked))
            except CannotRun as error:
                blank = replace(blank, status="cannot run", reason=str(error))
                made.append(replace(blank, fingerprint=fingerprint.fingerprint(affecting(blank))))
            except UsageError:
                raise
            except Exception as error:  # whatever breaks costs this cell alone
                lack = self._lack(error, dataset)
                reason = error_text(error)
                made.append(replace(blank, status="unavailable", lacks=lack, reason=reason))
        return [replace(cell, pool=_pool(cell, made)) for cell in made]

    def _lack(self, error: Exception, dataset: str) -> Lack:
        """What a cell misses that could not be planned."""
        if isinstance(error, WeightsError):
            return "weights"
        with contextlib.suppress(Exception):  # demo data that cannot be written
            return "damaged" if self.root(dataset).exists() else "data"
        return "data"

    def _of_data(self, cell: Cell) -> tuple[Recipe, DatasetCard]:
        """The recipe as the opened dataset has it, and the dataset's card."""
        recipe = cell.recipe
        known = registry.dataset(cell.dataset_id).CARD
        if not known.user_data:
            require_splits(cell, known)
        card = self.open(cell.dataset, recipe.train, recipe).card
        if known.user_data:
            require_splits(cell, card)  # the folder itself says which there are
            if not recipe.tile and card.tile < known.tile:  # as small as the images
                recipe = replace(recipe, tile=card.tile)
        if cell.task.name not in card.tasks:  # a user's folder is for one task only
            raise CannotRun(f"{card.title} is for {' and '.join(card.tasks)}, not {cell.task.name}")
        if recipe.val not in card.splits:  # or has no validation split
            recipe = replace(recipe, val="")
        return recipe, card

    def _complete(self, cell: Cell, asked: str) -> Cell:
        require_sense(cell)
        recipe, card = self._of_data(cell)
        names = {"train": recipe.train, "val": recipe.val, "test": recipe.test}
        splits = {n: self.open(cell.dataset, s, recipe) for n, s in names.items() if s}
        sensors = chosen_sensors(card, recipe.sensors)
        if recipe.sensors:  # by their names, however they were asked for
            recipe = replace(recipe, sensors=tuple(s.name for s in sensors))
        plugin = registry.model(cell.model.name)
        variant, model = variants.select_variant(plugin, asked, sensors, self.request.arch)
        arch = variants.parse_settings(plugin, variant, self.request.arch)
        if cell.protocol.level == "pyramid" and not model.levels:
            raise CannotRun(f"{model.name} gives one vector an image and no feature maps")
        found = match(model, sensors)
        told = splits if known_by_content(cell.dataset, splits) else {}
        weights, weights_id = self.locate(model, variant)
        if WHICH in self.request.arch and weights not in ("none", "random"):
            arch[WHICH] = self.request.arch[WHICH]
        full = replace(
            cell,
            model=model,
            variant=variant,
            arch=arch,
            recipe=recipe,
            weights=weights,
            weights_id=weights_id,
            splits=splits,
            contents={role: self.content(samples) for role, samples in told.items()},
            found=found,
            demo=cell.demo or any(s.split.demo for s in splits.values()),
        )
        if self.request.precision == AUTO and not full.protocol.trains_backbone:
            full = replace(full, recipe=replace(full.recipe, precision=AUTO))
            full = planned_precision(full, self.request.device)
        full = replace(full, fingerprint=fingerprint.fingerprint(affecting(full)))
        return replace(full, status="done" if self._is_done(full) else "planned")

    def _is_done(self, cell: Cell) -> bool:
        results = self.request.results or folders.results()
        known = store.find_record(results, to_record(cell).path)
        return (
            not self.request.force
            and known is not None
            and known.fingerprint == cell.fingerprint
            and (known.came_out or known.status == "cannot run")
        )


def _pool(cell: Cell, cells: Sequence[Cell]) -> dict[str, Samples]:
    """The splits, by their own names, of all cells that read the dataset alike."""
    alike = [c for c in cells if _reading(c) == _reading(cell)]
    return {getattr(c.recipe, role): s for c in alike for role, s in c.splits.items()}


def _reading(cell: Cell) -> tuple[int, tuple[str, ...]]:
    return cell.recipe.tile, cell.recipe.options


def _folder_name(path: str) -> str:
    where = Path(path).expanduser().resolve()
    if where.name == "skybench.toml":
        return where.parent.name
    return where.stem if where.suffix == ".toml" else where.name
