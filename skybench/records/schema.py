"""The form of a record's JSON: types of all fields, bounds of scores, names that are safe in paths.

Records come from other machines and may have been edited: what a command reads of a record was
checked here, so that a bad record is one skipped file and never a traceback.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from skybench.core import Recipe, Record, ScoreInfo, Status
from skybench.core.recipe import STATES
from skybench.core.record import is_file_name

DEPTH = 24  # most levels of nested objects and lists; records of skybench have 6
DIGITS = 18  # most digits of an integer
NAME_BYTES = 240  # of the record's file name: file systems take 255
DECIMALS = 1e-4  # rounding of percentages in records
RELATIVE = 1e-5  # rounding of other scores: 6 significant digits
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of JSON value: a test, and what it accepts in words."""

    words: str
    accepts: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)  # not bool; NaN and infinity are refused by the parser


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _list_of(kind: Kind) -> Kind:
    return Kind(
        f"a list ({kind.words})", lambda v: isinstance(v, list) and all(map(kind.accepts, v))
    )


def _object_of(kind: Kind) -> Kind:
    return Kind(
        f"an object ({kind.words})",
        lambda v: isinstance(v, dict) and all(map(kind.accepts, v.values())),
    )


TEXT = Kind("text", _is_text)
LINE = Kind("text of one line", lambda v: _is_text(v) and CONTROL.search(v) is None)
NAME = Kind("a name without slashes", lambda v: _is_text(v) and is_file_name(v))
NUMBER = Kind("a number", _is_number)
POSITIVE = Kind("a number that is not negative", lambda v: _is_number(v) and v >= 0)
COUNT = Kind("a count", lambda v: type(v) is int and v >= 0)
SHARE = Kind("a number above 0, at most 1", lambda v: _is_number(v) and 0 < v <= 1)
SETTING = Kind(
    "text, a number or a list of them",
    lambda v: _is_scalar(v) or (isinstance(v, list) and all(map(_is_scalar, v))),
)
ANY = Kind("any value", lambda _: True)
OBJECT = Kind("an object", lambda v: isinstance(v, dict))
SCORES = _object_of(NUMBER)
BAND = Kind(
    "[low, high]",
    lambda v: isinstance(v, list) and len(v) == 2 and all(map(_is_number, v)) and v[0] <= v[1],
)
OPTION = Kind("NAME=VALUE", lambda v: LINE.accepts(v) and "=" in v)
FINGERPRINTS = Kind(
    "hexadecimal digits", lambda v: _is_text(v) and FINGERPRINT.fullmatch(v) is not None
)


STATE = Kind("a state of a training", lambda v: type(v) is str and v in STATES)
BY_STATE = Kind("scores by state", lambda v: _object_of(SCORES).accepts(v) and {*v} <= {*STATES})


def _is_info(value: Any) -> bool:
    """Whether a value is what `score_info_to_json` returns."""
    if not isinstance(value, dict):
        return False
    low, high = value.get("low"), value.get("high")
    bounds = all(v is None or _is_number(v) for v in (low, high))
    return (
        bounds
        and (low is None or high is None or low <= high)
        and value.get("higher_is_better", True) in (True, False, None)
        and _is_text(value.get("unit", ""))
    )


def _is_features(value: Any) -> bool:
    """Whether a value is empty or has what a search for equal features reads."""
    return isinstance(value, dict) and (not value or {"sha256", "keys", "seen"} <= value.keys())


# A record's fields, by name; those of `recipe` and `used` follow.
FIELDS: Mapping[str, Kind] = {
    "model": NAME, "task": NAME, "dataset": NAME, "recipe": OBJECT, "fingerprint": FINGERPRINTS,
    "status": Kind("a status", lambda v: v in get_args(Status)),
    "data": Kind("'real' or 'demo'", lambda v: v in ("real", "demo")),
    "scores": SCORES, "spread": _object_of(POSITIVE), "intervals": _object_of(BAND),
    "per_class": _object_of(SCORES), "seeds": _list_of(OBJECT), "samples": _object_of(COUNT),
    "note": TEXT, "flags": _list_of(LINE), "used": OBJECT, "cost": OBJECT, "traceback": TEXT,
    "made": LINE, "schema": COUNT,
}  # fmt: skip
USED: Mapping[str, Kind] = {
    "sensors": _list_of(NAME), "variant": LINE, "weights": LINE, "overridden": _list_of(LINE),
    "arch": _object_of(SETTING), "offered": _list_of(LINE), "inputs": _object_of(OBJECT),
    "size": COUNT, "min_pixels": COUNT, "splits": _object_of(OBJECT), "classes": _list_of(LINE),
    "coverage": Kind("an object or null", lambda v: v is None or isinstance(v, dict)),
    "versions": _object_of(LINE), "cards": _object_of(SETTING), "revision": LINE, "device": LINE,
    "precision": LINE, "chance": NUMBER, "error": POSITIVE, "prediction_bytes": COUNT,
    "features": Kind("features with sha256, keys and seen", _is_features),
    "score_info": _object_of(Kind("direction, unit and bounds", _is_info)), "data": OBJECT,
    "alarms": _object_of(TEXT), "content": _object_of(LINE), "content_label": LINE,
    "content_kind": LINE, "folder": LINE, "no_interval": TEXT, "units": COUNT,
    "state": STATE, "states": BY_STATE, "recipe_name": LINE,
    "fine_tuned": LINE, "weights_note": TEXT, "leak": TEXT, "notes": _list_of(TEXT),
}  # fmt: skip
# Fields of the recipe whose values are narrower than their type in `Recipe`.
RECIPE: Mapping[str, Kind] = {
    "protocol": NAME, "options": _list_of(OPTION), "fraction": SHARE, "limit": COUNT,
    "seeds": Kind("at least 1", lambda v: type(v) is int and v >= 1),
}  # fmt: skip
SEED: Mapping[str, Kind] = {"seed": COUNT, "scores": SCORES, "states": BY_STATE}
BY_TYPE = {
    "int": Kind("an integer", lambda v: type(v) is int),
    "float": NUMBER,
    "str": LINE,
    "tuple": _list_of(LINE),
}


def load_record_json(text: str) -> Any:
    """Return parsed JSON. Raises ValueError for what no record holds: NaN, huge numbers, depth."""
    try:
        raw = json.loads(
            text, parse_int=_integer, parse_float=_finite, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not complete JSON ({error})") from error
    except RecursionError as error:
        raise ValueError("not a record of skybench (nested too deeply)") from error
    if isinstance(raw, dict | list):
        _require_depth(raw, DEPTH)
    if SURROGATE.search(text):
        try:
            json.dumps(raw, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("text with half of a surrogate pair, which is no character") from error
    return raw


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if abs(value) == math.inf:
        raise ValueError(f"the number {text:.20}, which is not finite")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} in the place of a number")


def _require_depth(value: Any, left: int) -> None:
    if left < 0:
        raise ValueError("not a record of skybench (nested too deeply)")
    for inner in value.values() if type(value) is dict else value:
        kind = type(inner)
        if kind is dict or kind is list:  # the parser makes no others, and this is done often
            _require_depth(inner, left - 1)


def check_record_fields(record: Record) -> None:
    """Raise ValueError, with the field, for values that no run writes."""
    _require("", {name: getattr(record, name) for name in FIELDS}, FIELDS)
    _require("used.", record.used, USED)
    _require("recipe.", record.recipe, _recipe_kinds())
    for number, seed in enumerate(record.seeds):
        _require(f"seeds[{number}].", seed, SEED)
    missing = [n for n in record.used.get("overridden", ()) if _is_unstated(n, record)]
    if missing:
        raise ValueError(f"'recipe' lacks {missing[0]!r}, which 'used.overridden' names")
    if len(record.path.name.encode()) > NAME_BYTES:
        raise ValueError("names that are too long for a file name")
    _require_scores(record)


def _require(prefix: str, values: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    for name, kind in kinds.items():
        if name in values and not kind.accepts(values[name]):
            given = json.dumps(values[name])
            shown = given if len(given) <= 60 else f"{given[:57]}..."
            raise ValueError(f"'{prefix}{name}' is {shown}, expected {kind.words}")


@functools.cache
def _recipe_kinds() -> Mapping[str, Kind]:
    """The kinds of the recipe's fields: of RECIPE, or by their annotations."""
    kinds = {f.name: str(f.type).partition("[")[0] for f in dataclasses.fields(Recipe)}
    return {name: RECIPE.get(name) or BY_TYPE.get(kind, ANY) for name, kind in kinds.items()}


def _is_unstated(name: str, record: Record) -> bool:
    return name in _recipe_kinds() and name not in record.recipe


def _require_scores(record: Record) -> None:
    """Raise ValueError for scores outside their bounds, or that do not agree with the seeds."""
    if record.scores and record.status != "measured":
        raise ValueError(f"scores, but the status {record.status!r}")
    for name, score in _every_score(record):
        info = record.score_info(name)
        slack = _rounding(info, [score])
        if not info.low - slack <= score <= info.high + slack:
            raise ValueError(
                f"the score {name} is {score:g}, outside its bounds {info.low:g} to {info.high:g}"
            )
    for name, score in record.scores.items():
        known = [s["scores"][name] for s in record.seeds if name in s.get("scores", {})]
        slack = _rounding(record.score_info(name), [score, *known])
        if len(known) == len(record.seeds) > 0 and abs(sum(known) / len(known) - score) > slack:
            raise ValueError(
                f"the score {name} is {score:g}, but the mean over its {len(known)} seed(s) is "
                f"{sum(known) / len(known):g}"
            )
    counting = record.used.get("states", {}).get(record.used.get("state"))
    if counting is not None and counting != record.scores:
        raise ValueError(f"the scores are not those of the state {record.used['state']!r}")
    _require_uncertainty(record)


def _require_uncertainty(record: Record) -> None:
    """Raise ValueError for intervals and spreads that no run gives to these scores."""
    for name, (low, high) in record.intervals.items():
        info, score = record.score_info(name), record.scores.get(name)
        slack = _rounding(info, [low, high])
        if low < info.low - slack or high > info.high + slack:
            raise ValueError(
                f"the interval of {name} is {low:g} to {high:g}, outside its bounds {info.low:g} "
                f"to {info.high:g}"
            )
        # Percentile intervals, of records before there were units, may miss the score itself.
        if "units" in record.used and score is not None and not (
            low - slack <= score <= high + slack
        ):  # fmt: skip
            raise ValueError(
                f"the score {name} is {score:g}, outside its interval {low:g} to {high:g}"
            )
    stated = record.recipe.get("seeds", len(record.seeds))
    if record.seeds and len(record.seeds) != stated:
        raise ValueError(f"{len(record.seeds)} seed(s), but 'recipe.seeds' is {stated}")
    for name, spread in record.spread.items():
        known = [s["scores"][name] for s in record.seeds if name in s.get("scores", {})]
        deviation = statistics.stdev(known) if len(known) > 1 else 0.0
        slack = 2 * _rounding(record.score_info(name), [spread, *known])
        if len(known) == len(record.seeds) > 0 and abs(deviation - spread) > slack:
            raise ValueError(
                f"the spread of {name} is {spread:g}, but the standard deviation over its "
                f"{len(known)} seed(s) is {deviation:g}"
            )


def _every_score(record: Record) -> Iterator[tuple[str, float]]:
    yield from record.scores.items()
    for seed in record.seeds:
        yield from seed.get("scores", {}).items()
    for part in (record.used, *record.seeds):
        for scores in part.get("states", {}).values():
            yield from scores.items()


def _rounding(info: ScoreInfo, values: list[float]) -> float:
    """By how much rounded scores may differ from what they were computed from."""
    return DECIMALS * 1.05 + RELATIVE * max(map(abs, values)) * (info != ScoreInfo())
