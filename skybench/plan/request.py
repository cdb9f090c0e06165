"""Requests: what a user asks to run, resolved to models, tasks, datasets and recipes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skybench.augment import test_time
from skybench.core import (
    CannotRun,
    DatasetCard,
    Recipe,
    Sensor,
    Task,
    UsageError,
    registry,
)
from skybench.core.loaded import SETS, WHICH
from skybench.core.recipe import STATES
from skybench.plan import arguments, named_recipes
from skybench.plan.protocols import every_task, protocol_names
from skybench.training.lr_schedules import check_schedule
from skybench.training.recipe_check import check_optimizer

AUTO = "auto"  # a precision that is measured, see `skybench.plan.precision_choice`
WORDS = {
    "precision": ("", "float32", "bf16", "fp16", "tf32"),
    "rounding": ("", "int8"),
    "state": ("", *STATES),
}
EXECUTORS = ("local", "slurm", "ray")
CHECKS = {"schedule": check_schedule, "optimizer": check_optimizer}
NOT_SET = (
    "protocol", "name", "label", "source", "options", "sensors", "fraction", "limit", "seeds",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """The cells that a user asks to run, and how; see `skybench run --help`.

    Every field may be given as text, as on the command line: sensors="planet,s2", seeds="3",
    overrides="epochs=5"; None is the default. Raises UsageError for values of another type.
    """

    models: Sequence[str] = ("skysense",)
    tasks: Sequence[str] = ("all",)
    datasets: Sequence[str] = ()  # () is all of each task
    protocol: str = "frozen"
    data: str = ""  # a folder, "demo", or "" for SKYBENCH_DATA
    weights: Mapping[str, str] = field(default_factory=dict)  # "" -> default; model -> its own
    variant: str = ""  # "" is full, and tiny on demo data; "tiny,satmae=temporal"
    sensors: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)  # of the datasets that have them
    arch: Mapping[str, str] = field(default_factory=dict)  # settings of the networks that have them
    fraction: float = 1.0
    seeds: int = 1
    limit: int = 0
    overrides: Mapping[str, str] = field(default_factory=dict)  # Recipe field -> value
    results: Path | None = None
    device: str = "auto"
    precision: str = ""  # auto, float32, tf32, fp16 or bf16; "" is the recipe's, usually float32
    force: bool = False
    draw: int = -1  # test samples to draw in each cell; -1: a few, of fine-tuned cells
    devices: int = 1  # that train one network together, on each machine
    nodes: int = 1  # machines
    micro: int = 0  # samples in a forward pass of training; 0: a batch, or what fits
    recompute: bool = False  # activations, to save memory
    keep_weights: bool = False  # of the trained backbone and head
    tensorboard: bool = False
    predictions: bool = True  # kept beside the records
    strict: bool = False  # flags that point to a fault make a cell fail
    jobs: int = -1  # processes that run cells beside each other; 0: one a core, -1: one a GPU
    timeout: float = 0.0  # seconds of a cell, after which it counts as hung; 0: none
    budget: float = 0.0  # seconds of the whole run; 0: none
    shard: str = ""  # "3/16": the third of sixteen parts of the cells
    executor: str = ""  # local, slurm, ray or ray:ADDRESS; "" is this machine
    resources: Mapping[str, str] = field(default_factory=dict)  # of a job, see executors.resources
    recipes: Sequence[str] = ()  # DATASET:NAME or PROTOCOL:NAME; () is the usual one of each

    def __post_init__(self) -> None:
        for known in dataclasses.fields(self):
            value = getattr(self, known.name)
            if value is None and known.name != "models":
                made = known.default_factory is not dataclasses.MISSING
                value = {} if made else known.default
            if value is not None or known.name == "models":
                value = arguments.READERS[known.name](value, known.name)
            object.__setattr__(self, known.name, value)

    @property
    def demo(self) -> bool:
        """Whether the simulated data are meant."""
        return self.data == "demo"


def pick_models(names: Sequence[str]) -> list[str]:
    """Expand names of models: ids, "all", or "paper" (the models of SkySense's tables)."""
    chosen: list[str] = []
    for name in names:
        if name in ("all", "paper"):
            for known in registry.names("baselines"):
                group = registry.model(known).CARD.group
                if name == "all" or group in ("paper", "inferred"):
                    chosen.append(known)
        else:
            chosen.append(registry.resolve("baselines", name))
    return list(dict.fromkeys(chosen))


def wanted_variant(request: Request, model: str) -> str:
    """Return the requested variant of a model: its own (MODEL=NAME), or the one for all models."""
    asked = "tiny" if request.demo else "full"
    for part in filter(None, request.variant.split(",")):
        name, own, variant = part.partition("=")
        if not own:
            asked = name
        elif registry.resolve("baselines", name) == model:
            return variant
    return asked


def pick_tasks(names: Sequence[str]) -> list[str]:
    """Expand names of tasks: ids or "all"."""
    every = registry.names("tasks")
    chosen = [t for n in names for t in (every if n == "all" else [registry.resolve("tasks", n)])]
    return list(dict.fromkeys(chosen))


def pick_datasets(names: Sequence[str], task: Task) -> list[str]:
    """Return the requested datasets that a task has; by default all but a user's own."""
    if not names:
        every = [registry.dataset(n).CARD for n in registry.names("datasets")]
        return [c.name for c in every if task.name in c.tasks and not c.user_data]
    chosen = []
    for name in names:
        plain, colon, path = name.partition(":")
        known = registry.resolve("datasets", plain)
        if task.name in registry.dataset(known).CARD.tasks:
            chosen.append(f"{known}{colon}{path}")
    return chosen


def override_recipe(recipe: Recipe, request: Request) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with the request's overrides, and the names of the changed fields."""
    kinds = {f.name: f.type for f in dataclasses.fields(Recipe) if f.name not in NOT_SET}
    values: dict[str, Any] = {}
    for name, text in request.overrides.items():
        if name not in kinds:
            raise UsageError(registry.unknown("recipe field", name, sorted(kinds)))
        values[name] = _value(name, str(kinds[name]), text)
    if request.precision not in ("", AUTO):
        values["precision"] = _value("precision", "str", request.precision)
    if recipe.iterations and "epochs" in values:  # which would count otherwise
        values.setdefault("iterations", 0)
    if "epochs" in values:  # a stated length is the length
        values = {"min_steps": 0, "max_steps": 0} | values
    if "lr" in values:  # a stated rate is the rate
        values.setdefault("rates", ())
    if recipe.state == "last" and {"validate", "patience"} & {*values}:  # the best is meant
        values.setdefault("state", "best-on-val")
    changed = tuple(sorted(n for n, v in values.items() if v != getattr(recipe, n)))
    asked = replace(
        recipe, sensors=tuple(request.sensors), fraction=request.fraction, limit=request.limit,
        seeds=request.seeds,
    )  # fmt: skip
    return replace(asked, **values), changed


def _value(name: str, kind: str, text: str) -> Any:
    if name in ("augment", "views"):
        return _steps(name, text)
    if name == "rates":
        return tuple(f"{_value('lr', 'float', part):g}" for part in text.split())
    if kind == "str":
        if name in CHECKS:
            CHECKS[name](text)
        if text not in WORDS.get(name, (text,)):  # others are splits, which the planner checks
            known = ", ".join(filter(None, WORDS[name]))
            raise UsageError(f"No {name} {text!r} of a recipe. Known: {known}.")
        return "" if (name, text) == ("precision", "float32") else text
    try:
        value = (int if kind == "int" else float)(text)
    except ValueError:
        raise UsageError(f"Expected {name} to be a {kind}, but got {text!r}.") from None
    if not value >= 0 or value == math.inf:
        raise UsageError(f"Expected {name} not to be negative, but got {text!r}.")
    return value


def _steps(name: str, text: str) -> tuple[str, ...]:
    """The steps of an augmentation or the views of a test."""
    names = tuple(text.split())
    if name == "views":
        test_time.check_views(names)
    elif names:
        from skybench.augment import apply  # imports torch

        apply.check_augmentations(names)
    return names


def with_options(
    recipe: Recipe, card: DatasetCard, given: Mapping[str, str]
) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with the dataset's options, and the names of the changed ones."""
    own = dict(option.split("=", 1) for option in recipe.options)
    asked = {name: value for name, value in given.items() if name in card.options}
    defaults = {name: (*option.values, "")[0] for name, option in card.options.items()}
    # Stating an option that has no default changes nothing.
    changed = tuple(sorted(n for n, v in asked.items() if own.get(n, defaults[n]) not in ("", v)))
    options = tuple(f"{name}={value}" for name, value in sorted({**own, **asked}.items()))
    return replace(recipe, options=options), changed


def chosen_sensors(card: DatasetCard, wanted: Sequence[str]) -> tuple[Sensor, ...]:
    """Return the sensors of a dataset with these names or titles; all of them by default.

    Raises CannotRun for a sensor that it does not have.
    """
    asked = {name.lower() for name in wanted}
    unknown = asked - {n for s in card.sensors for n in (s.name, s.title.lower())}
    if unknown:
        known = ", ".join(f"{s.name} ({s.title})" if s.title else s.name for s in card.sensors)
        raise CannotRun(f"{card.name} has no sensor {sorted(unknown)}; it has {known}")
    picked = tuple(s for s in card.sensors if {s.name, s.title.lower()} & asked)
    return picked or card.sensors


def check_request(request: Request) -> None:
    """Raise UsageError for unknown names and for values out of range."""
    cards = [registry.dataset(name).CARD for name in registry.names("datasets")]
    _require("option of a dataset", request.options, {o for card in cards for o in card.options})
    have = {f for name in pick_models(request.models) for f in network_settings_of(name)}
    _require("setting of these models", request.arch, {*have, WHICH})
    if request.arch.get(WHICH, "raw") not in SETS:
        raise UsageError(
            f"Expected --arch weights to be one of {', '.join(SETS)}, but got "
            f"{request.arch[WHICH]!r}."
        )
    _require_protocol(request)
    named_recipes.check_asked(
        request.recipes, [registry.task(n) for n in pick_tasks(request.tasks)]
    )
    sensors = [s for card in cards for s in card.sensors]
    if not any(registry.dataset(n.partition(":")[0]).CARD.user_data for n in request.datasets):
        known = {name: 0 for s in sensors for name in (s.name, s.title.lower()) if name}
        _require("sensor", [name.lower() for name in request.sensors], known)
    for part in request.variant.split(","):
        if "=" in part:
            registry.resolve("baselines", part.partition("=")[0])
    if not 0 < request.fraction <= 1:
        raise UsageError(f"Expected --fraction in (0, 1], but got {request.fraction}.")
    if request.devices < 1 or request.nodes < 1 or request.micro < 0 or request.jobs < -1:
        raise UsageError(
            "Expected --devices and --nodes of at least 1, --micro-batch and --jobs of at least 0."
        )
    _require_precision(request)
    _require("executor", [request.executor.partition(":")[0] or "local"], EXECUTORS)
    if request.seeds < 1 or request.limit < 0 or request.draw < -1:
        raise UsageError("Expected --seeds of at least 1, --limit and --draw of at least 0.")


def _require_precision(request: Request) -> None:
    if request.precision and "precision" in request.overrides:
        raise UsageError("Expected --precision or --set precision=, but got both.")
    if request.precision != AUTO:
        _value("precision", "str", request.precision)


def _require_protocol(request: Request) -> None:
    """Raise UsageError for a protocol of no task; a task that lacks it gives `cannot run` cells."""
    tasks = [registry.task(name) for name in pick_tasks(request.tasks)]
    if tasks and request.protocol not in protocol_names([*tasks, *every_task()]):
        names = protocol_names(tasks)
        raise UsageError(registry.unknown("protocol", request.protocol, names))


def _require(what: str, asked: Iterable[str], known: Collection[str]) -> None:
    for name in asked:
        if name not in known:
            raise UsageError(registry.unknown(what, name, sorted(known) or ["none"]))


def network_settings_of(model: str) -> set[str]:
    """Return the names of the settings that any network of a model has."""
    kinds = registry.model(model).VARIANTS.values()
    return {
        f.name for arch in kinds if dataclasses.is_dataclass(arch) for f in dataclasses.fields(arch)
    }
