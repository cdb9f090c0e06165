"""Labels of records in tables: settings, flag marks and footnotes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skybench.core import FLAGS, Record

MARKS = {
    "random weights": "r", "tiny variant": "t", "chance": "c", "nominal units": "u",
    "own split": "s", "limited": "l", "override": "o", "seen in pre-training": "p",
    "partial checkpoint": "k", "collapsed features": "x", "same features": "i",
    "implausible values": "v", "band order": "b", "train images in test": "d",
    "incomplete split": "n", "far from the paper": "f", "repeated epochs": "e",
    "loss still falling": "g", "resized images": "z", "identity by names only": "a",
    "other versions": "w", "chosen on the test": "q", "former recipe": "h",
}  # fmt: skip
RED = "chosen on the test"  # scores with this flag are shown in red, and never as best


METRIC_NAMES = {"oa": "OA", "miou": "mIoU", "mf1": "mF1", "map_micro": "mAP (micro)", "f1": "F1"}


DEMO = "DEMO DATA (simulated): not a result"


FIXED = ("model", "variant", "weights", "data", "settings")


def weights_label(record: Record) -> str:
    """Return "random", "none" (no learned weights), or 8 digits of the checkpoint's sha256.

    Weights that a training here produced are called so: "1f0c2b3a, fine-tuned on AID".
    """
    tuned = record.used.get("fine_tuned")
    text = str(record.used.get("weights", "none"))[:8]
    return f"{text}, fine-tuned on {tuned}" if tuned else text


def settings_label(record: Record) -> str:
    """Return the settings of recipe and network that differ from the defaults, as NAME=VALUE."""
    arch = [f"{n}={v}" for n, v in record.used.get("arch", {}).items()]
    return " ".join(filter(None, [recipe_label(record), *arch]))


def recipe_label(record: Record) -> str:
    """Return the settings of the recipe that differ from the default, as NAME=VALUE.

    A recipe that is not the usual one of its data set and protocol comes first, as recipe=NAME.
    """
    recipe = record.recipe
    options = dict(option.split("=", 1) for option in recipe.get("options", ()))
    asked = {n: options.get(n, recipe.get(n)) for n in record.used.get("overridden", ())}
    named = record.used.get("recipe_name", "")
    parts = [f"recipe={named}"] if named else []
    parts += [f"{n}={'+'.join(v) if isinstance(v, list) else v}" for n, v in asked.items()]
    parts += [f"fraction={recipe['fraction']}"] if recipe.get("fraction", 1.0) != 1.0 else []
    parts += [f"limit={recipe['limit']}"] if recipe.get("limit") else []
    parts += [f"seeds={recipe['seeds']}"] if recipe.get("seeds", 1) != 1 else []
    parts += ["+".join(recipe["sensors"])] if recipe.get("sensors") else []
    return " ".join(parts)


def told_recipe(record: Record) -> str:
    """Return `recipe_label`, and that the recipe is a former one, to name a cell in a sentence."""
    former = "former recipe"
    return " ".join(filter(None, [recipe_label(record), former * (former in record.flags)]))


def flag_marks(flags: Sequence[str]) -> str:
    """Return the short names of flags to print after a score, as " (lu)", or ""."""
    known = "".join(MARKS[f] for f in flags if f in MARKS)
    return f" ({known})" if known else ""


def footnotes(flags: Iterable[str]) -> list[str]:
    """Return one footnote for each distinct flag, which explains its mark."""
    present = {*flags}
    return [f"({MARKS[f]}) {f}: {FLAGS[f]}." for f in MARKS if f in present]
