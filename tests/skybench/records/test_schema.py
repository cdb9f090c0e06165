"""The form of records: what is refused, with the field and what was expected."""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.core import Record
from skybench.records import schema, store

RECIPE = {"protocol": "knn", "label": "", "seeds": 2, "limit": 0, "fraction": 1.0}
RECORD = Record(
    "m", "t", "d", RECIPE, "measured", "real", "f" * 64, {"oa": 50.0}, {"oa": 14.1421},
    {"oa": [40.0, 60.0]}, {"a": {"recall": 50.0}},
    [{"seed": 0, "scores": {"oa": 40.0}}, {"seed": 1, "scores": {"oa": 60.0}}],
    {"train": 9, "test": 20}, used={"sensors": ["hr"], "weights": "none"},
)  # fmt: skip


def parsed(**changes: Any) -> Record:
    return store.parse_record(json.dumps(dataclasses.asdict(RECORD) | changes))


def test_a_good_record_is_accepted() -> None:
    assert parsed() == RECORD
    states = {"last": {"oa": 50.0}, "best-on-val": {"oa": 48.0}}
    assert parsed(used={"state": "last", "states": states}).scores == {"oa": 50.0}
    assert parsed(used={}, seeds=[], intervals={}, per_class={}, samples={}).scores == {"oa": 50.0}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "../../m"}, "'model' is \"../../m\", expected a name without slashes"),
        ({"recipe": {**RECIPE, "protocol": "a/b"}}, "'recipe.protocol' is \"a/b\""),
        ({"recipe": {**RECIPE, "fraction": 0}}, "'recipe.fraction' is 0, expected a number above"),
        ({"recipe": {**RECIPE, "options": ["dates"]}}, "expected a list (NAME=VALUE)"),
        ({"recipe": {**RECIPE, "epochs": "3"}}, "'recipe.epochs' is \"3\", expected an integer"),
        ({"used": {"sensors": "hr"}}, "'used.sensors' is \"hr\", expected a list"),
        ({"used": {"sensors": [".."]}}, "'used.sensors' is [\"..\"]"),
        ({"used": {"arch": {"gsd": {}}}}, "'used.arch'"),
        ({"used": {"chance": True}}, "'used.chance' is true, expected a number"),
        ({"used": {"features": {"sha256": "a"}}}, "'used.features'"),
        ({"used": {"score_info": {"oa": {"unit": 5}}}}, "'used.score_info'"),
        ({"used": {"overridden": ["epochs"]}}, "'recipe' lacks 'epochs'"),
        ({"used": {"state": "best"}}, "'used.state' is \"best\", expected a state of a training"),
        ({"used": {"states": {"first": {"oa": 50.0}}}}, "'used.states'"),
        ({"used": {"states": {"last": {"oa": "x"}}}}, "'used.states'"),
        ({"used": {"states": {"last": {"oa": 101.0}}}}, "outside its bounds"),
        ({"seeds": [{"states": [5]}]}, "'seeds[0].states'"),
        ({"seeds": [{"states": {"last": {"oa": -1.0}}}], "recipe": {**RECIPE, "seeds": 1}},
         "outside its bounds"),
        ({"used": {"state": "last", "states": {"last": {"oa": 49.0}}}}, "not those of the state"),
        ({"samples": {"test": "many"}}, "'samples'"),
        ({"per_class": {"a": 5}}, "'per_class'"),
        ({"seeds": [5]}, "'seeds'"),
        ({"seeds": [{"scores": {"oa": "x"}}]}, "'seeds[0].scores'"),
        ({"intervals": {"oa": [60.0, 40.0]}}, "'intervals'"),
        ({"spread": {"oa": -1.0}}, "'spread'"),
        ({"status": "failed"}, "scores, but the status 'failed'"),
        ({"fingerprint": "../f"}, "expected hexadecimal digits"),
        ({"model": "m" * 300}, "too long for a file name"),
        ({"made": "2026\n2027"}, "'made'"),
    ],
    ids=str,
)  # fmt: skip
def test_another_kind_of_value_is_refused_with_its_field(
    change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parsed(**change)


@pytest.mark.parametrize(
    ("scores", "seeds", "reason"),
    [
        ({"oa": 150.0}, [], "the score oa is 150, outside its bounds 0 to 100"),
        ({"oa": -1.0}, [], "outside its bounds"),
        ({"oa": 90.0}, [40.0, 60.0], "is 90, but the mean over its 2 seed(s) is 50"),
        ({"oa": 50.0}, [-50.0, 150.0], "outside its bounds"),
        ({"oa": 50.0}, [49.99], "but the mean over its 1 seed(s)"),
    ],
)
def test_scores_are_within_bounds_and_means_of_their_seeds(
    scores: dict[str, float], seeds: list[float], reason: str
) -> None:
    given_ = [{"seed": i, "scores": {"oa": s}} for i, s in enumerate(seeds)]
    with pytest.raises(ValueError, match=re.escape(reason)):
        parsed(scores=scores, seeds=given_)


def test_scores_of_other_units_have_their_own_bounds_and_rounding() -> None:
    info = {"rmse": {"higher_is_better": False, "unit": "t/ha", "low": 0.0, "high": None}}
    used = {"score_info": info}
    large = parsed(scores={"rmse": 123457.0}, intervals={}, spread={}, used=used,
                   recipe=RECIPE | {"seeds": 1},
                   seeds=[{"seed": 0, "scores": {"rmse": 123456.6}}])  # fmt: skip
    assert large.scores == {"rmse": 123457.0}
    with pytest.raises(ValueError, match="outside its bounds 0 to inf"):
        parsed(scores={"rmse": -5.0}, seeds=[], used=used)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=5))
@settings(derandomize=True, deadline=None)
def test_rounded_scores_of_rounded_seeds_are_accepted(values: list[float]) -> None:
    mean = round(sum(values) / len(values), 4)
    spread = round(statistics.stdev(values), 4) if len(values) > 1 else 0.0
    seeds = [{"seed": i, "scores": {"oa": round(v, 4)}} for i, v in enumerate(values)]
    recipe = RECIPE | {"seeds": len(seeds)}
    made = parsed(scores={"oa": mean}, spread={"oa": spread}, seeds=seeds, recipe=recipe)
    assert made.scores == {"oa": mean}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"intervals": {"oa": [-5.0, 60.0]}}, "the interval of oa is -5 to 60, outside its bounds"),
        ({"intervals": {"oa": [40.0, 190.0]}}, "outside its bounds 0 to 100"),
        (
            {"intervals": {"oa": [70.0, 90.0]}, "used": {"units": 20}},
            "the score oa is 50, outside its interval 70 to 90",
        ),
        ({"spread": {"oa": 500.0}}, "is 500, but the standard deviation over its 2 seed(s) is 14"),
        ({"recipe": RECIPE | {"seeds": 3}}, "2 seed(s), but 'recipe.seeds' is 3"),
    ],
)
def test_intervals_and_spreads_fit_the_scores(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parsed(**change)


def test_a_percentile_interval_of_an_older_version_may_miss_the_score() -> None:
    assert parsed(intervals={"oa": [70.0, 90.0]}).intervals == {"oa": [70.0, 90.0]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema": NaN}', "NaN in the place of a number"),
        ('{"schema": 1e999}', "the number 1e999, which is not finite"),
        (f'{{"schema": {"9" * 5000}}}', "an integer of 5000 digits"),
        ("[" * 60 + "]" * 60, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ('{"note": "\\ud800"}', "half of a surrogate pair"),
        ('{"schema": true}', "no 'schema'"),
    ],
)
def test_what_no_record_holds_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        store.parse_record(text)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert schema.load_record_json('{"note": "\\ud83d\\ude80"}') == {"note": "\N{ROCKET}"}


def test_every_field_of_a_record_has_a_kind() -> None:
    assert {f.name for f in dataclasses.fields(Record)} == {*schema.FIELDS}
