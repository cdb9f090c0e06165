"""Arguments of Python callers: every one may be text, and is read as on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from skybench.core import UsageError, folders, registry, variants

# Options of `skybench run` that have another name than the field of a request.
ALIASES = {
    "model": "models", "task": "tasks", "dataset": "datasets", "option": "options",
    "set": "overrides", "micro_batch": "micro", "recipe": "recipes",
}  # fmt: skip
WHOLE = ("--option", "options")  # where a value may hold commas, as a list of dates
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # in seconds
NUMBERS = ("augment", "views", "schedule", "rates")  # fields of a recipe whose values have numbers


def parse_pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Parse comma-separated or repeated NAME=VALUE; a value without a name stands under "".

    Raises UsageError where a name is missing, unless the option is that of weights.

    >>> parse_pairs(["epochs=5,lr=0.1"], "--set")
    {'epochs': '5', 'lr': '0.1'}
    """
    found = {}
    for text in texts:
        is_whole = option in WHOLE or text.partition("=")[0] in NUMBERS
        for part in [text] if is_whole else split_names(text):
            name, equals, value = part.partition("=")
            found[name if equals else ""] = value if equals else name
    if option not in ("--weights", "weights") and "" in found:
        raise UsageError(f"Expected {option} NAME=VALUE, but got {found['']!r}.")
    return found


def split_names(text: str) -> list[str]:
    """Return names that are separated by commas.

    >>> split_names("planet, s2")
    ['planet', 's2']
    """
    return [part.strip() for part in text.split(",") if part.strip()]


def request_fields(given: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return the arguments of a run by the names of a request's fields.

    `size` becomes an override, as `--size` does. Raises UsageError for an unknown name, and for one
    that is given twice.
    """
    fields: dict[str, Any] = {}
    names = [*known]
    for name, value in given.items():
        field = ALIASES.get(name, name)
        if field not in names and field != "size":
            raise UsageError(registry.unknown("argument of run", name, [*names, "size"]))
        if field in fields:
            raise UsageError(f"Expected {field} once, but got it as {name} too.")
        fields[field] = value
    if (size := fields.pop("size", None)) is not None:
        fields["overrides"] = pairs_of(fields.get("overrides"), "overrides") | {
            "size": str(integer_of(size, "size"))
        }
    return fields


def names_of(given: Any, what: str) -> tuple[str, ...]:
    """Return names from text ("planet,s2") or from a list of texts."""
    if isinstance(given, str):
        return tuple(split_names(given))
    if isinstance(given, os.PathLike):
        return (os.fspath(given),)
    if isinstance(given, Mapping | bytes) or not isinstance(given, Iterable):
        raise _refused(what, "a name, names separated by commas, or a list of them", given)
    each = [text_of(name, f"every name in {what}").strip() for name in given]
    if what != "datasets":  # the path of a folder may hold a comma
        each = [part for name in each for part in split_names(name)]
    return tuple(each)


def pairs_of(given: Any, what: str) -> dict[str, str]:
    """Return texts by name from a mapping, from NAME=VALUE, or from a list of such texts."""
    if given is None:
        return {}
    if isinstance(given, os.PathLike):
        return {"": os.fspath(given)}
    if isinstance(given, str):
        return parse_pairs([given], what)
    if isinstance(given, Mapping):
        return {text_of(n, f"every name in {what}"): _value_text(n, v) for n, v in given.items()}
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise _refused(what, "NAME=VALUE, a list of such texts, or a mapping", given)
    return parse_pairs([text_of(text, f"every part of {what}") for text in given], what)


def _value_text(name: Any, value: Any) -> str:
    if isinstance(value, bool) or type(value).__name__ == "bool":  # NumPy's too
        return str(value).lower()
    if isinstance(value, Real):
        return str(value)
    if value is None and name in ("", *registry.names("baselines")):
        return "auto"  # of weights
    if isinstance(value, list | tuple):
        separator = " " if name in ("augment", "views", "rates") else ","
        return separator.join(_value_text("", part) for part in value)
    return text_of(value, f"the value of {name}")


def text_of(given: Any, what: str) -> str:
    """Return text; a path, a torch device and a torch dtype become their text."""
    if isinstance(given, str):
        return str(given)
    if isinstance(given, os.PathLike):
        return str(os.fspath(given))
    if type(given).__module__ == "torch" and type(given).__name__ in ("device", "dtype"):
        return str(given).removeprefix("torch.")
    raise _refused(what, "text", given)


def variant_text(given: Any, what: str) -> str:
    """Return variants as text: one for all models, or MODEL=NAME, separated by commas."""
    if isinstance(given, Mapping):
        return ",".join(f"{n}={v}" if n else v for n, v in pairs_of(given, what).items())
    return (
        ",".join(names_of(given, what)) if isinstance(given, list | tuple) else text_of(given, what)
    )


def integer_of(given: Any, what: str) -> int:
    """Return a whole number, given as such or as text."""
    value = _number(given, int, what, "a whole number")
    if isinstance(value, Integral) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise _refused(what, "a whole number", given)


def number_of(given: Any, what: str) -> float:
    """Return a number, given as such or as text."""
    return float(_number(given, float, what, "a number"))


def _number(given: Any, parse: Callable[[str], float], what: str, expected: str) -> Any:
    """A number that is no truth value; text is parsed."""
    value = _plain(given)
    if isinstance(value, str):
        try:
            return parse(value)
        except ValueError:
            raise _refused(what, expected, given) from None
    if not isinstance(value, Real) or isinstance(value, bool):
        raise _refused(what, expected, given)
    return value


def seconds_of(given: Any, what: str) -> float:
    """Return seconds, given as a number or as text with a unit: 90, "30s", "15m", "8h", "2d".

    >>> seconds_of("1.5h", "budget")
    5400.0
    """
    text = given.strip().lower() if isinstance(given, str) else ""
    unit = UNITS.get(text[-1:], 0)
    value = number_of(text[:-1] if unit else given, what) * (unit or 1)
    if not 0 <= value < float("inf"):
        raise _refused(what, "a time of at least 0", given)
    return value


def shard_of(given: Any, what: str) -> str:
    """Return a part of a whole as text, I/N with I from 1 to N; "" is the whole."""
    text = text_of(given, what).replace(" ", "")
    part, _, parts = text.partition("/")
    if text and not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise _refused(what, "I/N, as 3/16 for the third of sixteen parts", given)
    return text


def flag_of(given: Any, what: str) -> bool:
    """Return a truth value; text such as "no" is refused, since it would count as true."""
    value = _plain(given)
    if not isinstance(value, bool | int) or value not in (0, 1):
        raise _refused(what, "True or False", given)
    return bool(value)


def path_of(given: Any, what: str) -> Path:
    """Return a path, given as such or as text."""
    return Path(text_of(given, what)).expanduser()


def results_of(given: Any, what: str) -> Path:
    """Return the folder of results, given as a path or by an address of fsspec."""
    return folders.results_at(text_of(given, what))


def network_settings(model: str, variant: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a network with text read as `--arch` reads it. Raises UsageError."""
    plugin = registry.model(model)
    first = variants.resolve_variants(plugin, variant)[0]
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    return {**given, **variants.parse_settings(plugin, first, texts)}


def _plain(given: Any) -> Any:
    """A number of NumPy or torch as Python's own."""
    try:
        return given.item() if hasattr(given, "item") else given
    except (ValueError, RuntimeError):  # several numbers
        return None


def _refused(what: str, expected: str, given: Any) -> UsageError:
    shown = "nothing" if given is None else f"{str(given)[:80]!r} ({type(given).__name__})"
    return UsageError(f"Expected {what} to be {expected}, but got {shown}.")


READERS: Mapping[str, Callable[[Any, str], Any]] = {  # of a request's fields
    "models": names_of, "tasks": names_of, "datasets": names_of, "sensors": names_of,
    "recipes": names_of, "protocol": text_of, "data": text_of, "device": text_of,
    "precision": text_of,
    "variant": variant_text, "weights": pairs_of, "options": pairs_of, "arch": pairs_of,
    "overrides": pairs_of,
    "fraction": number_of, "seeds": integer_of, "limit": integer_of, "draw": integer_of,
    "devices": integer_of, "nodes": integer_of, "jobs": integer_of, "micro": integer_of,
    "results": results_of, "timeout": seconds_of, "budget": seconds_of, "shard": shard_of,
    "executor": text_of, "resources": pairs_of,
    "force": flag_of, "recompute": flag_of, "keep_weights": flag_of, "tensorboard": flag_of,
    "predictions": flag_of, "strict": flag_of,
}  # fmt: skip
